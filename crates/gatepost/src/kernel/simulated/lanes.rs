//! A trace as lanes: in which state each thread was, from when to when.

use super::plan::{MutexId, ThreadId};
use super::trace::{On, Trace, What};
use std::vec::Vec;

/// What a thread was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Runs { processor: usize },
    Ready,
    Blocked(On),
    Stopped,
}

/// For so long, with this weight, a thread did this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) doing: Doing,
    pub(super) effective: u64,
    pub(super) base: u64,
}

impl Segment {
    /// It weighed more than its own.
    pub(super) fn boosted(&self) -> bool {
        self.effective > self.base
    }

    fn goes_on_as(&self, next: &Self) -> bool {
        (self.doing, self.effective, self.base) == (next.doing, next.effective, next.base)
    }
}

impl Trace {
    /// What a thread did, without gaps up to its end.
    pub(super) fn segments(&self, thread: ThreadId) -> Vec<Segment> {
        let weight = self.lanes[thread.0].weight;
        let mut segments: Vec<Segment> = Vec::new();
        let mut now = Segment { from: 0, to: 0, doing: Doing::Ready, effective: weight, base: weight };
        let mut push = |now: &mut Segment, at: u64| {
            if at > now.from {
                let segment = Segment { to: at, ..*now };
                match segments.last_mut() {
                    // What came between took no time.
                    Some(last) if last.goes_on_as(&segment) => last.to = at,
                    _ => segments.push(segment),
                }
            }
            now.from = at;
        };
        for event in self.of(thread) {
            let doing = match event.what {
                What::Runs(processor) => Doing::Runs { processor },
                What::Displaced | What::Ready(_) | What::Continues => Doing::Ready,
                What::Blocks(on) => Doing::Blocked(on),
                What::Stops => Doing::Stopped,
                What::Weighs { effective, base } => {
                    push(&mut now, event.at);
                    (now.effective, now.base) = (effective, base);
                    continue;
                }
                What::Ends => {
                    push(&mut now, event.at);
                    return segments;
                }
                _ => continue,
            };
            if doing != now.doing {
                push(&mut now, event.at);
                now.doing = doing;
            }
        }
        push(&mut now, self.end());
        segments
    }

    /// From when to when a thread had a mutex.
    pub(super) fn holdings(&self, thread: ThreadId) -> Vec<(MutexId, u64, u64)> {
        let mut open: Vec<(MutexId, u64)> = Vec::new();
        let mut closed = Vec::new();
        for event in self.of(thread) {
            match event.what {
                What::Takes(mutex) => open.push((mutex, event.at)),
                What::Gives(mutex) => {
                    if let Some(at) = open.iter().rposition(|(held, _)| *held == mutex) {
                        let (mutex, from) = open.remove(at);
                        closed.push((mutex, from, event.at));
                    }
                }
                _ => {}
            }
        }
        closed.extend(open.into_iter().map(|(mutex, from)| (mutex, from, self.end())));
        closed
    }
}
