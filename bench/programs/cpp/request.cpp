// Reads one line of JSON: an object of strings, numbers and such objects. That is all that a request may hold.
#include "suite.hpp"

namespace {

class reader {
    const std::string& text;
    size_t at = 0;

    [[noreturn]] void bad() { throw refused("not a request, at column " + std::to_string(at)); }
    char peek() {
        while (at < text.size() && isspace(static_cast<unsigned char>(text[at]))) at++;
        if (at == text.size()) bad();
        return text[at];
    }
    void take(char c) {
        if (peek() != c) bad();
        at++;
    }
    std::string string() {
        take('"');
        std::string s;
        for (; at < text.size() && text[at] != '"'; at++) {
            // No name in the protocol needs an escape other than these.
            if (text[at] == '\\' && (++at == text.size() || !escaped(text[at]))) bad();
            s += text[at];
        }
        take('"');
        return s;
    }
    static bool escaped(char c) { return c == '"' || c == '\\' || c == '/'; }

public:
    explicit reader(const std::string& line) : text(line) {}

    void object(const std::string& prefix, request& into) {
        take('{');
        if (peek() == '}') {
            at++;
            return;
        }
        for (;;) {
            std::string name = prefix + string();
            take(':');
            if (peek() == '{') {
                object(name + ".", into);
            } else if (peek() == '"') {
                into[name] = string();
            } else {
                size_t end = text.find_first_of(",} ", at);
                if (end == std::string::npos) bad();
                into[name] = text.substr(at, end - at);
                at = end;
            }
            if (peek() == '}') {
                at++;
                return;
            }
            take(',');
        }
    }
};

} // namespace

request read_request(const std::string& line) {
    request r;
    reader(line).object("", r);
    return r;
}

double number(const request& r, const std::string& name, double otherwise) {
    auto found = r.find(name);
    if (found == r.end()) return otherwise;
    try {
        return std::stod(found->second);
    } catch (const std::exception&) {
        throw refused(name + " is no number: " + found->second);
    }
}
