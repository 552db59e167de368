import java.util.concurrent.Semaphore;

/** U1, U3try and U4: one thread and free permits. C6: a million semaphores. */
final class Alone {
    /** How many pairs run between two looks at the clock: 20 µs or more, against 25 ns for the look. */
    private static final int BATCH = 4096;
    private static final int PERMITS = 16;
    private static final int MANY = 8;

    private Alone() {}

    /** BATCH pairs. */
    private interface Loop {
        void run() throws InterruptedException;
    }

    static Answer uncontended(Peer peer, Request request) throws InterruptedException, Refused {
        Semaphore s = peer.make(PERMITS);
        double ns = repeat(request, switch (request.text("case")) {
            case "U1" -> () -> allGot(tryOne(s));
            case "U3try" -> () -> allGot(tryMany(s));
            default -> () -> acquire(s);
        });
        peer.complete(s, PERMITS);
        return new Answer().with("ns", ns);
    }

    private static int tryOne(Semaphore s) {
        int got = 0;
        for (int i = 0; i < BATCH; i++) {
            if (s.tryAcquire()) {
                got++;
                s.release();
            }
        }
        return got;
    }

    private static int tryMany(Semaphore s) {
        int got = 0;
        for (int i = 0; i < BATCH; i++) {
            if (s.tryAcquire(MANY)) {
                got++;
                s.release(MANY);
            }
        }
        return got;
    }

    private static void acquire(Semaphore s) throws InterruptedException {
        for (int i = 0; i < BATCH; i++) {
            s.acquire();
            s.release();
        }
    }

    private static void allGot(int got) {
        if (got != BATCH) {
            throw Main.fail(got + " of " + BATCH + " tries got a free permit");
        }
    }

    /** Runs the loop for the warm-up, then for the window; gives ns for each pair. */
    private static double repeat(Request request, Loop loop) throws InterruptedException, Refused {
        long warm = request.warmNs();
        for (long begin = System.nanoTime(); System.nanoTime() - begin < warm;) {
            loop.run();
        }
        long window = request.windowNs();
        long begin = System.nanoTime();
        for (long pairs = BATCH;; pairs += BATCH) {
            loop.run();
            long in = System.nanoTime() - begin;
            if (in >= window) {
                return (double) in / pairs;
            }
        }
    }

    static Answer million(Peer peer, Request request) throws InterruptedException, Refused {
        int n = 1_000_000;
        long before = heap();
        Semaphore[] bank = new Semaphore[n];
        for (int i = 0; i < n; i++) {
            bank[i] = peer.make(1);
        }
        long after = heap();
        long[] x = {Work.seed(0)};
        double ns = repeat(request, () -> allGot(tryRandom(bank, x)));
        return new Answer().with("bytes", (double) (after - before) / n).with("ns", ns);
    }

    private static int tryRandom(Semaphore[] bank, long[] state) {
        int got = 0;
        long x = state[0];
        for (int i = 0; i < BATCH; i++) {
            x = Work.step(x);
            Semaphore s = bank[Work.pick(x, bank.length)];
            if (s.tryAcquire()) {
                got++;
                s.release();
            }
        }
        state[0] = x;
        return got;
    }

    /** What lives: the process's own size says little, as the JVM keeps what it once had. */
    private static long heap() {
        System.gc();
        return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
    }
}
