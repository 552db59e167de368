import java.util.concurrent.Semaphore;

/** The two orders of service that Java's semaphore has. */
enum Peer {
    FAIR("Java Semaphore fair", "fair", true,
            "Java Semaphore fair: its tryAcquire() without a time-out barges (U1, U3try, C6)."),
    BARGING("Java Semaphore", "barging", false,
            "Java: platform threads, the serial collector, both peers warm in one JVM; C6 counts the live heap.");

    final String label;
    final String kind;
    final String note;
    private final boolean fair;

    Peer(String label, String kind, boolean fair, String note) {
        this.label = label;
        this.kind = kind;
        this.fair = fair;
        this.note = note;
    }

    static Peer of(String label) throws Refused {
        for (Peer peer : values()) {
            if (peer.label.equals(label)) {
                return peer;
            }
        }
        throw new Refused("no peer " + label);
    }

    Semaphore make(int permits) {
        return new Semaphore(permits, fair);
    }

    /** Checks that all permits are there, and no more. */
    void complete(Semaphore s, int permits) {
        int there = s.drainPermits();
        if (there != permits) {
            throw Main.fail(label + ": " + there + " of " + permits + " permits came back");
        }
        s.release(permits);
    }
}
