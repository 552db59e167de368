//! Random scripts of one driver, step by step, against the list as a sequential program would have it.
//!
//! The model knows each ticket: whether somebody will come for it, has come, was notified, has left. While nobody leaves,
//! the list is exactly Go's: each `notify_one` notifies the first ticket that was not. When somebody leaves, no
//! notification is lost: as long as anybody is there who was not notified, each call notifies somebody; of those in line at
//! most the first, and nobody passes it.
use super::super::line::looks;
use super::super::{Notified, NotifyList, Ticket};
use super::STARTS;
use crate::WaitOptions;
use proptest::prelude::*;
use std::boxed::Box;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Wake, Waker};
use std::time::Instant;
use std::vec::Vec;

#[derive(Clone, Copy, Debug)]
enum Step {
    Add,
    /// A ticket in hand joins the line (or returns, if it was notified).
    Come {
        which: usize,
    },
    NotifyOne,
    NotifyAll,
    /// One in line is polled, perhaps with another waker.
    Poll {
        which: usize,
        renew: bool,
    },
    /// Somebody leaves: a ticket or a task is dropped.
    Drop {
        which: usize,
    },
    /// Somebody's deadline has come.
    TimeOut {
        which: usize,
    },
}

fn step(leaves: bool) -> BoxedStrategy<Step> {
    let stays = prop_oneof![
        5 => Just(Step::Add),
        5 => any::<usize>().prop_map(|which| Step::Come { which }),
        4 => Just(Step::NotifyOne),
        1 => Just(Step::NotifyAll),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(which, renew)| Step::Poll { which, renew }),
    ];
    if !leaves {
        return stays.boxed();
    }
    prop_oneof![
        10 => stays,
        3 => any::<usize>().prop_map(|which| Step::Drop { which }),
        2 => any::<usize>().prop_map(|which| Step::TimeOut { which }),
    ]
    .boxed()
}

/// A waker that notes that it was woken.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        assert!(!self.0.swap(true, SeqCst), "woken twice");
    }
}

enum Form<'a> {
    InHand(Ticket<'a>),
    InLine(Pin<Box<Notified<'a>>>, Arc<Flag>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    One,
    All,
}

/// Somebody who has not left, and has not seen a notification.
struct Live<'a> {
    /// Counts from 0: the order of the tickets.
    number: usize,
    form: Form<'a>,
    by: Option<By>,
}

impl Live<'_> {
    fn is_in_line(&self) -> bool {
        matches!(self.form, Form::InLine(..))
    }

    /// Whether it was notified.
    fn is_notified(&self) -> bool {
        match &self.form {
            Form::InHand(ticket) => ticket.is_notified(),
            Form::InLine(_, flag) => flag.0.load(SeqCst),
        }
    }
}

struct Driver<'a> {
    list: &'a NotifyList,
    start: u32,
    /// In the order of their tickets.
    live: Vec<Live<'a>>,
    added: usize,
    somebody_left: bool,
}

impl<'a> Driver<'a> {
    /// Who was not notified before and is now; each is noted as notified by `by`.
    fn newly_notified(&mut self, by: By) -> Vec<usize> {
        let new = self.live.iter_mut().filter(|live| live.by.is_none() && live.is_notified());
        new.map(|live| {
            live.by = Some(by);
            live.number
        })
        .collect()
    }

    /// The numbers of those who were not notified and of whom `choice` says yes.
    fn waiting(&self, choice: impl Fn(&Live<'_>) -> bool) -> Vec<usize> {
        self.live.iter().filter(|live| live.by.is_none() && choice(live)).map(|live| live.number).collect()
    }

    /// A notification, made or passed on by `notify`, has gone where it should.
    fn one(&mut self, notify: impl FnOnce(&mut Self)) {
        let before = self.waiting(|_| true);
        let line = self.waiting(|live| live.is_in_line());
        let looks = looks::so_far();
        notify(self);
        assert!(looks::so_far() - looks <= 2, "G50");
        let new = self.newly_notified(By::One);
        assert_eq!(new.is_empty(), before.is_empty(), "a notification was lost");
        assert!(before.starts_with(&new), "{new:?} were notified of {before:?}: somebody was passed");
        let woken = line.iter().filter(|number| new.contains(number)).count();
        assert!(woken <= 1, "{woken} in line were woken by one notification");
        if !self.somebody_left || line.len() == before.len() {
            assert!(new.len() <= 1, "G48: exactly one ticket, {new:?}");
        }
    }

    /// Nobody else was notified.
    fn none(&mut self) {
        assert_eq!(self.newly_notified(By::One), Vec::<usize>::new());
    }

    fn choose(&self, which: usize, choice: impl Fn(&Live<'_>) -> bool) -> Option<usize> {
        let of: Vec<_> = (0..self.live.len()).filter(|&at| choice(&self.live[at])).collect();
        (!of.is_empty()).then(|| of[which % of.len()])
    }

    fn come(&mut self, which: usize) {
        let Some(at) = self.choose(which, |live| !live.is_in_line()) else { return };
        let Live { number, form, by } = self.live.remove(at);
        let Form::InHand(ticket) = form else { unreachable!("it was chosen for that") };
        let flag = Arc::new(Flag::default());
        let mut task = Box::pin(ticket.notified());
        let ready = task.as_mut().poll(&mut Context::from_waker(&flag.clone().into())).is_ready();
        assert_eq!(ready, by.is_some(), "G45");
        if !ready {
            self.live.insert(at, Live { number, form: Form::InLine(task, flag), by });
        }
        self.none();
    }

    fn poll(&mut self, which: usize, renew: bool) {
        let Some(at) = self.choose(which, |live| live.is_in_line()) else { return };
        let live = &mut self.live[at];
        let Form::InLine(task, flag) = &mut live.form else { unreachable!("it was chosen for that") };
        if renew && live.by.is_none() {
            *flag = Arc::default();
        }
        let waker = Waker::from(flag.clone());
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            assert!(live.by.is_some(), "nobody notified it");
            self.live.remove(at);
        } else {
            assert!(live.by.is_none(), "it was notified");
        }
        self.none();
    }

    fn drop(&mut self, which: usize) {
        let Some(at) = self.choose(which, |_| true) else { return };
        let leaver = self.live.remove(at);
        self.somebody_left = true;
        match leaver.by {
            Some(By::One) => self.one(|_| drop(leaver)),
            _ => {
                drop(leaver);
                self.none();
            }
        }
    }

    fn time_out(&mut self, which: usize) {
        let Some(at) = self.choose(which, |_| true) else { return };
        let Live { form, by, .. } = self.live.remove(at);
        let expired = WaitOptions::new().deadline(Instant::now());
        let result = match form {
            Form::InHand(ticket) => ticket.notified().wait_with(expired),
            Form::InLine(mut task, _) => task.as_mut().wait_pinned(expired),
        };
        assert_eq!(result.is_ok(), by.is_some());
        self.somebody_left |= by.is_none();
        self.none();
    }

    fn check(&self) {
        let (queued, settled, voids) = self.list.inside();
        let waiting: Vec<_> = self.live.iter().filter(|live| live.by.is_none()).collect();
        assert_eq!(queued as usize, waiting.iter().filter(|live| live.is_in_line()).count());
        if self.somebody_left && waiting.iter().any(|live| !live.is_in_line()) {
            assert!(self.list.num_waiters() <= waiting.len());
        } else {
            assert_eq!(self.list.num_waiters(), waiting.len());
        }
        if !self.somebody_left {
            assert_eq!((settled, voids), (0, 0), "nothing but Go's list");
            let first = waiting.first().map_or(self.added, |live| live.number);
            let next = self.start.wrapping_add(u32::try_from(first).unwrap());
            assert_eq!(self.list.notify.load(super::super::Relaxed), next);
        }
        for live in &self.live {
            if let Form::InHand(ticket) = &live.form {
                assert_eq!(ticket.number(), self.start.wrapping_add(u32::try_from(live.number).unwrap()));
                assert_eq!(ticket.is_notified(), live.by.is_some());
            }
        }
    }

    fn run(&mut self, steps: &[Step]) {
        for &step in steps {
            match step {
                Step::Add => {
                    let form = Form::InHand(self.list.add());
                    self.live.push(Live { number: self.added, form, by: None });
                    self.added += 1;
                }
                Step::Come { which } => self.come(which),
                Step::NotifyOne => self.one(|driver| driver.list.notify_one()),
                Step::NotifyAll => {
                    let (notify, wait) = self.list.look();
                    self.list.notify_all();
                    self.newly_notified(By::All);
                    assert!(self.live.iter().all(|live| live.by.is_some() && live.is_notified()), "G47");
                    if notify != wait {
                        // Whom `notify_one` had notified before need not pass it on any more.
                        self.live.iter_mut().for_each(|live| live.by = Some(By::All));
                    }
                }
                Step::Poll { which, renew } => self.poll(which, renew),
                Step::Drop { which } => self.drop(which),
                Step::TimeOut { which } => self.time_out(which),
            }
            self.check();
        }
        // Whoever is left can be reached, one by one.
        while self.live.iter().any(|live| live.by.is_none()) {
            self.one(|driver| driver.list.notify_one());
        }
        assert_eq!(self.list.num_waiters(), 0);
    }
}

fn run(start: u32, steps: &[Step]) {
    let list = NotifyList::starting_at(start);
    let mut driver = Driver { list: &list, start, live: Vec::new(), added: 0, somebody_left: false };
    driver.run(steps);
    driver.live.clear();
    // Where it was not known which tickets were void, some may be left.
    list.notify_one();
    assert_eq!((list.num_waiters(), list.inside()), (0, (0, 0, 0)));
}

fn config() -> ProptestConfig {
    let cases = std::env::var("GATEPOST_SCRIPTS").map_or(2_000, |n| n.parse().expect("a number of scripts"));
    ProptestConfig { cases, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn g44_to_g50_while_nobody_leaves_it_is_gos_list(
        start in prop::sample::select(&STARTS[..]),
        steps in prop::collection::vec(step(false), 1..120),
    ) {
        run(start, &steps);
    }

    #[test]
    fn whoever_leaves_no_notification_is_lost(
        start in prop::sample::select(&STARTS[..]),
        steps in prop::collection::vec(step(true), 1..120),
    ) {
        run(start, &steps);
    }
}
