import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/** C8: one permit that a holder has most of the time, and a crowd that asks with short time-outs. */
final class Deadlines {
    private static final int WORKERS = 16;
    private static final long TIMEOUT_NS = 50_000;
    private static final long HOLD_NS = 100_000;

    private Deadlines() {}

    static Answer run(Peer peer, Request request) throws InterruptedException, Refused {
        if (!request.text("parameters.by").equals("threads")) {
            throw new Refused("C8 by threads only: Java " + Runtime.version().feature() + " is asked without tasks");
        }
        Semaphore s = peer.make(1);
        // Worker 0 is the holder.
        Window all = Window.open(request, WORKERS + 1, (w, window, mine) -> {
            if (w == 0) {
                hold(s, window, mine);
            } else {
                ask(s, window, mine);
            }
        }, t -> t.ops);
        peer.complete(s, 1);
        double ended = 0;
        double granted = 0;
        for (int w = 1; w <= WORKERS; w++) {
            ended += all.tallies[w].ops;
            granted += all.tallies[w].granted;
        }
        Histogram late = all.waits();
        return new Answer().with("ops_per_s", ended / all.seconds).with("granted", granted / ended)
                .with("late_p99", late.quantile(0.99)).with(late);
    }

    /**
     * Computes for 100 µs under the permit, gives it back, and takes it again. It counts nothing: an attempt is what
     * the others make.
     */
    private static void hold(Semaphore s, Window window, Window.Tally mine) throws InterruptedException {
        long x = mine.x;
        while (window.phase() != Window.STOPPING) {
            s.acquire();
            for (long begin = System.nanoTime(); System.nanoTime() - begin < HOLD_NS;) {
                x = Work.work(x);
            }
            s.release();
        }
        mine.x = x;
    }

    private static void ask(Semaphore s, Window window, Window.Tally mine) throws InterruptedException {
        long ended = 0;
        long granted = 0;
        for (int phase; (phase = window.phase()) != Window.STOPPING;) {
            long begin = System.nanoTime();
            boolean got = s.tryAcquire(TIMEOUT_NS, TimeUnit.NANOSECONDS);
            long late = System.nanoTime() - begin - TIMEOUT_NS;
            if (got) {
                s.release();
            }
            if (phase != Window.COUNTING) {
                continue;
            }
            ended++;
            if (got) {
                granted++;
            } else {
                mine.waits.add(late);
            }
        }
        mine.ops = ended;
        mine.granted = granted;
    }
}
