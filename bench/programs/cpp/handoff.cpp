// C7: the time from a release to the partner's acquire, by ping-pong over two semaphores.
#include "suite.hpp"

#include <algorithm>
#include <thread>

namespace {

struct table {
    alignas(128) semaphore there{0};
    alignas(128) semaphore back{0};
    // Written before a release, read after the acquire that it allows.
    alignas(128) bool over = false;
    int64_t sent = 0;
};

// Half of a round trip's mean time.
double running(const request& r) {
    table t;
    int64_t returned = 0;
    std::thread partner([&] {
        for (bool last = false; !last; returned++) {
            t.there.acquire();
            last = t.over;
            t.back.release();
        }
    });
    auto trip = [&] {
        t.there.release();
        t.back.acquire();
    };
    int64_t warm = now() + milliseconds(number(r, "warm_ms", 10)).count();
    int64_t window = milliseconds(number(r, "window_ms", 100)).count();
    int64_t sent = 0;
    for (; now() < warm; sent++) trip();
    int64_t begin = now(), in = 0, trips = 0;
    do {
        for (int i = 0; i < 16; i++) trip();
        trips += 16;
        in = now() - begin;
    } while (in < window);
    t.over = true;
    trip();
    partner.join();
    if (returned != sent + trips + 1) fail("C7: trips were sent that did not come back");
    return double(in) / double(2 * trips);
}

// The median time from the look at the clock before a release to the one after the partner's acquire. Each side sleeps
// before it releases, longer than anybody spins, so that the partner is certainly asleep.
double parked(const request& r) {
    constexpr auto PAUSE = std::chrono::microseconds(300);
    table t;
    std::vector<double> there, back;
    std::thread partner([&] {
        for (bool last = false; !last;) {
            t.there.acquire();
            there.push_back(now() - t.sent);
            last = t.over;
            std::this_thread::sleep_for(PAUSE);
            t.sent = now();
            t.back.release();
        }
    });
    int64_t end = now() + milliseconds(number(r, "warm_ms", 10) + number(r, "window_ms", 100)).count();
    for (bool last = false; !last;) {
        std::this_thread::sleep_for(PAUSE);
        last = t.over = now() >= end;
        t.sent = now();
        t.there.release();
        t.back.acquire();
        back.push_back(now() - t.sent);
    }
    partner.join();
    if (there.size() != back.size()) fail("C7: trips were sent that did not come back");
    there.insert(there.end(), back.begin(), back.end());
    auto middle = there.begin() + there.size() / 2;
    std::nth_element(there.begin(), middle, there.end());
    return *middle;
}

} // namespace

answer hand_off(const request& r) {
    auto found = r.find("parameters.between");
    std::string between = found == r.end() ? "" : found->second;
    if (between == "running") return {{{"ns", running(r)}}, {}};
    if (between == "parked") return {{{"ns", parked(r)}}, {}};
    throw refused("C7 between \"" + between + "\": C++ has running and parked threads only");
}
