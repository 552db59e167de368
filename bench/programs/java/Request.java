import java.util.Map;

/** What the suite asks. */
record Request(Map<String, String> fields) {
    String text(String name) {
        return fields.getOrDefault(name, "");
    }

    double number(String name, double otherwise) throws Refused {
        String text = fields.get(name);
        try {
            return text == null ? otherwise : Double.parseDouble(text);
        } catch (NumberFormatException no) {
            throw new Refused(name + " is no number: " + text);
        }
    }

    /** A count that must be there. */
    int count(String name) throws Refused {
        int n = (int) number("parameters." + name, 0);
        if (n < 1) {
            throw new Refused("needs the parameter " + name);
        }
        return n;
    }

    long warmNs() throws Refused {
        return (long) (number("warm_ms", 10) * 1e6);
    }

    long windowNs() throws Refused {
        return (long) (number("window_ms", 100) * 1e6);
    }
}
