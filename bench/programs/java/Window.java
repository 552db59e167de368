import java.util.concurrent.atomic.AtomicIntegerArray;

/** A crowd of threads and the phases of its window. */
final class Window {
    static final int WARMING = 0;
    static final int COUNTING = 1;
    static final int STOPPING = 2;

    /** What one worker counted. It writes this once, when it is done: until then its counts are its own variables. */
    static final class Tally {
        long ops;
        long granted;
        long x;
        Histogram waits = new Histogram();
    }

    /** What one worker does until the phase is over. */
    interface Worker {
        void run(int worker, Window window, Tally mine) throws InterruptedException;
    }

    /** The middle of an array: nothing else is on its lines, and workers only read it. */
    private final AtomicIntegerArray phases = new AtomicIntegerArray(96);
    final Tally[] tallies;
    /** How many seconds they counted. */
    double seconds;

    private Window(int workers) {
        tallies = new Tally[workers];
    }

    int phase() {
        return phases.getOpaque(48);
    }

    static Window open(Request request, int workers, Worker run) throws InterruptedException, Refused {
        Window window = new Window(workers);
        Thread[] threads = new Thread[workers];
        for (int w = 0; w < workers; w++) {
            int worker = w;
            threads[w] = new Thread(() -> {
                Tally mine = new Tally();
                mine.x = Work.seed(worker);
                try {
                    run.run(worker, window, mine);
                } catch (InterruptedException no) {
                    throw Main.fail("nobody interrupts a worker, but somebody did");
                }
                if (mine.x == 0) {
                    throw Main.fail("a worker lost its work");
                }
                window.tallies[worker] = mine;
            });
            threads[w].start();
        }
        sleep(request.warmNs());
        window.phases.set(48, COUNTING);
        long begin = System.nanoTime();
        sleep(request.windowNs());
        window.phases.set(48, STOPPING);
        window.seconds = (System.nanoTime() - begin) / 1e9;
        for (Thread thread : threads) {
            thread.join();
        }
        return window;
    }

    static void sleep(long ns) throws InterruptedException {
        Thread.sleep(ns / 1_000_000, (int) (ns % 1_000_000));
    }

    /** The throughput, the least over the most, and how many got nothing. */
    Answer shares() {
        long least = Long.MAX_VALUE;
        long most = 0;
        long sum = 0;
        int idle = 0;
        for (Tally t : tallies) {
            least = Math.min(least, t.ops);
            most = Math.max(most, t.ops);
            sum += t.ops;
            idle += t.ops == 0 ? 1 : 0;
        }
        if (sum == 0) {
            throw Main.fail("no worker got a permit in the window");
        }
        return new Answer().with("ops_per_s", sum / seconds).with("share", (double) least / most).with("idle", idle);
    }

    Histogram waits() {
        Histogram all = new Histogram();
        for (Tally t : tallies) {
            all.merge(t.waits);
        }
        return all;
    }
}
