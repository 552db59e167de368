import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Timer;
import java.util.TimerTask;
import java.util.TreeMap;

/**
 * The Java peers of the benchmark: java.util.concurrent.Semaphore, fair and not.
 *
 * <p>It says what it has, then answers one request a line until its input ends (../README.md has the protocol). Before
 * that every loop has run for both peers, so that all are compiled, and compiled for both: which peer is asked first
 * does not matter, and no answer takes longer than its windows. The uncontended cases come last: what the others made the
 * compiler take back is compiled again by then.
 */
final class Main {
    /** One case: it does what is asked and gives an answer. */
    interface Case {
        Answer run(Peer peer, Request request) throws InterruptedException, Refused;
    }

    private static final Map<String, Case> CASES = new TreeMap<>(Map.of(
            "U1", Alone::uncontended, "U3try", Alone::uncontended, "U4", Alone::uncontended, "C2", Crowd::contended,
            "C5", Crowd::mixed, "C6", Alone::million, "C7", HandOff::run, "C8", Deadlines::run));
    private static final long LIMIT_MS = 30_000;

    /** What was measured did not happen: says so and ends the program. */
    static RuntimeException fail(String what) {
        System.err.println("Java Semaphore: " + what);
        Runtime.getRuntime().halt(1);
        return new IllegalStateException(what);
    }

    private static String hello() {
        String cases = "\"" + String.join("\",\"", CASES.keySet()) + "\"";
        StringBuilder peers = new StringBuilder();
        for (Peer peer : Peer.values()) {
            peers.append(peers.isEmpty() ? "" : ",")
                    .append("{\"name\":").append(Json.quoted(peer.label))
                    .append(",\"kind\":").append(Json.quoted(peer.kind))
                    .append(",\"version\":").append(Json.quoted(System.getProperty("java.version")))
                    .append(",\"cases\":[").append(cases)
                    .append("],\"notes\":[").append(Json.quoted(peer.note)).append("]}");
        }
        String runtime = "Java " + System.getProperty("java.vm.version") + ", serial collector";
        return "{\"hello\":1,\"runtime\":" + Json.quoted(runtime) + ",\"peers\":[" + peers + "]}";
    }

    private static String reply(String line) throws InterruptedException {
        try {
            Request request = new Request(Json.read(line));
            Peer peer = Peer.of(request.text("peer"));
            Case run = CASES.get(request.text("case"));
            if (run == null) {
                throw new Refused(peer.label + " does not take part in " + request.text("case"));
            }
            return run.run(peer, request).json();
        } catch (Refused no) {
            return "{\"error\":" + Json.quoted(no.getMessage()) + "}";
        }
    }

    private static void warmUp() throws InterruptedException, Refused {
        String[] shapes = {
            "'case':'C2','parameters':{'threads':2,'permits':1}", "'case':'C2','parameters':{'threads':8,'permits':4}",
            "'case':'C7','parameters':{'between':'running'}", "'case':'C7','parameters':{'between':'parked'}",
            "'case':'C8','parameters':{'by':'threads'}", "'case':'C5'", "'case':'C6'",
            "'case':'U1'", "'case':'U3try'", "'case':'U4'",
        };
        for (Peer peer : Peer.values()) {
            Crowd.check(peer);
        }
        for (int pass = 0; pass < 2; pass++) {
            for (String shape : shapes) {
                for (Peer peer : Peer.values()) {
                    String line = "{" + shape + ",'warm_ms':10,'window_ms':60}";
                    Request request = new Request(Json.read(line.replace('\'', '"')));
                    CASES.get(request.text("case")).run(peer, request);
                }
            }
        }
    }

    public static void main(String[] arguments) throws IOException, InterruptedException, Refused {
        Thread.setDefaultUncaughtExceptionHandler((thread, thrown) -> {
            thrown.printStackTrace();
            fail("a worker ended by " + thrown);
        });
        warmUp();
        say(hello());
        Timer timer = new Timer(true);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null;) {
            // A waiter that is never woken would keep the suite waiting, too.
            String asked = line;
            TimerTask slow = new TimerTask() {
                @Override
                public void run() {
                    fail("did not end: " + asked);
                }
            };
            timer.schedule(slow, LIMIT_MS);
            say(reply(line));
            slow.cancel();
        }
    }

    private static void say(String line) {
        System.out.println(line);
        System.out.flush();
        if (System.out.checkError()) {
            fail("nobody reads");
        }
    }
}
