//! Chance instead of a scheduler, and the laws that hold whatever it does.
//!
//! Since one thread takes all steps, no call is in flight between two of them: each such moment is a quiescent point.

use super::machine::{Machine, State};
use super::trace::{Ending, On, Trace};
use std::vec::Vec;

/// So many steps are too many.
const STEPS: usize = 1_000_000;

impl Machine<'_> {
    /// From the beginning to the end; checks the laws after each step.
    ///
    /// # Panics
    /// If one is broken.
    pub(super) fn run_at_random(mut self) -> Trace {
        for _ in 0..STEPS {
            let now = self.now();
            if now > self.plan.limit {
                return self.finish(Some(Ending::Limit));
            }
            let can = |who: &usize| matches!(self.tasks[*who].state, State::Ready | State::Running(_));
            let able: Vec<usize> = (0..self.tasks.len()).filter(can).collect();
            let due: Vec<usize> =
                self.deadlines().filter(|(_, deadline)| deadline.has_come(now)).map(|(who, _)| who).collect();
            if able.is_empty() && due.is_empty() {
                let Some(next) = self.deadlines().map(|(_, deadline)| deadline.when()).min() else {
                    return self.finish(None);
                };
                self.set_now(next);
                continue;
            }
            let choice = self.chance.below(able.len() + due.len());
            match able.get(choice) {
                None => self.expire(due[choice - able.len()]),
                Some(&who) => self.step_of(who),
            }
            self.check();
        }
        self.finish(Some(Ending::Spinning))
    }

    fn step_of(&mut self, who: usize) {
        if self.tasks[who].state == State::Ready {
            self.tasks[who].state = State::Running(who);
            self.record(who, super::What::Runs(who));
        }
        let left = self.tasks[who].left;
        if left > 0 {
            self.set_now(self.now() + left);
            self.next(who);
        } else {
            self.set_now(self.now() + 1); // so that deadlines come
            self.step(who);
        }
    }

    /// The laws.
    fn check(&self) {
        let blocked =
            |on: On| self.tasks.iter().filter(move |task| matches!(task.state, State::Blocked(at, _) if at == on));
        for (which, counted) in self.semaphores.iter().enumerate() {
            let (count, waiters) = (counted.semaphore.count(), counted.semaphore.num_waiters());
            let on = On::Semaphore(super::SemaphoreId(which));
            assert_eq!(waiters as usize, blocked(on).count(), "who is blocked on semaphore {which} is in its queue");
            assert!(
                waiters == 0 || count < 0,
                "{waiters} wait for semaphore {which}, and its count is {count}: the next post wakes nobody"
            );
            let law = counted.initial.max(0) + counted.posts - counted.passed;
            assert_eq!(count.max(0), law, "Z14: what went into semaphore {which} is in it, or came out");
        }
        for (which, locked) in self.mutexes.iter().enumerate() {
            let on = On::Mutex(super::MutexId(which));
            let holder = locked.holder.map(|holder| &self.tasks[holder]);
            assert!(blocked(on).count() == 0 || holder.is_some(), "mutex {which} is free, and somebody waits for it");
            assert!(
                holder.is_none_or(|holder| holder.state != State::Ended && holder.holds.contains(&which)),
                "whoever holds mutex {which} will give it up"
            );
        }
        for (which, queue) in self.queues.iter().enumerate() {
            let on = On::Queue(super::QueueId(which));
            assert_eq!(queue.num_waiters() as usize, blocked(on).count(), "who is blocked on queue {which} is in it");
        }
        for (who, task) in self.tasks.iter().enumerate() {
            let naive = self.weighs(who, 0);
            assert_eq!(task.block.effective_weight(), naive, "K2: what thread {who} weighs");
            assert!(!self.plan.inheritance || task.weight == naive, "K2: and what the platform was told of it");
        }
    }

    /// The effective weight of a thread by its definition: its own, and that of all who wait for it.
    fn weighs(&self, who: usize, depth: usize) -> u64 {
        assert!(depth <= self.tasks.len(), "K3: threads wait for one another in a circle");
        let waits_for_it = |task: &super::machine::Task<'_>| match task.state {
            State::Blocked(On::Mutex(which), _) => self.mutexes[which.0].holder == Some(who),
            State::Blocked(On::Queue(which), _) => {
                self.queues[which.0].owner().is_some_and(|owner| core::ptr::eq(owner, self.tasks[who].block))
            }
            _ => false,
        };
        let inherited = self.tasks.iter().enumerate().filter(|(_, task)| waits_for_it(task));
        self.tasks[who].block.platform().base.get()
            + inherited.map(|(other, _)| self.weighs(other, depth + 1)).sum::<u64>()
    }
}
