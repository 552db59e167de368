//! The pump: tokens from the semaphore into the pipe of a build, and back. It never waits; its caller does.
//!
//! ```text
//!              granted, and still wanted: offer it
//!   ┌─────────┐ ─────────────────────────────────> ┌──────────┐
//!   │ Asking  │                                    │ Standing │  one token lies in the pipe
//!   └─────────┘ <────────────┐                     └──────────┘
//!     │    ▲ may ask again   │ taken                 │   │ nobody takes it, and others wait:
//!     ▼    │                 └───────────────────────┘   │ it goes back, and we ask again later
//!   ┌─────────┐                                          │
//!   │ Resting │ <────────────────────────────────────────┘
//!   └─────────┘  a gate is shut, the share is used up, the semaphore says no, or an offer was left standing
//! ```
//! Invariants
//! P1. `held` are the permits of all tokens: in the pipe, or out with a client. Out = held − in the pipe.
//! P2. What a client returned is taken back and its permit released, so whoever is first in line gets it, this build's own
//!     request among them. So at a notice that something was written the pipe is emptied, the offer too. A client that
//!     returns a token to a fifo and takes it again at once may be quicker than we are; then the next return is the next
//!     chance. In the pipe style there is no such race (`channel`).
//! P3. There are never more tokens in the pipe than permits held: what is more was never acquired, and is absorbed.
//! P4. An offer is made only with a permit in hand, so what the semaphore's limit says holds for tokens.
//! P5. So an offer never stands while returns use its page up (`channel` C2); where there are no notices, it is renewed at
//!     every [`RENEW`]th look.
//!
//! Cost: a token is one acquire, one release, some five system calls; under the rule `fair` two looks at the semaphore. While
//! nothing moves, nothing runs: waiting is one `poll` for the pipe, its notices, and the bell that grants and changes ring.

use std::io;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::channel::{Channel, LOOK};
use super::gates::{self, Gates};
use super::share::Rule;
use super::tokens::Tokens;

/// How long an offer may stand before it is looked at whether others wait.
pub(super) const GRACE: Duration = Duration::from_millis(20);
/// How long the pump asks for nothing after an offer was left standing while others wait; it doubles each time,
const FIRST_REST: Duration = Duration::from_millis(100);
/// up to this.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// How long after the semaphore said no.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// After how many looks an offer is renewed, where there are no notices.
const RENEW: u32 = 100;

/// The pump of one build.
#[derive(Debug)]
pub(crate) struct Pump<T: Tokens> {
    channel: Channel,
    tokens: T,
    gates: Gates,
    rule: Rule,
    waker: Waker,
    state: State,
    held: Vec<T::Token>,
    /// How long the next rest is.
    rest: Duration,
    /// Before this, nothing is asked for while others wait.
    rest_until: Option<Instant>,
    /// Before this, nothing is asked for, since the semaphore said no.
    refused_until: Option<Instant>,
    /// Looks since the offer was written, where there are no notices.
    looks: u32,
    /// What the pump would like to be told to the user.
    news: Option<String>,
    /// The last of it, which is not told again.
    told: Option<String>,
    absorbed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waiting for a permit, or about to.
    Asking,
    /// One offer lies in the pipe since.
    Standing(Instant),
    /// Nothing is asked for, until then or until something changes.
    Resting(Option<Instant>),
}

/// What to wait for before the next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Next {
    /// What is to be waited for at the pipe; its notices and the bell always.
    pub(crate) pipe: PollFlags,
    /// When at the latest.
    pub(crate) at: Option<Instant>,
}

impl Next {
    /// Nothing at all, for ever.
    pub(crate) const NOTHING: Self = Self { pipe: PollFlags::empty(), at: None };
}

/// Whether a token may be asked for.
#[derive(Debug, PartialEq, Eq)]
enum May {
    Ask,
    RestUntil(Instant),
    RestUntilChange,
}

impl<T: Tokens> Pump<T> {
    /// A pump that has done nothing yet. The waker is to lead to a `step`.
    pub(crate) fn new(channel: Channel, tokens: T, gates: Gates, rule: Rule, waker: Waker) -> Self {
        let (state, held, rest) = (State::Asking, Vec::new(), FIRST_REST);
        let (rest_until, refused_until, looks, news, told, absorbed) = (None, None, 0, None, None, 0);
        Self {
            channel,
            tokens,
            gates,
            rule,
            waker,
            state,
            held,
            rest,
            rest_until,
            refused_until,
            looks,
            news,
            told,
            absorbed,
        }
    }

    /// The pipe.
    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// What the user should know, once.
    pub(crate) fn news(&mut self) -> Option<String> {
        self.news.take()
    }

    /// Tokens that were returned and never acquired.
    pub(crate) fn absorbed(&self) -> u64 {
        self.absorbed
    }

    /// Does what there is to do at `now`, and says what to wait for.
    pub(crate) fn step(&mut self, now: Instant) -> io::Result<Next> {
        let mut written = match self.channel.notices() {
            Some(_) => self.channel.hush(),
            None => {
                self.looks += 1;
                self.looks > RENEW
            }
        };
        self.take_returned()?;
        loop {
            let settled = match self.state {
                State::Standing(since) => self.stand(now, since, std::mem::take(&mut written))?,
                State::Asking | State::Resting(_) => {
                    written = false;
                    // First of all, since the client that returned them may be about to take them again (P2).
                    self.collect()?;
                    match self.state {
                        State::Asking => self.ask(now)?,
                        _ => self.rest(now),
                    }
                }
            };
            if settled {
                return Ok(self.next(now));
            }
        }
    }

    /// Ends: all permits go back, wherever their tokens are.
    pub(crate) fn finish(mut self) {
        self.tokens.cancel();
        self.held.clear();
    }

    /// Looks after an offer. Whether there is nothing more to do.
    fn stand(&mut self, now: Instant, since: Instant, written: bool) -> io::Result<bool> {
        let there = self.channel.tokens()?;
        if there == 0 {
            self.taken();
            return Ok(false);
        }
        if there > 1 || written {
            self.collect()?;
            self.taken();
            return Ok(false);
        }
        if self.rule == Rule::Fair && now >= since + GRACE {
            if self.others_wait() {
                // To take back an offer is no return.
                let rest = self.rest;
                if self.collect()? == 0 {
                    self.taken();
                    return Ok(false);
                }
                let until = now + rest;
                self.rest = (rest * 2).min(LONGEST_REST);
                self.rest_until = Some(until);
                self.state = State::Resting(Some(until));
            }
            self.tokens.watch(&self.waker);
        }
        Ok(true)
    }

    fn taken(&mut self) {
        self.rest = FIRST_REST;
        self.rest_until = None;
        self.state = State::Asking;
    }

    /// Asks for a token and offers it. Whether there is nothing more to do.
    fn ask(&mut self, now: Instant) -> io::Result<bool> {
        // At the grant, too: what it was asked for may be over.
        match self.may_ask(now) {
            May::Ask => {}
            may => {
                self.tokens.cancel();
                return Ok(self.rest_as(may));
            }
        }
        match self.tokens.poll_acquire(&self.waker) {
            Poll::Pending => Ok(true),
            Poll::Ready(Ok(token)) => {
                self.held.push(token);
                self.channel.offer()?;
                // The notice of it is ours, and those of others, if any, have just been heeded.
                self.channel.hush();
                self.looks = 0;
                self.state = State::Standing(now);
                // It may be gone already, and what came with it unseen.
                Ok(false)
            }
            Poll::Ready(Err(error)) => {
                let news = format!("no token for the build, which goes on with those that it has: {error}");
                if self.told.as_ref() != Some(&news) {
                    self.told = Some(news.clone());
                    self.news = Some(news);
                }
                self.refused_until = Some(now + AFTER_ERROR);
                Ok(false)
            }
        }
    }

    /// Looks whether it may ask again. Whether there is nothing more to do.
    fn rest(&mut self, now: Instant) -> bool {
        match self.may_ask(now) {
            May::Ask => {
                self.state = State::Asking;
                false
            }
            may => self.rest_as(may),
        }
    }

    fn rest_as(&mut self, may: May) -> bool {
        self.state = State::Resting(match may {
            May::Ask => None,
            May::RestUntil(until) => Some(until),
            May::RestUntilChange => {
                self.tokens.watch(&self.waker);
                None
            }
        });
        true
    }

    fn may_ask(&mut self, now: Instant) -> May {
        match self.refused_until {
            Some(until) if now < until => return May::RestUntil(until),
            _ => self.refused_until = None,
        }
        if self.rule == Rule::Fair {
            // What cannot be seen keeps nobody back: to ask brings the same error, with a consequence.
            let share = self.tokens.share().unwrap_or_default();
            // The implicit one is held, too.
            if share.is_used_up(self.held.len() + 1) {
                return May::RestUntilChange;
            }
            match self.rest_until {
                Some(until) if share.others_wait && now < until => {
                    self.tokens.watch(&self.waker);
                    return May::RestUntil(until);
                }
                _ => self.rest_until = None,
            }
        }
        match self.gates.shut() {
            Some(_) => May::RestUntil(now + gates::AGAIN),
            None => May::Ask,
        }
    }

    fn others_wait(&mut self) -> bool {
        self.tokens.share().is_ok_and(|share| share.others_wait)
    }

    /// Releases what was returned to us alone.
    fn take_returned(&mut self) -> io::Result<()> {
        let back = self.channel.returned()?;
        if back > 0 {
            let out = self.held.len().saturating_sub(self.channel.tokens()?);
            self.give_back(back, out);
        }
        Ok(())
    }

    /// Empties the pipe and releases what was there. Returns how many tokens that was.
    fn collect(&mut self) -> io::Result<usize> {
        let there = self.channel.take_back()?;
        Ok(self.give_back(there, self.held.len()))
    }

    /// Releases the permits of `tokens`, of which `most` can be true ones (P3). Returns how many they were.
    fn give_back(&mut self, tokens: usize, most: usize) -> usize {
        let known = tokens.min(most);
        self.absorbed += (tokens - known) as u64;
        self.held.truncate(self.held.len() - known);
        if known > 0 {
            // Something of the build has ended, so something else may begin.
            self.rest = FIRST_REST;
            self.rest_until = None;
        }
        known
    }

    fn next(&self, now: Instant) -> Next {
        let out = self.held.len();
        match self.state {
            State::Standing(since) => {
                let look = (self.channel.notices().is_none() && out > 1).then(|| now + LOOK);
                let grace = (self.rule == Rule::Fair).then(|| since + GRACE).filter(|at| *at > now);
                Next { pipe: PollFlags::OUT, at: [look, grace].into_iter().flatten().min() }
            }
            State::Asking => Next { pipe: PollFlags::IN, at: None },
            State::Resting(until) => Next { pipe: PollFlags::IN, at: until },
        }
    }
}

#[cfg(test)]
mod tests;
