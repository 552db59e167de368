//! What one step of a script does. None takes time, but `run`.
//!
//! To wait is three steps: to see that one cannot pass at once; to join the queue; and, after somebody has ended the wait, to hear how.
//! Whatever else happens may happen between them.

use super::machine::{Machine, State};
use super::plan::{MutexId, Step};
use super::trace::{On, What};
use crate::kernel::owned::{BlockError, Owner};
use crate::kernel::semaphore::Begun;
use crate::kernel::wait::{Deadline, WaitFailure};

impl Machine<'_> {
    /// The next step of a thread that is running.
    pub(super) fn step(&mut self, who: usize) {
        let task = &mut self.tasks[who];
        if let Some(on) = task.waited.take() {
            let mut outcome = task.block.outcome().expect("V1: it is in no queue");
            if let On::Semaphore(which) = on {
                outcome = self.semaphores[which.0].semaphore.failed(outcome);
                if outcome.is_err() {
                    self.record_count(who, which.0);
                }
            }
            return self.over(who, on, outcome);
        }
        if task.holds.is_empty() {
            if task.killed {
                return self.end(who);
            }
            if task.suspended {
                return self.stop(who);
            }
        }
        if task.at == task.steps.len() {
            if self.plan.threads[who].script.forever && !task.steps.is_empty() {
                task.at = 0;
            } else {
                self.end(who);
            }
            return;
        }
        let step = &task.steps[task.at];
        self.take(who, step);
    }

    fn take(&mut self, who: usize, step: &Step) {
        match *step {
            Step::Run(0) => self.next(who),
            Step::Run(nanoseconds) => self.tasks[who].left = nanoseconds,
            Step::Sleep(within) => self.sleep(who, within),
            Step::Wait { on, within, interruptible } => self.wait(who, on.0, within, interruptible),
            Step::Lock(mutex, within) => self.lock(who, mutex, within),
            Step::Block(queue, within) => {
                let until = self.until(who, within);
                // SAFETY: V2; it leaves the queue before anything else is done for it. The queue lives for ever.
                let begun = unsafe {
                    self.queues[queue.0].begin_block(self.tasks[who].block, until, true, || Some(Owner::Keep))
                };
                self.begun(who, On::Queue(queue), until, begun);
            }
            ref other => {
                self.act(who, other);
                self.settle(Some(who));
                if self.tasks[who].state != State::Ended {
                    self.next(who);
                }
            }
        }
    }

    /// Steps that do not wait.
    fn act(&mut self, who: usize, step: &Step) {
        let block = self.tasks[who].block;
        match *step {
            Step::Post(to) | Step::PostToOwn(to, _) => {
                let counted = &mut self.semaphores[to.0];
                counted.posts += 1;
                match *step {
                    Step::PostToOwn(_, queue) => counted.semaphore.post_to_own(self.queues[queue.0]),
                    _ => counted.semaphore.post(),
                }
                self.record(who, What::Posts(to));
                self.record_count(who, to.0);
            }
            Step::Unlock(mutex) => self.unlock(who, mutex),
            Step::Wake { queue, to_own: true } => {
                self.queues[queue.0].wake_one_to_own();
            }
            Step::Wake { queue, to_own: false } => {
                self.queues[queue.0].wake_one();
            }
            Step::Own(queue) => {
                if self.queues[queue.0].assign_owner(Some(block)).is_err() {
                    self.record(who, What::Refused(On::Queue(queue)));
                }
            }
            Step::Disown(queue) => self.disown(who, queue.0),
            Step::Kill(other) => {
                self.record(who, What::Kills(other));
                self.kill(other.0);
            }
            Step::Suspend(other) => {
                self.record(who, What::Suspends(other));
                self.suspend(other.0);
            }
            Step::Resume(other) => {
                self.record(who, What::Resumes(other));
                self.resume(other.0);
            }
            Step::Weigh(other, weight) => {
                let other = other.0;
                let block = self.tasks[other].block;
                block.platform().base.set(weight.into());
                block.set_base_weight(weight);
                if !self.plan.inheritance {
                    self.tasks[other].weight = weight.into();
                    self.record(other, What::Weighs { effective: weight.into(), base: weight.into() });
                }
            }
            Step::Finish(other, finish) => {
                let block = self.tasks[other.0].block;
                block.platform().finish.set(finish);
                block.reorder();
            }
            Step::Mark(ref label) => self.record(who, What::Mark(label.clone())),
            Step::MarkIfFailed(ref label) => {
                if self.tasks[who].failed {
                    self.record(who, What::Alarm(label.clone()));
                }
            }
            Step::Run(_) | Step::Sleep(_) | Step::Wait { .. } | Step::Lock(..) | Step::Block(..) => {
                unreachable!("these may wait")
            }
        }
    }

    /// A thread's step is done.
    pub(super) fn next(&mut self, who: usize) {
        let task = &mut self.tasks[who];
        task.at += 1;
        (task.left, task.tried, task.until) = (0, false, None);
    }

    /// The deadline of a wait, counted from when its step began.
    fn until(&mut self, who: usize, within: Deadline) -> Deadline {
        let now = self.now();
        *self.tasks[who].until.get_or_insert_with(|| {
            if within.is_infinite() {
                return within;
            }
            Deadline::at(now.saturating_add(within.when())).with_slack(within.latest() - within.when())
        })
    }

    fn sleep(&mut self, who: usize, within: Deadline) {
        let until = self.until(who, within);
        // SAFETY: V2. The semaphore lives for ever.
        match unsafe { self.nowhere.begin_wait(self.tasks[who].block, until, true) } {
            Begun::Done(outcome) => self.over(who, On::Sleep, outcome),
            Begun::Blocked => self.blocked(who, On::Sleep, until),
        }
    }

    fn wait(&mut self, who: usize, which: usize, within: Deadline, interruptible: bool) {
        let on = On::Semaphore(super::SemaphoreId(which));
        let counted = &mut self.semaphores[which];
        let semaphore = counted.semaphore;
        if !self.tasks[who].tried {
            if semaphore.try_wait() {
                counted.passed += 1;
                self.record_count(who, which);
                self.over(who, on, Ok(()));
            } else {
                self.tasks[who].tried = true;
            }
            return;
        }
        let until = self.until(who, within);
        // SAFETY: V2. The semaphore lives for ever.
        let begun = unsafe { semaphore.begin_wait(self.tasks[who].block, until, interruptible) };
        match begun {
            Begun::Blocked => {
                self.blocked(who, on, until);
                self.record_count(who, which);
            }
            Begun::Done(outcome) => {
                self.semaphores[which].passed += outcome.is_ok() as crate::kernel::Count;
                self.record_count(who, which);
                self.over(who, on, outcome);
            }
        }
    }

    fn lock(&mut self, who: usize, which: MutexId, within: Deadline) {
        let on = On::Mutex(which);
        let mutex = self.mutexes[which.0].mutex;
        let block = self.tasks[who].block;
        if !self.tasks[who].tried {
            if mutex.try_lock_for(block) {
                self.has_taken(who, which.0);
                self.over(who, on, Ok(()));
            } else {
                self.tasks[who].tried = true;
            }
            return;
        }
        let until = self.until(who, within);
        // SAFETY: V2. The mutex lives for ever.
        let begun = unsafe { mutex.begin_lock(block, until) };
        self.begun(who, on, until, begun);
    }

    /// A wait in an owned queue has come to this.
    fn begun(&mut self, who: usize, on: On, until: Deadline, begun: Result<bool, BlockError>) {
        match begun {
            Ok(true) => self.blocked(who, on, until),
            Ok(false) => self.tasks[who].tried = false, // given up meanwhile: again
            Err(BlockError::Failed(failure)) => self.over(who, on, Err(failure)),
            Err(BlockError::WouldDeadlock(_)) => {
                self.record(who, What::Refused(on));
                self.tasks[who].failed = true;
                self.leave_out(who, on);
            }
        }
    }

    fn blocked(&mut self, who: usize, on: On, until: Deadline) {
        let task = &mut self.tasks[who];
        task.tried = false;
        task.state = State::Blocked(on, until);
        self.record(who, What::Blocks(on));
        self.settle(Some(who));
    }

    /// A thread's wait is over, and it knows.
    fn over(&mut self, who: usize, on: On, outcome: Result<(), WaitFailure>) {
        if on != On::Sleep {
            self.record(who, What::Returns(on, outcome));
        }
        let task = &mut self.tasks[who];
        match outcome {
            Err(WaitFailure::TimedOut) if on == On::Sleep => self.next(who),
            Ok(()) => {
                task.failed = false;
                self.next(who);
            }
            Err(WaitFailure::TimedOut | WaitFailure::Interrupted) => {
                task.failed = true;
                self.leave_out(who, on);
            }
            Err(WaitFailure::Killed) => self.end(who),
            Err(WaitFailure::Suspended) => {
                task.tried = false; // tries again
                if task.suspended {
                    self.stop(who);
                }
            }
        }
    }

    /// A wait has failed: of a mutex, what would have been done with it is left out.
    fn leave_out(&mut self, who: usize, on: On) {
        let task = &mut self.tasks[who];
        if let On::Mutex(which) = on {
            let mut depth = 0;
            let ends_it = |step: &Step| {
                match step {
                    Step::Lock(mutex, _) if *mutex == which => depth += 1,
                    Step::Unlock(mutex) if *mutex == which => depth -= 1,
                    _ => {}
                }
                depth == 0
            };
            let rest = &task.steps[task.at..];
            task.at += rest.iter().position(ends_it).unwrap_or(rest.len() - 1);
        }
        self.next(who);
    }

    fn unlock(&mut self, who: usize, which: MutexId) {
        let task = &mut self.tasks[who];
        let Some(at) = task.holds.iter().rposition(|&held| held == which.0) else { return };
        task.holds.remove(at);
        let block = task.block;
        let locked = &mut self.mutexes[which.0];
        locked.holder = None;
        locked.mutex.unlock(block);
        self.record(who, What::Gives(which));
        self.settle(Some(who));
    }

    fn disown(&mut self, who: usize, which: usize) {
        let queue = self.queues[which];
        if queue.owner().is_some_and(|owner| core::ptr::eq(owner, self.tasks[who].block)) {
            let released = queue.assign_owner(None);
            debug_assert!(released.is_ok(), "nobody is no part of a circle");
        }
    }

    fn kill(&mut self, who: usize) {
        let task = &mut self.tasks[who];
        task.block.kill();
        task.killed = true;
        if task.holds.is_empty() {
            task.left = 0;
        }
        if task.state == State::Stopped {
            self.make_ready(who);
            self.record(who, What::Continues);
        }
    }

    fn suspend(&mut self, who: usize) {
        let task = &mut self.tasks[who];
        task.block.suspend();
        task.suspended = true;
        let runnable = matches!(task.state, State::Ready | State::Running(_));
        if runnable && task.waited.is_none() && !task.killed && task.holds.is_empty() {
            self.stop(who);
        }
    }

    fn resume(&mut self, who: usize) {
        let task = &mut self.tasks[who];
        task.block.resume();
        task.suspended = false;
        if task.state == State::Stopped {
            self.make_ready(who);
            self.record(who, What::Continues);
        }
    }

    fn stop(&mut self, who: usize) {
        let task = &mut self.tasks[who];
        (task.state, task.tried) = (State::Stopped, false);
        self.record(who, What::Stops);
    }

    /// A thread's end, by itself or since it was killed: it gives up all that it holds.
    fn end(&mut self, who: usize) {
        while let Some(&which) = self.tasks[who].holds.last() {
            self.unlock(who, MutexId(which));
        }
        for which in 0..self.queues.len() {
            self.disown(who, which);
        }
        self.settle(Some(who));
        self.tasks[who].block.exit();
        self.tasks[who].state = State::Ended;
        self.record(who, What::Ends);
    }
}
