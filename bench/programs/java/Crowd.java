import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * C2: threads that acquire, work and release, in two windows: one without a clock for the throughput, one with a clock
 * around each acquire for the waits. C5: the same with mixed weights.
 */
final class Crowd {
    private Crowd() {}

    static Answer contended(Peer peer, Request request) throws InterruptedException, Refused {
        int workers = request.count("threads");
        int permits = request.count("permits");
        Semaphore s = peer.make(permits);
        Answer answer = Window.open(request, workers, (w, window, mine) -> work(s, window, mine), t -> t.ops).shares();
        peer.complete(s, permits);

        Window clocked = Window.open(
                request, workers, (w, window, mine) -> clocked(s, window, mine), t -> t.waits.count());
        peer.complete(s, permits);
        Histogram waits = clocked.waits();
        return answer.with("wait_p50", waits.quantile(0.5)).with("wait_p99", waits.quantile(0.99))
                .with("wait_max", waits.max()).with(waits);
    }

    private static void work(Semaphore s, Window window, Window.Tally mine) throws InterruptedException {
        long n = 0;
        long x = mine.x;
        for (int phase; (phase = window.phase()) != Window.STOPPING;) {
            s.acquire();
            x = Work.work(x);
            s.release();
            if (phase == Window.COUNTING) {
                n++;
            }
        }
        mine.ops = n;
        mine.x = x;
    }

    private static void clocked(Semaphore s, Window window, Window.Tally mine) throws InterruptedException {
        long x = mine.x;
        Histogram waits = mine.waits;
        for (int phase; (phase = window.phase()) != Window.STOPPING;) {
            long begin = System.nanoTime();
            s.acquire();
            long wait = System.nanoTime() - begin;
            x = Work.work(x);
            s.release();
            if (phase == Window.COUNTING) {
                waits.add(wait);
            }
        }
        mine.x = x;
    }

    /** Worker i always asks i % 16 + 1 of 16 permits. */
    static Answer mixed(Peer peer, Request request) throws InterruptedException, Refused {
        int workers = 64;
        int permits = 16;
        Semaphore s = peer.make(permits);
        Window all = Window.open(request, workers, (w, window, mine) -> {
            int ask = w % permits + 1;
            long n = 0;
            long x = mine.x;
            for (int phase; (phase = window.phase()) != Window.STOPPING;) {
                s.acquire(ask);
                x = Work.work(x);
                s.release(ask);
                if (phase == Window.COUNTING) {
                    n++;
                }
            }
            mine.ops = n;
            mine.x = x;
        }, t -> t.ops);
        peer.complete(s, permits);
        double big = 0;
        double small = 0;
        for (int w = 0; w < workers; w++) {
            int ask = w % permits + 1;
            big += ask >= 13 ? all.tallies[w].ops : 0;
            small += ask <= 4 ? all.tallies[w].ops : 0;
        }
        Answer answer = all.shares();
        return small > 0 ? answer.with("big_small", big / small) : answer;
    }

    /** Nobody inside beside whoever has the only permit, never more inside than permits, and all come back. */
    static void check(Peer peer) throws InterruptedException {
        for (int permits : new int[] {1, 4}) {
            int workers = 8;
            int each = 2000;
            Semaphore s = peer.make(permits);
            AtomicInteger inside = new AtomicInteger();
            int[] plain = {0};
            Thread[] threads = new Thread[workers];
            for (int w = 0; w < workers; w++) {
                threads[w] = new Thread(() -> {
                    for (int i = 0; i < each; i++) {
                        s.acquireUninterruptibly();
                        int there = inside.incrementAndGet();
                        if (there > permits) {
                            throw Main.fail(peer.label + ": " + there + " inside with " + permits + " permits");
                        }
                        if (permits == 1) {
                            plain[0]++;
                        }
                        inside.decrementAndGet();
                        s.release();
                    }
                });
                threads[w].start();
            }
            for (Thread thread : threads) {
                thread.join();
            }
            if (permits == 1 && plain[0] != workers * each) {
                throw Main.fail(peer.label + ": " + plain[0] + " increments under one permit");
            }
            peer.complete(s, permits);
        }
    }
}
