//! Who runs, and how time passes.
//!
//! **H1.** Whenever time passes, no thread that is ready weighs more than one that runs; but one that was woken synchronously is not ready
//! before its waker has left the processor.
//!
//! To find out costs a sort of all threads at each step: a simulation is small.

use super::machine::{Machine, State};
use super::trace::{Ending, Trace, What};
use core::cmp::Reverse;
use std::vec::Vec;

/// So many steps that take no time are too many.
const STEPS: usize = 1_000_000;

impl Machine<'_> {
    /// From the beginning to the end.
    pub(super) fn run_scheduled(mut self) -> Trace {
        let mut steps = 0;
        loop {
            self.schedule();
            let moving: Vec<usize> = self.running().filter(|&who| self.tasks[who].left == 0).collect();
            if !moving.is_empty() {
                steps += 1;
                if steps > STEPS {
                    return self.finish(Some(Ending::Spinning));
                }
                let who = moving[self.chance.below(moving.len())];
                self.step(who);
                continue;
            }
            let Some(next) = self.next_event() else { return self.finish(None) };
            if next > self.plan.limit {
                self.set_now(self.plan.limit);
                return self.finish(Some(Ending::Limit));
            }
            if next > self.now() {
                steps = 0;
            }
            self.pass(next);
        }
    }

    fn running(&self) -> impl Iterator<Item = usize> {
        let runs = |(who, state)| matches!(state, State::Running(_)).then_some(who);
        self.tasks.iter().map(|task| task.state).enumerate().filter_map(runs)
    }

    /// Gives the processors to the most urgent.
    fn schedule(&mut self) {
        let mut free = vec![true; self.plan.processors];
        for who in self.running() {
            if let State::Running(processor) = self.tasks[who].state {
                free[processor] = false;
            }
        }
        let first_of_its_equals = |task: &mut super::machine::Task<'_>| {
            task.handed = None;
            task.turn.0 = 0;
        };
        let left = |task: &super::machine::Task<'_>| task.handed.is_some_and(|processor| free[processor]);
        self.tasks.iter_mut().filter(|task| left(task)).for_each(first_of_its_equals);

        let could = |who: &usize| {
            let task = &self.tasks[*who];
            matches!(task.state, State::Ready | State::Running(_)) && task.handed.is_none()
        };
        let mut chosen: Vec<usize> = (0..self.tasks.len()).filter(could).collect();
        chosen.sort_by_key(|&who| (Reverse(self.tasks[who].weight), self.tasks[who].turn));
        let displaced = chosen.split_off(chosen.len().min(self.plan.processors));
        for who in displaced {
            if let State::Running(processor) = self.tasks[who].state {
                free[processor] = true;
                self.tasks[who].state = State::Ready;
                self.record(who, What::Displaced);
            }
        }
        // Each where it was last, if that is free.
        chosen.retain(|&who| self.tasks[who].state == State::Ready);
        let (stays, moves): (Vec<usize>, Vec<usize>) =
            chosen.into_iter().partition(|&who| core::mem::take(&mut free[self.tasks[who].processor]));
        for who in stays {
            self.place(who, self.tasks[who].processor);
        }
        for who in moves {
            let processor = free.iter().position(|&free| free).expect("as many are chosen as there are processors");
            free[processor] = false;
            self.place(who, processor);
        }
    }

    fn place(&mut self, who: usize, processor: usize) {
        let task = &mut self.tasks[who];
        (task.state, task.processor) = (State::Running(processor), processor);
        self.record(who, What::Runs(processor));
    }

    /// When something happens next: somebody is done, has had a quantum, or a timer fires.
    fn next_event(&self) -> Option<u64> {
        let done = self.running().map(|who| self.now() + self.tasks[who].left.min(self.tasks[who].quantum));
        // Those who cannot be kept waiting any longer; others whose deadline has come are told with them.
        let timer = self.deadlines().map(|(_, deadline)| deadline.latest().max(self.now()));
        done.chain(timer).min()
    }

    /// Lets time pass, in which nothing happens before `next`.
    fn pass(&mut self, next: u64) {
        let passed = next - self.now();
        self.set_now(next);
        for who in self.running().collect::<Vec<_>>() {
            let task = &mut self.tasks[who];
            task.left -= passed;
            task.quantum -= passed;
            let (done, used_up) = (task.left == 0, task.quantum == 0);
            if done {
                self.next(who);
            }
            if used_up {
                self.send_back(who);
            }
        }
        if self.deadlines().any(|(_, deadline)| deadline.latest() <= next) {
            let mut due: Vec<usize> =
                self.deadlines().filter(|(_, deadline)| deadline.has_come(next)).map(|(who, _)| who).collect();
            while !due.is_empty() {
                let who = due.remove(self.chance.below(due.len()));
                self.expire(who);
            }
        }
    }
}
