import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.function.ToLongFunction;

/** A crowd of threads and the phases of its window. */
final class Window {
    static final int WARMING = 0;
    static final int COUNTING = 1;
    static final int STOPPING = 2;
    /**
     * How often a window is taken when nobody counted anything, each twice as long as the one before: in a few
     * milliseconds the machine may have run others only.
     */
    private static final int WINDOWS = 4;
    /** How long, at most, is waited until each worker has begun. Those who barge may keep others from it for long. */
    private static final long BEGIN_NS = 50_000_000;

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

    static Window open(Request request, int workers, Worker run, ToLongFunction<Tally> counted)
            throws InterruptedException, Refused {
        for (int again = 0; again < WINDOWS; again++) {
            Window window = new Window(workers);
            window.run(request.warmNs(), request.windowNs() << again, run);
            if (Arrays.stream(window.tallies).anyMatch(tally -> counted.applyAsLong(tally) > 0)) {
                return window;
            }
        }
        throw new Refused("nobody got a permit in " + WINDOWS + " windows");
    }

    private void run(long warmNs, long windowNs, Worker run) throws InterruptedException {
        Thread[] threads = new Thread[tallies.length];
        CountDownLatch ready = new CountDownLatch(threads.length);
        CountDownLatch gate = new CountDownLatch(1);
        CountDownLatch begun = new CountDownLatch(threads.length);
        for (int w = 0; w < threads.length; w++) {
            int worker = w;
            threads[w] = new Thread(() -> {
                Tally mine = new Tally();
                mine.x = Work.seed(worker);
                try {
                    ready.countDown();
                    gate.await();
                    begun.countDown();
                    run.run(worker, this, mine);
                } catch (InterruptedException no) {
                    throw Main.fail("nobody interrupts a worker, but somebody did");
                }
                if (mine.x == 0) {
                    throw Main.fail("a worker lost its work");
                }
                tallies[worker] = mine;
            });
            threads[w].start();
        }
        ready.await();
        gate.countDown();
        // Nobody contends with those who were not scheduled yet. If the time is over, the shares will say so.
        begun.await(BEGIN_NS, TimeUnit.NANOSECONDS);
        sleep(warmNs);
        phases.set(48, COUNTING);
        long begin = System.nanoTime();
        sleep(windowNs);
        phases.set(48, STOPPING);
        seconds = (System.nanoTime() - begin) / 1e9;
        for (Thread thread : threads) {
            thread.join();
        }
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
