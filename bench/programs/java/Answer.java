/** What was measured. */
final class Answer {
    private final StringBuilder metrics = new StringBuilder();
    private String histogram = "";

    Answer with(String name, double value) {
        if (Double.isNaN(value) || Double.isInfinite(value)) {
            throw Main.fail(name + " is " + value);
        }
        metrics.append(metrics.isEmpty() ? "" : ",").append(Json.quoted(name)).append(':').append(value);
        return this;
    }

    Answer with(Histogram waits) {
        histogram = ",\"histogram\":" + waits.json();
        return this;
    }

    String json() {
        return "{\"metrics\":{" + metrics + "}" + histogram + "}";
    }
}
