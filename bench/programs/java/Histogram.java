/** Waits in buckets of an eighth of a power of two. */
final class Histogram {
    private final long[] buckets = new long[62 * 8];
    private long count;
    private long max;

    /** Below 8 each value has its bucket; from there, bucket i holds [8 + i%8, 9 + i%8) << (i/8 - 1). */
    void add(long ns) {
        long v = Math.max(ns, 0);
        int at = (int) v;
        if (v >= 8) {
            int e = 63 - Long.numberOfLeadingZeros(v);
            at = (e - 2) * 8 + (int) (v >> (e - 3) & 7);
        }
        buckets[at]++;
        count++;
        max = Math.max(max, v);
    }

    void merge(Histogram other) {
        for (int i = 0; i < buckets.length; i++) {
            buckets[i] += other.buckets[i];
        }
        count += other.count;
        max = Math.max(max, other.max);
    }

    long count() {
        return count;
    }

    long max() {
        return max;
    }

    private static long upper(int at) {
        return at < 8 ? at + 1 : (long) (9 + at % 8) << (at / 8 - 1);
    }

    /** The upper bound of the bucket in which the q-th wait lies, and never more than the longest wait. */
    double quantile(double q) {
        long left = (long) (q * count);
        for (int i = 0; i < buckets.length; i++) {
            if (buckets[i] > left) {
                return Math.min(upper(i), max);
            }
            left -= buckets[i];
        }
        return max;
    }

    String json() {
        StringBuilder all = new StringBuilder("[");
        for (int i = 0; i < buckets.length; i++) {
            if (buckets[i] != 0) {
                all.append(all.length() == 1 ? "[" : ",[").append(upper(i)).append(',').append(buckets[i]).append(']');
            }
        }
        return all.append(']').toString();
    }
}
