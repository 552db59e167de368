//! How builds share a semaphore: the rule alone, without the machinery.
//!
//! `fair`, the default: while another build waits, a build that holds its share, limit / builds rounded up, asks for no
//! more, and an offer that its tools leave standing goes back to those who wait. `greedy`: first come, first served.
//! In both, a token that comes back goes to whoever is first in line, so nobody is kept out for ever.
//!
//! `fair` is the default because a build that came first and whose jobs are long would otherwise hold all but one permit
//! for as long as they last, over and over; and it costs nothing, since it holds only while somebody waits: a build that
//! is alone, or beside builds that want nothing, has the whole machine.

use clap::ValueEnum;

/// Which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Rule {
    /// While another build waits, hold no more than limit / builds
    #[default]
    Fair,
    /// Take what there is, first come, first served
    Greedy,
}

/// What the rule looks at: the semaphore, seen from one build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Share {
    /// The limit.
    pub(crate) limit: u32,
    /// Builds that are running or about to, this one included.
    pub(crate) builds: u32,
    /// Whether another build waits.
    pub(crate) build_waits: bool,
    /// Whether anybody else waits, build or not.
    pub(crate) others_wait: bool,
}

impl Share {
    /// Whether a build that holds `held` permits, its implicit one included, may not have one more now.
    pub(crate) fn is_used_up(&self, held: usize) -> bool {
        let most = self.limit.div_ceil(self.builds.max(1));
        self.build_waits && held >= most as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_the_limit_over_the_builds_rounded_up_and_binds_only_while_a_build_waits() {
        let share = |limit, builds, build_waits| Share { limit, builds, build_waits, others_wait: build_waits };
        assert!(!share(3, 2, true).is_used_up(1));
        assert!(share(3, 2, true).is_used_up(2));
        assert!(!share(3, 2, false).is_used_up(3));
        assert!(!share(16, 4, true).is_used_up(3));
        assert!(share(16, 4, true).is_used_up(4));
        assert!(share(1, 3, true).is_used_up(1));
        assert!(!share(4, 0, true).is_used_up(3), "a session that is not listed yet is one build");
        assert!(share(0, 1, true).is_used_up(0), "drained");
    }
}
