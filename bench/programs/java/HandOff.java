import java.util.Arrays;
import java.util.concurrent.Semaphore;
import java.util.stream.LongStream;

/** C7: the time from a release to the partner's acquire, by ping-pong over two semaphores. */
final class HandOff {
    /** Longer than anybody spins. */
    private static final long PAUSE_NS = 300_000;
    private static final int MOST = 1 << 16;

    private final Semaphore there;
    private final Semaphore back;
    /** Both are written before a release and read after the acquire that it allows. */
    private boolean over;
    private long sent;

    private HandOff(Peer peer) {
        there = peer.make(0);
        back = peer.make(0);
    }

    static Answer run(Peer peer, Request request) throws InterruptedException, Refused {
        HandOff table = new HandOff(peer);
        double ns = switch (request.text("parameters.between")) {
            case "running" -> table.running(request);
            case "parked" -> table.parked(request);
            default -> throw new Refused("C7 between running or parked threads only");
        };
        peer.complete(table.there, 0);
        peer.complete(table.back, 0);
        return new Answer().with("ns", ns);
    }

    private void trips(int n) throws InterruptedException {
        for (int i = 0; i < n; i++) {
            there.release();
            back.acquire();
        }
    }

    /** Half of a round trip's mean time. */
    private double running(Request request) throws InterruptedException, Refused {
        long[] returned = {0};
        Thread partner = new Thread(() -> {
            for (boolean last = false; !last; returned[0]++) {
                there.acquireUninterruptibly();
                last = over;
                back.release();
            }
        });
        partner.start();
        long sent = 0;
        for (long begin = System.nanoTime(); System.nanoTime() - begin < request.warmNs(); sent += 16) {
            trips(16);
        }
        long window = request.windowNs();
        long trips = 0;
        long in = 0;
        for (long begin = System.nanoTime(); in < window; in = System.nanoTime() - begin) {
            trips(16);
            trips += 16;
        }
        over = true;
        trips(1);
        partner.join();
        if (returned[0] != sent + trips + 1) {
            throw Main.fail("C7: trips were sent that did not come back");
        }
        return in / 2.0 / trips;
    }

    /**
     * The median time from the look at the clock before a release to the one after the partner's acquire. Each side
     * sleeps before it releases, so that the partner is certainly asleep.
     */
    private double parked(Request request) throws InterruptedException, Refused {
        long[] forth = new long[MOST];
        long[] home = new long[MOST];
        int[] returned = {0};
        Thread partner = new Thread(() -> {
            try {
                for (boolean last = false; !last;) {
                    there.acquire();
                    forth[returned[0]++] = System.nanoTime() - sent;
                    last = over;
                    Window.sleep(PAUSE_NS);
                    sent = System.nanoTime();
                    back.release();
                }
            } catch (InterruptedException no) {
                throw Main.fail("nobody interrupts a worker, but somebody did");
            }
        });
        partner.start();
        int n = 0;
        long most = request.warmNs() + request.windowNs();
        long begin = System.nanoTime();
        for (boolean last = false; !last;) {
            Window.sleep(PAUSE_NS);
            last = System.nanoTime() - begin >= most || n == MOST - 1;
            over = last;
            sent = System.nanoTime();
            there.release();
            back.acquire();
            home[n++] = System.nanoTime() - sent;
        }
        partner.join();
        if (returned[0] != n) {
            throw Main.fail("C7: trips were sent that did not come back");
        }
        long[] all = LongStream.concat(Arrays.stream(forth, 0, n), Arrays.stream(home, 0, n)).sorted().toArray();
        return all[all.length / 2];
    }
}
