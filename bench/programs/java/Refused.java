/** The request cannot be answered; the next one may be. */
final class Refused extends Exception {
    private static final long serialVersionUID = 1;

    Refused(String why) {
        super(why);
    }
}
