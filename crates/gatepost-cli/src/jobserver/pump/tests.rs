//! The pump against a semaphore in memory, step by step, with a client that is quicker than any.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex};

use rustix::fs::OFlags;
use rustix::io::{Errno, read, write};

use super::super::channel::Style;
use super::super::flags::Auth;
use super::super::gates::tests::proc;
use super::super::share::Share;
use super::*;

/// A semaphore in memory: builds by number, others by numbers from [`OTHERS`] on.
#[derive(Debug, Default)]
struct World {
    limit: u32,
    builds: u32,
    used: u32,
    queue: VecDeque<usize>,
    granted: Vec<usize>,
    watches: usize,
    /// What the next question is answered with.
    refuse: bool,
}

const OTHERS: usize = 100;

impl World {
    fn new(limit: u32, builds: u32) -> Arc<Mutex<Self>> {
        // The implicit one of each build.
        Arc::new(Mutex::new(Self { limit, builds, used: builds, ..Self::default() }))
    }

    fn serve(&mut self) {
        while self.used < self.limit {
            let Some(first) = self.queue.pop_front() else { break };
            self.granted.push(first);
            self.used += 1;
        }
    }

    fn join(&mut self, who: usize) {
        self.queue.push_back(who);
        self.serve();
    }

    fn is_granted(&self, who: usize) -> bool {
        self.granted.contains(&who)
    }

    fn release(&mut self) {
        self.used -= 1;
        self.serve();
    }
}

#[derive(Debug)]
struct Token(Arc<Mutex<World>>);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.lock().expect("whole").release();
    }
}

#[derive(Debug)]
struct Memory {
    world: Arc<Mutex<World>>,
    who: usize,
    asks: bool,
}

impl Tokens for Memory {
    type Token = Token;

    fn poll_acquire(&mut self, _: &Waker) -> Poll<Result<Token, gatepost_shared::Error>> {
        let mut world = self.world.lock().expect("whole");
        if std::mem::take(&mut world.refuse) {
            return Poll::Ready(Err(gatepost_shared::Error::QueueFull { name: "cores".to_owned(), max: 1024 }));
        }
        if !self.asks {
            self.asks = true;
            world.join(self.who);
        }
        match world.granted.iter().position(|who| *who == self.who) {
            Some(at) => {
                world.granted.swap_remove(at);
                self.asks = false;
                Poll::Ready(Ok(Token(Arc::clone(&self.world))))
            }
            None => Poll::Pending,
        }
    }

    fn cancel(&mut self) {
        let mut world = self.world.lock().expect("whole");
        self.asks = false;
        world.queue.retain(|who| *who != self.who);
        if let Some(at) = world.granted.iter().position(|who| *who == self.who) {
            world.granted.swap_remove(at);
            world.release();
        }
    }

    fn share(&mut self) -> Result<Share, gatepost_shared::Error> {
        let world = self.world.lock().expect("whole");
        let others = || world.queue.iter().filter(|who| **who != self.who);
        Ok(Share {
            limit: world.limit,
            builds: world.builds,
            build_waits: others().any(|who| *who < OTHERS),
            others_wait: others().next().is_some(),
        })
    }

    fn watch(&mut self, _: &Waker) {
        self.world.lock().expect("whole").watches += 1;
    }
}

/// A build with a client.
#[derive(Debug)]
struct Build {
    pump: Pump<Memory>,
    client: File,
    returns: File,
    world: Arc<Mutex<World>>,
    now: Instant,
    next: Option<Next>,
    out: usize,
}

impl Build {
    fn with(world: &Arc<Mutex<World>>, who: usize, rule: Rule, gates: Gates) -> Self {
        let channel = Channel::new(Style::Fifo).expect("a pipe");
        Self::on(channel, world, who, rule, gates)
    }

    fn on(channel: Channel, world: &Arc<Mutex<World>>, who: usize, rule: Rule, gates: Gates) -> Self {
        let invitation = channel.invitation().expect("an invitation");
        let [from, to] = match invitation.auth {
            Auth::Fifo(path) => [path.clone(), path],
            Auth::Pipe { read, write } => [read, write].map(|fd| format!("/proc/self/fd/{fd}").into()),
        };
        let nonblocking = OFlags::NONBLOCK.bits() as i32;
        let open = |path| OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(path);
        let (client, returns) = (open(from).expect("it opens"), open(to).expect("it opens"));
        let tokens = Memory { world: Arc::clone(world), who, asks: false };
        let pump = Pump::new(channel, tokens, gates, rule, Waker::noop().clone());
        Self { pump, client, returns, world: Arc::clone(world), now: Instant::now(), next: None, out: 0 }
    }

    fn new(world: &Arc<Mutex<World>>, who: usize, rule: Rule) -> Self {
        Self::with(world, who, rule, Gates::default())
    }

    fn piped(world: &Arc<Mutex<World>>, who: usize, rule: Rule) -> Self {
        Self::on(Channel::new(Style::Pipe).expect("pipes"), world, who, rule, Gates::default())
    }

    fn step(&mut self) -> Next {
        let next = self.pump.step(self.now).expect("it works");
        self.next = Some(next);
        // P1 and P4.
        let world = self.world.lock().expect("whole");
        assert!(world.used <= world.limit, "{world:?}");
        assert!(self.pump.held.len() >= self.pump.channel.tokens().expect("a count"));
        next
    }

    fn later(&mut self, time: Duration) -> Next {
        self.now += time;
        self.step()
    }

    /// Takes a token if there is one, as a non-blocking client does.
    fn take(&mut self) -> bool {
        match read(&self.client, &mut [0; 1]) {
            Ok(1) => {
                self.out += 1;
                true
            }
            Err(Errno::AGAIN) => false,
            other => panic!("{other:?}"),
        }
    }

    fn give(&mut self) {
        assert_eq!(write(&self.returns, b"+"), Ok(1), "a client can always return a token");
        self.out = self.out.saturating_sub(1);
    }

    /// Takes all that is to be had.
    fn take_all(&mut self) -> usize {
        self.step();
        while self.take() {
            self.step();
        }
        self.out
    }

    fn lying(&self) -> usize {
        self.pump.channel.tokens().expect("a count")
    }

    fn used(&self) -> u32 {
        self.world.lock().expect("whole").used
    }
}

#[test]
fn one_token_is_offered_at_a_time_up_to_the_limit() {
    let world = World::new(4, 1);
    let mut build = Build::new(&world, 0, Rule::Fair);
    let next = build.step();
    assert_eq!((build.lying(), build.used(), next.pipe), (1, 2, PollFlags::OUT));
    assert!(build.take() && !build.take(), "one");
    assert_eq!(build.take_all(), 3, "with the implicit one, four");
    assert_eq!(build.step(), Next { pipe: PollFlags::IN, at: None });
    assert_eq!(build.used(), 4);
}

#[test]
fn p2_a_return_goes_to_whoever_is_first_in_line() {
    let world = World::new(3, 1);
    let mut build = Build::new(&world, 0, Rule::Greedy);
    assert_eq!(build.take_all(), 2);
    // The build has been waiting for another one already; here comes somebody else.
    world.lock().expect("whole").join(OTHERS);
    build.give();
    build.step();
    assert_eq!((build.lying(), build.used()), (1, 3), "the build was first");
    assert!(build.take());
    build.give();
    build.step();
    assert!(build.world.lock().expect("whole").is_granted(OTHERS), "then the other one");
    assert_eq!((build.lying(), build.used()), (0, 3));
}

#[test]
fn p3_a_token_that_was_never_acquired_is_absorbed() {
    let world = World::new(4, 1);
    let mut build = Build::new(&world, 0, Rule::Fair);
    build.step();
    for _ in 0..3 {
        build.give();
    }
    build.step();
    assert_eq!((build.lying(), build.used(), build.pump.absorbed()), (1, 2, 3));
    assert_eq!(build.take_all(), 3);
    for _ in 0..5 {
        build.give();
    }
    build.step();
    assert_eq!((build.lying(), build.used(), build.pump.absorbed()), (1, 2, 5));
}

#[test]
fn p5_returns_beside_an_offer_that_stands_for_ever_never_fill_the_page() {
    let world = World::new(8, 1);
    let mut build = Build::new(&world, 0, Rule::Fair);
    build.step();
    assert!(build.take());
    build.step();
    for _ in 0..20_000 {
        build.give();
        assert!(build.take(), "one of the two");
        build.step();
    }
    build.give();
    build.step();
    assert_eq!((build.lying(), build.used()), (1, 2));
}

#[test]
fn fair_a_build_at_its_share_leaves_the_rest_to_one_that_waits() {
    let world = World::new(4, 2);
    let (mut first, mut second) = (Build::new(&world, 0, Rule::Fair), Build::new(&world, 1, Rule::Fair));
    assert_eq!(first.take_all(), 2, "nobody else wants any");
    assert_eq!(second.take_all(), 0);
    first.give();
    first.step();
    assert_eq!(second.take_all(), 1, "what was returned");
    assert!(!first.take());
    // Both hold their share and want more: none of them is given what the other returns first.
    for _ in 0..5 {
        second.step();
        first.step();
        second.give();
        second.step();
        first.step();
        assert_eq!((first.take_all(), second.take_all()), (1, 1));
    }
}

#[test]
fn fair_a_share_binds_only_while_another_build_waits() {
    let world = World::new(6, 3);
    let mut build = Build::new(&world, 0, Rule::Fair);
    assert_eq!(build.take_all(), 3, "two others with their implicit ones");
    world.lock().expect("whole").join(OTHERS);
    build.give();
    build.step();
    assert!(build.take(), "somebody that is no build waits his turn");
}

#[test]
fn fair_an_offer_that_nobody_takes_goes_to_those_who_wait() {
    let world = World::new(2, 1);
    let mut build = Build::new(&world, 0, Rule::Fair);
    let next = build.step();
    assert_eq!(next.at, Some(build.now + GRACE));
    let mut rest = FIRST_REST;
    for round in 0..8 {
        assert_eq!(build.lying(), 1, "round {round}");
        world.lock().expect("whole").join(OTHERS + round);
        build.step();
        assert_eq!(build.lying(), 1, "it has a moment");
        let next = build.later(GRACE);
        assert_eq!((build.lying(), next.at), (0, Some(build.now + rest)), "round {round}");
        assert!(world.lock().expect("whole").is_granted(OTHERS + round));
        // The next one waits already, so the build stays back for its time.
        world.lock().expect("whole").join(OTHERS + 50);
        build.later(rest - Duration::from_millis(1));
        assert!(!world.lock().expect("whole").queue.contains(&0));
        build.later(Duration::from_millis(1));
        assert!(world.lock().expect("whole").queue.contains(&0), "it tries again, at the end of the line");
        let mut all = world.lock().expect("whole");
        all.granted.clear();
        all.release();
        all.granted.clear();
        all.release();
        drop(all);
        build.step();
        rest = (rest * 2).min(LONGEST_REST);
    }
    assert!(build.take());
    build.step();
    assert_eq!(build.pump.rest, FIRST_REST, "who takes is not kept back");
}

#[test]
fn fair_a_build_that_rests_asks_again_when_nobody_waits_or_a_token_returns() {
    for token_returns in [false, true] {
        let world = World::new(3, 1);
        let mut build = Build::new(&world, 0, Rule::Fair);
        build.step();
        assert!(build.take());
        build.step();
        world.lock().expect("whole").join(OTHERS);
        build.later(GRACE);
        assert!(world.lock().expect("whole").is_granted(OTHERS));
        assert_eq!(build.lying(), 0);
        world.lock().expect("whole").join(OTHERS + 1);
        build.step();
        assert!(!world.lock().expect("whole").queue.contains(&0), "resting");
        if token_returns {
            build.give();
            build.step();
            assert!(world.lock().expect("whole").is_granted(OTHERS + 1), "who was first");
            assert!(world.lock().expect("whole").queue.contains(&0), "it wants it back");
        } else {
            world.lock().expect("whole").queue.clear();
            build.step();
            assert!(world.lock().expect("whole").queue.contains(&0), "at once");
        }
        assert!(world.lock().expect("whole").watches > 0);
    }
}

#[test]
fn greedy_an_offer_stands_whoever_waits_and_nothing_is_looked_at() {
    let world = World::new(2, 1);
    let mut build = Build::new(&world, 0, Rule::Greedy);
    assert_eq!(build.step().at, None);
    world.lock().expect("whole").join(1);
    build.later(Duration::from_secs(3600));
    assert_eq!((build.lying(), world.lock().expect("whole").watches), (1, 0));
}

#[test]
fn a_gate_that_is_shut_keeps_the_next_token_back_and_takes_none_away() {
    let dir = proc(4096, 0.0, 0.0);
    let gates = Gates { min_free: Some(2 << 30), proc: dir.path().to_owned(), ..Gates::default() };
    let world = World::new(8, 1);
    let mut build = Build::with(&world, 0, Rule::Fair, gates);
    build.step();
    assert!(build.take());
    let meminfo = dir.path().join("meminfo");
    let open = std::fs::read(&meminfo).expect("it reads");
    std::fs::write(&meminfo, "MemAvailable: 1024 kB\n").expect("written");
    let next = build.step();
    assert_eq!((build.lying(), build.used(), next.at), (0, 2, Some(build.now + gates::AGAIN)));
    std::fs::write(&meminfo, open).expect("written");
    build.later(gates::AGAIN);
    assert_eq!(build.lying(), 1);
}

#[test]
fn a_semaphore_that_says_no_is_asked_again_later_and_told_of() {
    let world = World::new(8, 1);
    world.lock().expect("whole").refuse = true;
    let mut build = Build::new(&world, 0, Rule::Greedy);
    let next = build.step();
    assert_eq!((build.lying(), next.at), (0, Some(build.now + AFTER_ERROR)));
    assert!(build.pump.news().is_some_and(|news| news.contains("1024 are waiting")));
    assert!(build.pump.news().is_none());
    build.later(AFTER_ERROR);
    assert_eq!(build.lying(), 1);
}

#[test]
fn without_notices_it_is_looked_while_tokens_are_out() {
    let world = World::new(8, 1);
    let channel = Channel::new(Style::Fifo).expect("a pipe").without_notices();
    let mut build = Build::on(channel, &world, 0, Rule::Greedy, Gates::default());
    assert_eq!(build.step().at, None, "none is out");
    assert!(build.take());
    assert_eq!(build.step().at, Some(build.now + LOOK));
    build.give();
    build.later(LOOK);
    assert_eq!((build.lying(), build.used(), build.next.and_then(|next| next.at)), (1, 2, None));
}

#[test]
fn all_permits_come_back_at_the_end_whatever_died_inside() {
    let world = World::new(5, 1);
    let mut build = Build::new(&world, 0, Rule::Fair);
    assert_eq!(build.take_all(), 4);
    build.give();
    build.pump.finish();
    let world = world.lock().expect("whole");
    assert_eq!((world.used, world.queue.len()), (1, 0), "but for the implicit one");
}

#[test]
fn a_storm_of_builds_never_exceeds_the_limit_and_serves_everybody() {
    for seed in 1..40u64 {
        let mut random = seed;
        let mut pick = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        let count = 2 + pick(3);
        let world = World::new((count + pick(6)) as u32, count as u32);
        let rule = if pick(2) == 0 { Rule::Fair } else { Rule::Greedy };
        let build =
            |who: usize| if (who + seed as usize).is_multiple_of(2) { Build::piped } else { Build::new }(&world, who, rule);
        let mut builds: Vec<_> = (0..count).map(build).collect();
        let mut served = vec![0; count];
        for _ in 0..3000 {
            let who = pick(count);
            let build = &mut builds[who];
            match pick(6) {
                0 | 1 => served[who] += usize::from(build.take()),
                2 | 3 if build.out > 0 => build.give(),
                4 => {
                    build.later(Duration::from_millis(pick(60) as u64));
                }
                _ => {
                    build.step();
                }
            }
            let out: usize = builds.iter().map(|build| build.out + build.lying()).sum();
            let world = world.lock().expect("whole");
            assert!(out + count <= world.limit as usize, "seed {seed}: {out} out, {world:?}");
        }
        let spare = world.lock().expect("whole").limit > count as u32;
        assert!(!spare || served.iter().all(|served| *served > 0), "seed {seed}: {served:?}");
        for build in builds {
            assert_eq!(build.pump.absorbed(), 0);
            build.pump.finish();
        }
        assert_eq!(world.lock().expect("whole").used, count as u32, "seed {seed}");
    }
}

#[test]
fn piped_a_return_is_seen_by_nobody_else_and_leaves_the_offer_alone() {
    let world = World::new(4, 1);
    let mut build = Build::piped(&world, 0, Rule::Fair);
    assert_eq!(build.take_all(), 3);
    build.give();
    assert!(!build.take(), "it is not there to be taken");
    // The build asked for another one long ago, so it is the first.
    assert_eq!(build.take_all(), 3);
    world.lock().expect("whole").join(OTHERS);
    build.give();
    build.step();
    assert_eq!(build.lying(), 1, "the build was first again");
    build.give();
    build.step();
    assert!(world.lock().expect("whole").is_granted(OTHERS));
    assert_eq!((build.lying(), build.used()), (1, 4), "the offer stands");
}

#[test]
fn piped_tokens_that_were_never_acquired_are_absorbed() {
    let world = World::new(4, 1);
    let mut build = Build::piped(&world, 0, Rule::Fair);
    build.step();
    for _ in 0..5 {
        build.give();
    }
    build.step();
    assert_eq!((build.lying(), build.used(), build.pump.absorbed()), (1, 2, 5));
    assert!(build.take());
    build.give();
    build.give();
    build.step();
    assert_eq!((build.lying(), build.used(), build.pump.absorbed()), (1, 2, 6));
}
