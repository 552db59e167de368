/** The work inside a permit, the same in each language of the suite, and random numbers. */
final class Work {
    private Work() {}

    static long step(long x) {
        x ^= x << 13;
        x ^= x >>> 7;
        x ^= x << 17;
        return x;
    }

    /** 20 steps of xorshift64. */
    static long work(long x) {
        for (int i = 0; i < 20; i++) {
            x = step(x);
        }
        return x;
    }

    /** Never 0: xorshift would stay there. */
    static long seed(int worker) {
        return 0x9E3779B97F4A7C15L * (worker + 1);
    }

    static int pick(long x, int n) {
        return (int) ((x >>> 32) * n >>> 32);
    }
}
