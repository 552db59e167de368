// U1 and U4: one thread and free permits. C6: a million semaphores.
#include "suite.hpp"

#include <cstdio>
#include <memory>
#include <unistd.h>

namespace {

// How many pairs run between two looks at the clock: 20 µs or more, against 25 ns for the look.
constexpr int BATCH = 4096;
constexpr int PERMITS = 16;

// Runs the loop of BATCH pairs for the warm-up, then for the window; gives ns for each pair.
template <typename Loop> double repeat(const request& r, Loop loop) {
    int64_t warm = now() + milliseconds(number(r, "warm_ms", 10)).count();
    while (now() < warm) loop();
    int64_t window = milliseconds(number(r, "window_ms", 100)).count();
    int64_t begin = now(), in = 0;
    int64_t pairs = 0;
    do {
        loop();
        pairs += BATCH;
        in = now() - begin;
    } while (in < window);
    return double(in) / pairs;
}

void all_got(int got) {
    if (got != BATCH) fail(std::to_string(got) + " of " + std::to_string(BATCH) + " tries got a free permit");
}

double resident() {
    long pages = -1;
    if (FILE* f = std::fopen("/proc/self/statm", "r")) {
        if (std::fscanf(f, "%*d %ld", &pages) != 1) pages = -1;
        std::fclose(f);
    }
    if (pages < 0) fail("/proc/self/statm could not be read");
    return double(pages) * sysconf(_SC_PAGESIZE);
}

} // namespace

answer uncontended(const request& r) {
    alignas(128) semaphore s{PERMITS};
    bool blocking = r.at("case") == "U4";
    double ns = repeat(r, [&] {
        if (blocking) {
            for (int i = 0; i < BATCH; i++) {
                s.acquire();
                s.release();
            }
        } else {
            int got = 0;
            for (int i = 0; i < BATCH; i++) {
                if (s.try_acquire()) {
                    got++;
                    s.release();
                }
            }
            all_got(got);
        }
    });
    check_complete(s, PERMITS);
    return {{{"ns", ns}}, {}};
}

answer million(const request& r) {
    constexpr int N = 1'000'000;
    double before = resident();
    // No array of them can be had by new[]: each wants its count.
    std::allocator<semaphore> memory;
    semaphore* bank = memory.allocate(N);
    for (int i = 0; i < N; i++) std::construct_at(bank + i, 1);
    double after = resident();
    uint64_t x = seed(0);
    double ns = repeat(r, [&] {
        int got = 0;
        for (int i = 0; i < BATCH; i++) {
            x = step(x);
            semaphore& s = bank[(x >> 32) * N >> 32];
            if (s.try_acquire()) {
                got++;
                s.release();
            }
        }
        all_got(got);
    });
    std::destroy_n(bank, N);
    memory.deallocate(bank, N);
    return {{{"bytes", (after - before) / N}, {"size_of", double(sizeof(semaphore))}, {"ns", ns}}, {}};
}
