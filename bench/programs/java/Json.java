import java.util.HashMap;
import java.util.Map;

/**
 * Reads one line of JSON: an object of strings, numbers and such objects, which is all that a request may hold. The
 * result is flat: {"parameters":{"threads":16}} is "parameters.threads" with "16".
 */
final class Json {
    private final String text;
    private final Map<String, String> into = new HashMap<>();
    private int at;

    private Json(String text) {
        this.text = text;
    }

    static Map<String, String> read(String line) throws Refused {
        Json json = new Json(line);
        json.object("");
        return json.into;
    }

    static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"").replaceAll("\\p{Cntrl}", " ") + '"';
    }

    private char peek() throws Refused {
        while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
            at++;
        }
        if (at == text.length()) {
            throw new Refused("not a request: it ends too early");
        }
        return text.charAt(at);
    }

    private void take(char c) throws Refused {
        if (peek() != c) {
            throw new Refused("not a request, at column " + at);
        }
        at++;
    }

    private void object(String prefix) throws Refused {
        take('{');
        if (peek() == '}') {
            at++;
            return;
        }
        while (true) {
            String name = prefix + string();
            take(':');
            switch (peek()) {
                case '{' -> object(name + ".");
                case '"' -> into.put(name, string());
                default -> into.put(name, literal());
            }
            if (peek() == '}') {
                at++;
                return;
            }
            take(',');
        }
    }

    /** No name in the protocol needs an escape other than those of the quote and the slashes. */
    private String string() throws Refused {
        take('"');
        StringBuilder s = new StringBuilder();
        for (; at < text.length() && text.charAt(at) != '"'; at++) {
            if (text.charAt(at) == '\\') {
                at++;
                if (at == text.length() || "\"\\/".indexOf(text.charAt(at)) < 0) {
                    throw new Refused("an escape that is not known, at column " + at);
                }
            }
            s.append(text.charAt(at));
        }
        take('"');
        return s.toString();
    }

    private String literal() {
        int begin = at;
        while (at < text.length() && ",} ".indexOf(text.charAt(at)) < 0) {
            at++;
        }
        return text.substring(begin, at);
    }
}
