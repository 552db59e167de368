//! Scenarios, and the bugs that they must catch. `--nocapture` shows how many states each has.

use super::Bug;
use super::explore::explore;
use super::plan::{Op::*, Plan, plan};
use super::spec::Property::{self, *};
use super::state::NODES;
use std::vec::Vec;
use std::{println, vec};

/// Every property holds in every state of each scenario. Returns the number of states.
fn holds(plans: impl IntoIterator<Item = Plan>) -> usize {
    let check = |plan: Plan| {
        let explored = explore(&plan, None);
        println!("{:>9} states  {}", explored.states, plan.name);
        if let Some((property, trace)) = explored.broken.first_key_value() {
            panic!("{}: {property:?} does not hold\n{trace}\n", plan.name);
        }
        explored.states
    };
    plans.into_iter().map(check).sum()
}

/// Every property holds in every state of the scenario, but with `bug` seeded none of these does.
fn caught(bug: Bug, plan: Plan, by: &[Property]) {
    let explored = explore(&plan, Some(bug));
    let broken: Vec<_> = explored.broken.keys().collect();
    println!("{:>9} states  {bug:?} breaks {broken:?}", explored.states);
    for property in by {
        assert!(broken.contains(&property), "{bug:?} does not break {property:?} in {}, but {broken:?}", plan.name);
    }
    holds([plan]);
}

// --- Scenarios that several tests use.

/// Two wait, and two releases are just enough.
fn two_and_two() -> Plan {
    plan("two acquisitions, two releases", 0)
        .thread(&[Acquire(1)])
        .thread(&[Acquire(2)])
        .thread(&[Release(1)])
        .thread(&[Release(2)])
}

/// More fit than a batch holds, while another deposits.
fn more_than_a_batch() -> Plan {
    plan("more than a batch fit", 0).in_ones().queue(&[1, 1, 1]).thread(&[Release(2)]).thread(&[Release(1)])
}

/// The front needs more than there is, and goes away.
fn front_goes_away() -> Plan {
    plan("the front goes away", 1).queue(&[2, 1]).thread(&[Own(0), Cancel]).thread(&[Release(1)])
}

/// A deposit that the first waiter's grant leaves something of, and an attempt by the same thread.
fn own_release_then_try() -> Plan {
    plan("release(5), then try_acquire(1)", 0).queue(&[1]).thread(&[Release(5), Try(1)]).thread(&[Release(1)])
}

/// A close, then a poll by the same thread, while another tells the rest.
fn close_then_poll() -> Plan {
    plan("close, then poll", 0)
        .in_ones()
        .queue(&[1, 1, 1])
        .thread(&[Own(2), Close, Poll])
        .thread(&[Release(1)])
        .thread(&[Own(0), Cancel])
}

/// Three want LOCKED.
fn three_for_the_lock() -> Plan {
    plan("three want LOCKED", 0)
        .queue(&[1])
        .thread(&[Own(0), Repoll, Cancel])
        .thread(&[Join(1), Cancel])
        .thread(&[Join(2)])
}

#[test]
fn the_protocol_loses_no_wake_up() {
    holds([
        two_and_two(),
        plan("permits go round", 1)
            .thread(&[Acquire(2), Release(2)])
            .thread(&[Acquire(1), Release(1)])
            .thread(&[Release(1), Acquire(1)]),
        plan("a newcomer behind a queue", 1)
            .queue(&[2, 1])
            .thread(&[Release(1)])
            .thread(&[Release(1)])
            .thread(&[Acquire(1)]),
        plan("requests for nothing", 0)
            .queue(&[1])
            .thread(&[Acquire(0), Release(1)])
            .thread(&[Try(0)])
            .thread(&[Close]),
        plan("a small one behind a large one", 1)
            .thread(&[Acquire(3)])
            .thread(&[Acquire(1), Release(1)])
            .thread(&[Release(2)])
            .thread(&[Try(1)]),
        plan("release while others acquire", 1)
            .thread(&[Acquire(1), Release(1)])
            .thread(&[Acquire(1), Release(1)])
            .thread(&[Acquire(1), Release(1)]),
    ]);
}

#[test]
fn batches_and_debts_serve_everybody() {
    holds([
        more_than_a_batch(),
        plan("more than a batch, and a newcomer", 0)
            .in_ones()
            .queue(&[1, 1, 1])
            .thread(&[Release(2)])
            .thread(&[Release(1)])
            .thread(&[Acquire(1)]),
        plan("more than a batch of two", 0)
            .queue(&[1, 1, 1, 1])
            .thread(&[Release(3)])
            .thread(&[Release(2)])
            .thread(&[Acquire(1)]),
        plan("two debts", 0)
            .in_ones()
            .queue(&[1, 1, 1, 1])
            .thread(&[Release(2)])
            .thread(&[Release(2)])
            .thread(&[Own(3), Cancel]),
        plan("a debt, a withdrawal, an attempt", 0)
            .in_ones()
            .queue(&[1, 2, 1])
            .thread(&[Release(5)])
            .thread(&[Own(1), Cancel])
            .thread(&[Try(1)]),
    ]);
}

#[test]
fn a_withdrawal_serves_those_behind_and_loses_no_grant() {
    holds([
        front_goes_away(),
        plan("a grant meets its withdrawal", 0).thread(&[Join(1), Cancel]).thread(&[Release(1)]).thread(&[Acquire(1)]),
        plan("neighbours withdraw", 0)
            .queue(&[2, 1, 1])
            .thread(&[Own(0), Cancel])
            .thread(&[Own(1), Cancel])
            .thread(&[Release(1)]),
        plan("times are up", 0).thread(&[Timed(1)]).thread(&[Timed(2)]).thread(&[Release(2)]),
        plan("a withdrawal, two releases, an acquisition", 0)
            .thread(&[Join(2), Cancel])
            .thread(&[Acquire(1)])
            .thread(&[Release(1)])
            .thread(&[Release(1)]),
        plan("another waker", 0)
            .queue(&[1, 1])
            .thread(&[Own(0), Repoll, Wait])
            .thread(&[Own(1), Repoll, Cancel])
            .thread(&[Release(1)]),
    ]);
}

#[test]
fn close_fails_nobody_who_fits_and_leaves_nobody_pending() {
    holds([
        close_then_poll(),
        plan("close while more than a batch fit", 0)
            .in_ones()
            .queue(&[1, 1, 1])
            .thread(&[Release(2)])
            .thread(&[Close])
            .thread(&[Own(2), Poll]),
        plan("two close", 0)
            .in_ones()
            .queue(&[1, 1])
            .thread(&[Close, Available])
            .thread(&[Own(1), Close, Poll])
            .thread(&[Release(1)]),
        plan("close, acquire, release", 1)
            .thread(&[Acquire(1), Release(1)])
            .thread(&[Acquire(1)])
            .thread(&[Close, Join(1)])
            .thread(&[Release(1)]),
        plan("close against everything", 0)
            .in_ones()
            .queue(&[1, 1])
            .thread(&[Release(2)])
            .thread(&[Close])
            .thread(&[Own(1), Cancel])
            .thread(&[Try(1)]),
        plan("close and a withdrawal", 1).thread(&[Join(2), Cancel]).thread(&[Acquire(1)]).thread(&[Close, Try(1)]),
    ]);
}

#[test]
fn answers_are_exact() {
    holds([
        own_release_then_try(),
        plan("all who count", 0)
            .queue(&[1])
            .thread(&[Release(3), Try(1)])
            .thread(&[Release(1), Available])
            .thread(&[Forget(2)]),
        plan("a count after a debt", 0)
            .in_ones()
            .queue(&[1, 1])
            .thread(&[Release(3), Available])
            .thread(&[Forget(1)])
            .thread(&[Own(1), Cancel]),
        plan("counts, an attempt and a time-out", 1)
            .queue(&[2])
            .thread(&[Release(2), Available])
            .thread(&[Timed(1)])
            .thread(&[Forget(1)])
            .thread(&[Try(1)]),
        plan("a count beside an enqueuer", 2)
            .thread(&[Join(3)])
            .thread(&[Release(1), Available])
            .thread(&[Forget(1), Try(1)]),
    ]);
}

#[test]
fn an_overflow_changes_nothing_and_a_waiter_makes_room() {
    holds([
        plan("one too many", 3).at_most(3, 0).thread(&[Release(1)]).thread(&[Acquire(2)]).thread(&[Release(2)]),
        plan("served from the hand", 2)
            .at_most(3, 0)
            .queue(&[3, 1])
            .thread(&[Release(3)])
            .thread(&[Release(2)])
            .thread(&[Own(0), Cancel]),
        plan("some add blindly", 2)
            .at_most(4, 1)
            .queue(&[3, 1])
            .thread(&[Release(3)])
            .thread(&[Release(1)])
            .thread(&[Acquire(2)]),
        plan("an overflow meets a debt", 0)
            .at_most(3, 0)
            .in_ones()
            .queue(&[1, 1])
            .thread(&[Release(2)])
            .thread(&[Release(3)])
            .thread(&[Close]),
    ]);
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_served() {
    holds([
        plan("the first panics", 0)
            .in_ones()
            .queue(&[1, 1, 1])
            .panicking(&[0])
            .thread(&[Release(2)])
            .thread(&[Release(1)])
            .thread(&[Acquire(1)]),
        plan("all panic", 0).queue(&[1, 1, 1]).panicking(&[0, 1, 2]).thread(&[Release(3)]).thread(&[Try(1), Available]),
    ]);
}

#[test]
fn nobody_sleeps_for_a_free_lock() {
    holds([
        three_for_the_lock(),
        plan("sleepers and releases", 0)
            .queue(&[1])
            .thread(&[Join(1), Cancel])
            .thread(&[Join(1), Cancel])
            .thread(&[Release(1), Release(1)]),
    ]);
}

/// A scenario by chance; the same for the same seed.
fn by_chance(seed: u64, threads: usize) -> Plan {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |n: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 32) as usize % n
    };
    let permits = below(3);
    let mut plan = plan("by chance", permits);
    if below(2) == 0 {
        plan = plan.in_ones();
    }
    if below(3) == 0 {
        plan = plan.at_most(3, 0);
    }
    if below(3) == 0 {
        plan = plan.panicking(&[below(3), below(6)]);
    }
    let queue: Vec<_> = (0..below(4)).map(|at| if at == 0 { 3 } else { 1 + below(3) }).collect();
    if !queue.is_empty() {
        plan = plan.queue(&queue);
    }
    let (mut joins, mut released) = (queue.len(), permits);
    for thread in 0..threads {
        let mut script = vec![];
        if thread < queue.len() && below(2) == 0 {
            script.push(Own(thread));
        }
        for _ in 0..1 + below(3) {
            let op = match below(if script.iter().any(|op| op.is_on_node()) { 16 } else { 11 }) {
                0 => Join(below(4)),
                1 => Join(1 + below(2)),
                2 => Acquire(1 + below(3)),
                3 => Timed(1 + below(3)),
                4 => Try(below(3)),
                5 => Forget(1 + below(2)),
                6 => Available,
                7 => Close,
                8 => Release(1),
                9 | 10 => Release(1 + below(3)),
                11 => Poll,
                12 => Repoll,
                13 if thread > 0 => Interrupted(0),
                _ => Cancel,
            };
            joins += usize::from(matches!(op, Join(_) | Acquire(_) | Timed(_)));
            released += if let Release(n) = op { n } else { 0 };
            if joins <= NODES && released <= plan.max.max(9) {
                script.push(op);
            }
        }
        plan = plan.thread(&script);
    }
    plan
}

#[test]
fn scenarios_by_chance_hold() {
    let states = (0..150).map(|seed| explore_by_chance(seed, 2)).sum::<usize>();
    println!("{states:>9} states  by chance");
}

fn explore_by_chance(seed: u64, threads: usize) -> usize {
    let plan = by_chance(seed, threads);
    let explored = explore(&plan, None);
    if let Some((property, trace)) = explored.broken.first_key_value() {
        panic!("seed {seed}: {property:?} does not hold in {plan:?}\n{trace}\n");
    }
    explored.states
}

/// Takes a minute, and a gigabyte.
#[test]
#[ignore]
fn soak_larger_scenarios_hold() {
    holds([
        plan("two debts, and another waker", 0)
            .in_ones()
            .queue(&[1, 1, 1, 1])
            .thread(&[Release(2)])
            .thread(&[Release(2)])
            .thread(&[Own(2), Cancel])
            .thread(&[Own(3), Repoll]),
        plan("close against everything, and a newcomer", 0)
            .in_ones()
            .queue(&[1, 1])
            .thread(&[Release(2)])
            .thread(&[Close])
            .thread(&[Own(1), Cancel])
            .thread(&[Join(1), Poll]),
        plan("permits go round among four", 1)
            .thread(&[Acquire(2), Release(2)])
            .thread(&[Acquire(1), Release(1)])
            .thread(&[Release(1), Acquire(1)])
            .thread(&[Timed(1)]),
    ]);
}

/// Takes minutes.
#[test]
#[ignore]
fn soak_scenarios_by_chance_hold() {
    for threads in [2, 3] {
        let states = (1000..1200).map(|seed| explore_by_chance(seed, threads)).sum::<usize>();
        println!("{states:>9} states  by chance, with {threads} threads");
    }
}

// --- Seeded bugs.

#[test]
fn mutant_blind_unlock_is_caught() {
    caught(Bug::BlindUnlock, two_and_two(), &[I3, NoLostWakeUp]);
}

#[test]
fn mutant_clear_queued_is_caught() {
    caught(Bug::ClearQueued, two_and_two(), &[I1, I2, NobodyOvertakes, NoLostWakeUp]);
}

#[test]
fn mutant_debt_unpaid_is_caught() {
    caught(Bug::DebtUnpaid, more_than_a_batch(), &[NoLostWakeUp]);
}

#[test]
fn mutant_panic_skips_debt_is_caught() {
    caught(Bug::PanicSkipsDebt, more_than_a_batch().panicking(&[0]), &[NoLostWakeUp]);
    let rest = plan("the first of a batch panics", 0).queue(&[1, 1]).panicking(&[0]).thread(&[Release(2)]);
    caught(Bug::PanicSkipsDebt, rest, &[WokenOnce]);
}

#[test]
fn mutant_cancel_without_serving_is_caught() {
    caught(Bug::CancelWithoutServing, front_goes_away(), &[I3, NoLostWakeUp]);
}

#[test]
fn mutant_grant_lost_is_caught() {
    let plan = plan("a grant meets its withdrawal", 0).thread(&[Join(1), Cancel]).thread(&[Release(1)]);
    caught(Bug::GrantLost, plan, &[PermitsConserved]);
}

#[test]
fn mutant_close_fails_served_head_is_caught() {
    let plan = plan("close meets a deposit", 0).queue(&[1]).thread(&[Close]).thread(&[Release(1)]);
    caught(Bug::CloseFailsServedHead, plan, &[FittingFrontsSurviveClose]);
}

#[test]
fn mutant_close_owing_is_caught() {
    let plan =
        plan("close meets a large deposit", 0).in_ones().queue(&[1, 1, 1]).thread(&[Close]).thread(&[Release(2)]);
    caught(Bug::CloseOwing, plan, &[CloseCloses]);
}

#[test]
fn mutant_poll_misses_close_is_caught() {
    caught(Bug::PollMissesClose, close_then_poll(), &[NothingPendsAfterClose]);
}

#[test]
fn mutant_answer_in_motion_is_caught() {
    caught(Bug::AnswerInMotion, own_release_then_try(), &[AnswersExact]);
    let plan = plan("release(2), then available", 0).queue(&[1]).thread(&[Release(2), Available]).thread(&[Release(1)]);
    caught(Bug::AnswerInMotion, plan, &[AnswersExact]);
}

#[test]
fn mutant_settle_owing_is_caught() {
    let plan =
        plan("an attempt meets a debt", 0).in_ones().queue(&[1, 1]).thread(&[Release(4), Try(1)]).thread(&[Join(1)]);
    caught(Bug::SettleOwing, plan, &[AnswersExact]);
}

#[test]
fn mutant_sleep_unannounced_is_caught() {
    caught(Bug::SleepUnannounced, three_for_the_lock(), &[NobodySleepsForLock]);
}

#[test]
fn mutant_overtake_is_caught() {
    let plan = plan("an attempt beside a queue", 1).queue(&[2]).thread(&[Try(1)]).thread(&[Release(1)]);
    caught(Bug::Overtake, plan, &[NobodyOvertakes, I4, PermitsInRange]);
}

/// A thread releases, by which the second waiter is served, and then interrupts it. The release was left to the holder,
/// and this one owes.
#[test]
fn mutant_give_up_in_motion_is_caught() {
    let plan = plan("an interrupt behind a debt", 0)
        .in_ones()
        .queue(&[1, 1])
        .thread(&[Release(2)])
        .thread(&[Own(1), Interrupted(0)])
        .thread(&[Join(1)]);
    caught(Bug::GiveUpInMotion, plan, &[AnswersExact]);
}

/// A thread closes, and then interrupts the last waiter. To tell it was left to another, who owes.
#[test]
fn mutant_give_up_in_motion_after_close_is_caught() {
    let plan = plan("an interrupt behind a close", 0)
        .in_ones()
        .queue(&[1, 1, 1, 1])
        .thread(&[Close])
        .thread(&[Own(3), Interrupted(0)])
        .thread(&[Own(1), Cancel]);
    caught(Bug::GiveUpInMotion, plan, &[AnswersExact]);
}

/// A withdrawal takes LOCKED, finds that it has been granted meanwhile, and serves others.
#[test]
fn mutant_panic_loses_grant_is_caught() {
    let plan = plan("a grant, a withdrawal, a panic", 0)
        .queue(&[1, 1, 1])
        .panicking(&[1])
        .thread(&[Release(1)])
        .thread(&[Own(0), Cancel])
        .thread(&[Release(1)]);
    caught(Bug::PanicLosesGrant, plan, &[PermitsConserved]);
}

#[test]
fn mutant_panic_ends_release_is_caught() {
    let plan = plan("too many, a debt, a panic", 0)
        .at_most(3, 0)
        .in_ones()
        .queue(&[1, 1])
        .panicking(&[1])
        .thread(&[Release(2)])
        .thread(&[Release(3)]);
    caught(Bug::PanicEndsRelease, plan, &[ReleaseReleases]);
}

#[test]
fn mutant_panic_ends_close_is_caught() {
    let plan = plan("close, a debt, a panic", 0)
        .in_ones()
        .queue(&[1, 1, 1])
        .panicking(&[0])
        .thread(&[Release(2)])
        .thread(&[Close]);
    caught(Bug::PanicEndsClose, plan, &[CloseCloses]);
}

#[test]
fn mutant_add_first_is_caught() {
    let plan = plan("one too many beside an acquisition", 3).at_most(3, 0).thread(&[Release(1)]).thread(&[Acquire(2)]);
    caught(Bug::AddFirst, plan, &[WordAsSpecified, NoLostWakeUp]);
}
