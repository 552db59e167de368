// What the cases share: the work, the phases of a window, the histogram, the request and the answer.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

// The peer. Its lines are its own: padded on both sides where it is used.
using semaphore = std::counting_semaphore<>;

// A request, flat: {"parameters":{"threads":16}} is "parameters.threads" -> "16". request.cpp reads it.
using request = std::map<std::string, std::string>;
request read_request(const std::string& line);

// A number of the request, or `otherwise` when there is none.
double number(const request& r, const std::string& name, double otherwise);

struct answer {
    std::vector<std::pair<std::string, double>> metrics;
    std::vector<std::pair<uint64_t, uint64_t>> histogram;
};

// The request cannot be answered; the next one may be.
struct refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// What was measured did not happen: says so and ends the program.
[[noreturn]] void fail(const std::string& what);

void check_once();
void check_complete(semaphore& s, int permits);
answer uncontended(const request& r);
answer million(const request& r);
answer contended(const request& r);
answer deadlines(const request& r);
answer hand_off(const request& r);

// 20 steps of xorshift64, the same in each language of the suite.
inline uint64_t step(uint64_t x) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}
inline uint64_t work(uint64_t x) {
    for (int i = 0; i < 20; i++) x = step(x);
    return x;
}
// Never 0: xorshift would stay there.
inline uint64_t seed(int worker) { return 0x9E3779B97F4A7C15u * static_cast<uint64_t>(worker + 1); }

using std::chrono::nanoseconds;
inline int64_t now() {
    return std::chrono::duration_cast<nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
inline nanoseconds milliseconds(double ms) { return nanoseconds(static_cast<int64_t>(ms * 1e6)); }

// Waits in buckets of an eighth of a power of two.
class histogram {
    uint64_t buckets[62 * 8] = {};
    static uint64_t upper(int at) { return at < 8 ? at + 1 : uint64_t(9 + at % 8) << (at / 8 - 1); }

public:
    uint64_t count = 0, max = 0;
    // Below 8 each value has its bucket; from there, bucket i holds [8 + i%8, 9 + i%8) << (i/8 - 1).
    void add(int64_t ns) {
        uint64_t v = ns < 0 ? 0 : ns;
        int at = v;
        if (v >= 8) {
            int e = 63 - __builtin_clzll(v);
            at = (e - 2) * 8 + (v >> (e - 3) & 7);
        }
        buckets[at]++;
        count++;
        if (v > max) max = v;
    }
    void merge(const histogram& other) {
        for (int i = 0; i < 62 * 8; i++) buckets[i] += other.buckets[i];
        count += other.count;
        if (other.max > max) max = other.max;
    }
    // The upper bound of the bucket in which the q-th wait lies, and never more than the longest wait.
    double quantile(double q) const {
        uint64_t left = q * count;
        for (int i = 0; i < 62 * 8; i++) {
            if (buckets[i] > left) return upper(i) < max ? upper(i) : max;
            left -= buckets[i];
        }
        return max;
    }
    std::vector<std::pair<uint64_t, uint64_t>> pairs() const {
        std::vector<std::pair<uint64_t, uint64_t>> all;
        for (int i = 0; i < 62 * 8; i++)
            if (buckets[i]) all.emplace_back(upper(i), buckets[i]);
        return all;
    }
};
