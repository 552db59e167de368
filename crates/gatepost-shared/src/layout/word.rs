//! The words that say what is so: each a value that is read and written whole.

/// What a grant or a waiter is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The row is nobody's.
    Free,
    /// A grant: held. A waiter: waiting.
    Active,
    /// A waiter only: its grant is there.
    Granted,
    /// A waiter only: sent away, since it asks for more than the limit.
    Refused,
}

/// The word of a grant or of a waiter: `state:2 | permits:30 | session:16 | generation:16`, from the lowest bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Claim(pub(crate) u64);

impl Claim {
    /// A row that is nobody's.
    pub(crate) const FREE: Self = Self(0);

    pub(crate) fn new(state: State, permits: u32, (session, generation): (u32, u32)) -> Self {
        Self(
            state as u64
                | u64::from(permits & 0x3FFF_FFFF) << 2
                | u64::from(session as u16) << 32
                | u64::from(generation as u16) << 48,
        )
    }

    pub(crate) fn state(self) -> State {
        match self.0 & 3 {
            0 => State::Free,
            1 => State::Active,
            2 => State::Granted,
            _ => State::Refused,
        }
    }

    pub(crate) fn is(self, state: State) -> bool {
        self.state() == state
    }

    pub(crate) fn permits(self) -> u32 {
        (self.0 >> 2) as u32 & 0x3FFF_FFFF
    }

    pub(crate) fn session(self) -> u32 {
        u32::from((self.0 >> 32) as u16)
    }

    pub(crate) fn generation(self) -> u32 {
        u32::from((self.0 >> 48) as u16)
    }

    /// Whose it is.
    pub(crate) fn owner(self) -> (u32, u32) {
        (self.session(), self.generation())
    }

    /// The same, in another state.
    pub(crate) fn in_state(self, state: State) -> Self {
        Self(self.0 & !3 | state as u64)
    }
}

/// The word of a session: `open:1 | unused:31 | generation:32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionWord(pub(crate) u64);

impl SessionWord {
    pub(crate) fn new(open: bool, generation: u32) -> Self {
        Self(u64::from(open) | u64::from(generation) << 32)
    }

    pub(crate) fn is_open(self) -> bool {
        self.0 & 1 != 0
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Whether a claim of `generation` is of this session; a claim has room for the lower half only.
    pub(crate) fn is_of(self, generation: u32) -> bool {
        self.is_open() && self.generation() as u16 == generation as u16
    }
}

/// The word of a slot: `epoch:48 | grant:16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotWord(pub(crate) u64);

impl SlotWord {
    const NOBODY: u16 = 0;

    /// The slot of nobody that has been given out `epoch` times.
    pub(crate) fn free(epoch: u64) -> Self {
        Self(epoch << 16 | u64::from(Self::NOBODY))
    }

    /// The slot of `grant`.
    pub(crate) fn of(epoch: u64, grant: u32) -> Self {
        Self(epoch << 16 | u64::from(grant as u16 + 1))
    }

    pub(crate) fn epoch(self) -> u64 {
        self.0 >> 16
    }

    pub(crate) fn grant(self) -> Option<u32> {
        match self.0 as u16 {
            Self::NOBODY => None,
            grant => Some(u32::from(grant) - 1),
        }
    }
}

/// `limit:32 | policy:7 | paused:1 | generation:24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Config(pub(crate) u64);

impl Config {
    pub(crate) fn new(limit: u32, policy: crate::Policy) -> Self {
        Self(u64::from(limit) | (policy as u64) << 32)
    }

    pub(crate) fn limit(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn policy(self) -> crate::Policy {
        match self.0 >> 32 & 0x7F {
            1 => crate::Policy::Overtaking,
            _ => crate::Policy::Fifo,
        }
    }

    pub(crate) fn is_paused(self) -> bool {
        self.0 >> 39 & 1 != 0
    }

    /// How many permits may be in use, if any may be taken at all.
    pub(crate) fn admits(self) -> Option<u32> {
        (!self.is_paused() && self.limit() > 0).then(|| self.limit())
    }

    pub(crate) fn with_limit(self, limit: u32) -> Self {
        Self(self.0 & !0xFFFF_FFFF | u64::from(limit)).next()
    }

    pub(crate) fn with_paused(self, paused: bool) -> Self {
        Self(self.0 & !(1 << 39) | u64::from(paused) << 39).next()
    }

    /// A change has a number, so that one who looks twice sees it.
    fn next(self) -> Self {
        Self(self.0.wrapping_add(1 << 40))
    }
}

/// `owner + 1:16 | unused:14 | watched:1 | contended:1 | epoch:32`. The lower half is the futex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LockWord(pub(crate) u64);

impl LockWord {
    const CONTENDED: u64 = 1 << 31;
    /// Set by those who are about to sleep until something changes.
    pub(crate) const WATCHED: u64 = 1 << 30;

    pub(crate) fn owner(self) -> Option<u32> {
        (self.0 as u16).checked_sub(1).map(u32::from)
    }

    pub(crate) fn is_contended(self) -> bool {
        self.0 & Self::CONTENDED != 0
    }

    pub(crate) fn contended(self) -> Self {
        Self(self.0 | Self::CONTENDED)
    }

    pub(crate) fn is_watched(self) -> bool {
        self.0 & Self::WATCHED != 0
    }

    /// The same epoch, nobody's, watched and waited for by nobody.
    pub(crate) fn free(self) -> Self {
        Self(self.0 & !0xFFFF_FFFF)
    }

    /// Owned by `session`, in the same epoch, and watched as before.
    pub(crate) fn owned_by(self, session: u32) -> Self {
        Self(self.0 & (Self::WATCHED | !0xFFFF_FFFF) | u64::from(session as u16 + 1))
    }

    /// The next epoch: whoever has seen the word in an earlier one cannot change it any more.
    pub(crate) fn next_epoch(self) -> Self {
        Self(self.0.wrapping_add(1 << 32))
    }

    pub(crate) fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// What a sleeper compares.
    pub(crate) fn futex(self) -> u32 {
        self.0 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    #[test]
    fn words_give_back_what_was_put_in() {
        let claim = Claim::new(State::Active, 0x3FFF_FFFF, (0x3FFF, 0xFFFF));
        assert_eq!((claim.state(), claim.permits(), claim.owner()), (State::Active, 0x3FFF_FFFF, (0x3FFF, 0xFFFF)));
        let granted = claim.in_state(State::Granted);
        assert_eq!(
            (granted.state(), granted.permits(), granted.owner()),
            (State::Granted, 0x3FFF_FFFF, (0x3FFF, 0xFFFF))
        );
        let slot = SlotWord::of(u64::MAX >> 16, 0x3FFF);
        assert_eq!((slot.epoch(), slot.grant()), (u64::MAX >> 16, Some(0x3FFF)));
        assert_eq!((SlotWord::free(5).epoch(), SlotWord::free(5).grant()), (5, None));
        let config = Config::new(8, Policy::Overtaking).with_paused(true).with_limit(9);
        assert_eq!(
            (config.limit(), config.policy(), config.is_paused(), config.admits()),
            (9, Policy::Overtaking, true, None)
        );
        assert_eq!(config.with_paused(false).admits(), Some(9));
        let lock = LockWord(0).owned_by(0).contended();
        assert_eq!((lock.owner(), lock.is_contended()), (Some(0), true));
        assert_eq!(lock.next_epoch().owned_by(7).owner(), Some(7));
        assert_eq!(lock.next_epoch().free(), LockWord(1 << 32));
        let watched = LockWord(LockWord::WATCHED);
        assert!(
            watched.owned_by(7).is_watched() && watched.owned_by(7).owner() == Some(7) && !watched.free().is_watched()
        );
        assert!(SessionWord::new(true, 0x1_0003).is_of(3));
        assert!(!SessionWord::new(false, 3).is_of(3));
    }
}
