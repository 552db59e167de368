// Crowds of threads. C2: acquire, work, release, in two windows: one without a clock for the throughput, one with a
// clock around each acquire for the waits. C8: a holder that has the permit most of the time, and threads that give up.
#include "suite.hpp"

#include <algorithm>
#include <latch>
#include <memory>
#include <thread>

namespace {

enum : uint32_t { WARMING, COUNTING, STOPPING };

// Each worker reads it and nobody else's data lies beside it.
struct alignas(128) phase {
    std::atomic<uint32_t> now{WARMING};
    uint32_t get() const { return now.load(std::memory_order_acquire); }
};

// What one worker writes, once, when it is done: while it runs its counts are its own variables.
struct alignas(128) tally {
    uint64_t ops = 0, granted = 0, x = 0;
    std::unique_ptr<histogram> waits;
};

struct alignas(128) padded {
    semaphore s;
    explicit padded(int permits) : s(permits) {}
};

uint64_t ops(const tally& t) { return t.ops; }
uint64_t waits(const tally& t) { return t.waits ? t.waits->count : 0; }

// How often a window is taken when nobody counted anything, each twice as long as the one before: in a few milliseconds
// the machine may have run others only.
constexpr int WINDOWS = 4;
// How long, at most, is waited until each worker has begun. Those who barge may keep others from it for long.
constexpr int64_t BEGIN_NS = 50'000'000;

// Runs the workers for one window; gives what they did and how many seconds they counted.
template <typename Run>
std::pair<std::vector<tally>, double> crowd(const request& r, int workers, Run run, uint64_t (*counted)(const tally&)) {
    double window = number(r, "window_ms", 100);
    for (int again = 0; again < WINDOWS; again++, window *= 2) {
        std::vector<tally> tallies(workers);
        auto phases = std::make_unique<phase>();
        std::latch gate(workers + 1);
        std::atomic<int> begun{0};
        std::vector<std::thread> threads;
        for (int w = 0; w < workers; w++) {
            threads.emplace_back([&, w] {
                tally mine;
                mine.x = seed(w);
                gate.arrive_and_wait();
                begun.fetch_add(1);
                run(w, *phases, mine);
                if (mine.x == 0) fail("a worker lost its work");
                tallies[w] = std::move(mine);
            });
        }
        gate.arrive_and_wait();
        // Nobody contends with those who were not scheduled yet.
        for (int64_t end = now() + BEGIN_NS; begun.load() < workers && now() < end;)
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        std::this_thread::sleep_for(milliseconds(number(r, "warm_ms", 10)));
        phases->now.store(COUNTING, std::memory_order_release);
        int64_t begin = now();
        std::this_thread::sleep_for(milliseconds(window));
        phases->now.store(STOPPING, std::memory_order_release);
        double in = (now() - begin) / 1e9;
        for (auto& t : threads) t.join();
        if (std::any_of(tallies.begin(), tallies.end(), [&](const tally& t) { return counted(t) > 0; }))
            return {std::move(tallies), in};
    }
    throw refused("nobody got a permit in " + std::to_string(WINDOWS) + " windows");
}

histogram merged(const std::vector<tally>& tallies) {
    histogram all;
    for (auto& t : tallies)
        if (t.waits) all.merge(*t.waits);
    return all;
}

void work_loop(semaphore& s, const phase& phases, tally& mine) {
    uint64_t n = 0, x = mine.x;
    for (uint32_t p; (p = phases.get()) != STOPPING;) {
        s.acquire();
        x = work(x);
        s.release();
        n += p == COUNTING;
    }
    mine.ops = n;
    mine.x = x;
}

void clocked_loop(semaphore& s, const phase& phases, tally& mine) {
    uint64_t x = mine.x;
    mine.waits = std::make_unique<histogram>();
    for (uint32_t p; (p = phases.get()) != STOPPING;) {
        int64_t begin = now();
        s.acquire();
        int64_t wait = now() - begin;
        x = work(x);
        s.release();
        if (p == COUNTING) mine.waits->add(wait);
    }
    mine.x = x;
}

// Computes for 100 µs under the permit, gives it back, and takes it again. It counts nothing: an attempt is what the
// others make.
void hold_loop(semaphore& s, const phase& phases, tally& mine) {
    uint64_t x = mine.x;
    while (phases.get() != STOPPING) {
        s.acquire();
        for (int64_t end = now() + 100'000; now() < end;) x = work(x);
        s.release();
    }
    mine.x = x;
}

void ask_loop(semaphore& s, const phase& phases, tally& mine, std::chrono::nanoseconds timeout) {
    uint64_t ended = 0, granted = 0;
    mine.waits = std::make_unique<histogram>();
    for (uint32_t p; (p = phases.get()) != STOPPING;) {
        int64_t deadline = now() + timeout.count();
        bool got = s.try_acquire_for(timeout);
        int64_t late = now() - deadline;
        if (got) s.release();
        if (p != COUNTING) continue;
        ended++;
        granted += got;
        if (!got) mine.waits->add(late);
    }
    mine.ops = ended;
    mine.granted = granted;
}

} // namespace

void check_complete(semaphore& s, int permits) {
    for (int i = 0; i < permits; i++)
        if (!s.try_acquire()) fail(std::to_string(i) + " of " + std::to_string(permits) + " permits came back");
    if (s.try_acquire()) fail("more than " + std::to_string(permits) + " permits came back");
    s.release(permits);
}

// Before the first figure: nobody beside whoever has the only permit, never more inside than permits, all come back.
void check_once() {
    static bool done = false;
    if (done) return;
    done = true;
    for (int permits : {1, 4}) {
        constexpr int WORKERS = 8, EACH = 2000;
        padded p(permits);
        long plain = 0;
        std::atomic<int> inside{0};
        std::vector<std::thread> threads;
        for (int w = 0; w < WORKERS; w++) {
            threads.emplace_back([&] {
                for (int i = 0; i < EACH; i++) {
                    p.s.acquire();
                    int there = inside.fetch_add(1) + 1;
                    if (there > permits) fail(std::to_string(there) + " inside, permits: " + std::to_string(permits));
                    if (permits == 1) plain++;
                    inside.fetch_sub(1);
                    p.s.release();
                }
            });
        }
        for (auto& t : threads) t.join();
        if (permits == 1 && plain != WORKERS * EACH) fail(std::to_string(plain) + " increments under one permit");
        check_complete(p.s, permits);
    }
}

answer contended(const request& r) {
    int workers = number(r, "parameters.threads", 0), permits = number(r, "parameters.permits", 0);
    if (workers < 1 || permits < 1) throw refused("C2 needs threads and permits");
    padded p(permits);
    auto pass = [&](auto loop, auto counted) {
        return crowd(r, workers, [&](int, const phase& phases, tally& mine) { loop(p.s, phases, mine); }, counted);
    };
    auto [plain, in] = pass(work_loop, ops);
    check_complete(p.s, permits);
    auto [clocked, _] = pass(clocked_loop, waits);
    check_complete(p.s, permits);

    uint64_t least = UINT64_MAX, most = 0, sum = 0, idle = 0;
    for (auto& t : plain) {
        least = std::min(least, t.ops);
        most = std::max(most, t.ops);
        sum += t.ops;
        idle += t.ops == 0;
    }
    histogram all = merged(clocked);
    return {{{"ops_per_s", sum / in},
             {"share", double(least) / most},
             {"idle", double(idle)},
             {"wait_p50", all.quantile(0.5)},
             {"wait_p99", all.quantile(0.99)},
             {"wait_max", double(all.max)}},
            all.pairs()};
}

answer deadlines(const request& r) {
    auto by = r.find("parameters.by");
    if (by == r.end() || by->second != "threads") throw refused("C8 by threads only: C++ has no tasks");
    constexpr int WORKERS = 16;
    padded p(1);
    auto run = [&](int w, const phase& phases, tally& mine) {
        if (w == 0)
            hold_loop(p.s, phases, mine);
        else
            ask_loop(p.s, phases, mine, std::chrono::microseconds(50));
    };
    auto [tallies, in] = crowd(r, WORKERS + 1, run, ops);
    check_complete(p.s, 1);
    uint64_t ended = 0, granted = 0;
    for (int w = 1; w <= WORKERS; w++) {
        ended += tallies[w].ops;
        granted += tallies[w].granted;
    }
    histogram late = merged(tallies);
    return {{{"ops_per_s", ended / in}, {"granted", double(granted) / ended}, {"late_p99", late.quantile(0.99)}},
            late.pairs()};
}
