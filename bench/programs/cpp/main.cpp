// The C++ peer of the benchmark: std::counting_semaphore of the compiler's library.
//
// It says what it has, then answers one request a line until its input ends (../README.md has the protocol).
#include "suite.hpp"

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <thread>
#include <unistd.h>

#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

namespace {

const char* const NAME = "C++ counting_semaphore";
const std::map<std::string, answer (*)(const request&)> CASES = {
    {"U1", uncontended}, {"U4", uncontended}, {"C2", contended}, {"C6", million}, {"C7", hand_off}, {"C8", deadlines},
};

#if _GLIBCXX_RELEASE == 12
const char* const NOTES = "\"libstdc++ 12: a release that finds no permit makes a futex call, waiters or not.\"";
#else
const char* const NOTES = "";
#endif

std::string library() {
#if defined(_LIBCPP_VERSION)
    return "libc++ " + std::to_string(_LIBCPP_VERSION / 10000);
#elif defined(__GLIBCXX__)
    return "libstdc++ " + std::to_string(_GLIBCXX_RELEASE);
#else
    return "unknown";
#endif
}

std::string runtime() {
    std::string all = std::string("C++ compiler ") + __VERSION__ + ", " + library();
#ifdef __GLIBC__
    all += std::string(", glibc ") + gnu_get_libc_version();
#endif
    return all;
}

std::string quoted(const std::string& text) {
    std::string s = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') s += '\\';
        s += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
    return s + '"';
}

void hello() {
    std::string cases;
    for (auto& [name, _] : CASES) cases += (cases.empty() ? "" : ",") + quoted(name);
    std::cout << "{\"hello\":1,\"runtime\":" << quoted(runtime()) << ",\"peers\":[{\"name\":" << quoted(NAME)
              << ",\"kind\":\"barging\",\"version\":" << quoted(library()) << ",\"cases\":[" << cases
              << "],\"notes\":[" << NOTES << "]}]}" << std::endl;
}

answer reply(const std::string& line) {
    request r = read_request(line);
    if (r["peer"] != NAME) throw refused("no peer " + r["peer"]);
    auto run = CASES.find(r["case"]);
    if (run == CASES.end()) throw refused(std::string(NAME) + " does not take part in " + r["case"]);
    check_once();
    return run->second(r);
}

void say(const answer& a) {
    std::cout << "{\"metrics\":{";
    const char* comma = "";
    for (auto& [name, value] : a.metrics) {
        if (!std::isfinite(value)) fail(name + " is no number");
        std::cout << comma << quoted(name) << ':' << value;
        comma = ",";
    }
    std::cout << '}';
    if (!a.histogram.empty()) {
        comma = ",\"histogram\":[";
        for (auto& [upper, count] : a.histogram) {
            std::cout << comma << '[' << upper << ',' << count << ']';
            comma = ",";
        }
        std::cout << ']';
    }
    std::cout << '}' << std::endl;
}

// A waiter that is never woken would keep the suite waiting, too.
void too_long(int) {
    static const char message[] = "C++ counting_semaphore: a request did not end; a waiter was not woken?\n";
    if (write(2, message, sizeof message - 1) < 0) _exit(2);
    _exit(1);
}

} // namespace

void fail(const std::string& what) {
    std::cerr << NAME << ": " << what << std::endl;
    // Workers may still run: no destructors.
    _exit(1);
}

int main() {
    std::cout.precision(12);
    std::signal(SIGALRM, too_long);
    hello();
    for (std::string line; std::getline(std::cin, line);) {
        alarm(30);
        try {
            say(reply(line));
        } catch (const refused& no) {
            std::cout << "{\"error\":" << quoted(no.what()) << '}' << std::endl;
        }
        alarm(0);
    }
}
