//! Feature `tracing`: the spans and events that tokio-console reads, with Tokio's names and fields. Without the feature
//! everything here is empty.
//!
//! | what | name or target | fields |
//! |---|---|---|
//! | span, a semaphore | `runtime.resource` | `concrete_type`, `kind`, `loc.file`, `loc.line`, `loc.col`, `inherits_child_attrs` |
//! | event, its permits | `runtime::resource::state_update` | `permits`, `permits.op` = `override`, `add` or `sub` |
//! | span, an acquisition | `runtime.resource.async_op` | `source`, `inherits_child_attrs` |
//! | event, its permits | `runtime::resource::async_op::state_update` | `permits_requested` or `permits_obtained`, `permits.op` |
//! | span, its polls | `runtime.resource.async_op.poll` | |
//! | event, a poll | `runtime::resource::poll_op` | `op_name` = `poll_acquire`, `is_ready` |
//!
//! A subscriber is the user's code. It is called with no lock held and outside of every state change: after a release
//! has served, and before an acquisition hands over what its future still owns. If it panics, no permit and no waiter is
//! lost. As in Tokio, semaphores made in constants have no span.

#[cfg(feature = "tracing")]
mod imp {
    use crate::wait::batch::Panics;
    use core::task::Poll;
    use tracing::{Span, trace, trace_span};

    /// Events are emitted: an acquired permit must stay with its future until they are.
    pub(crate) const ENABLED: bool = true;

    /// The span of a semaphore.
    #[derive(Debug)]
    pub(crate) struct Resource(Span);

    impl Resource {
        pub(crate) const fn none() -> Self {
            Self(Span::none())
        }

        #[track_caller]
        pub(crate) fn new(permits: usize) -> Self {
            let location = core::panic::Location::caller();
            let span = trace_span!(
                parent: None,
                "runtime.resource",
                concrete_type = "Semaphore",
                kind = "Sync",
                loc.file = location.file(),
                loc.line = location.line(),
                loc.col = location.column(),
                inherits_child_attrs = false,
            );
            span.in_scope(|| {
                trace!(target: "runtime::resource::state_update", permits = permits, permits.op = "override");
            });
            Self(span)
        }

        pub(crate) fn added(&self, n: usize) {
            if n > 0 {
                self.0.in_scope(|| {
                    trace!(target: "runtime::resource::state_update", permits = n, permits.op = "add");
                });
            }
        }

        pub(crate) fn removed(&self, n: usize) {
            if n > 0 {
                self.0.in_scope(|| {
                    trace!(target: "runtime::resource::state_update", permits = n, permits.op = "sub");
                });
            }
        }

        /// An acquisition of `n` permits begins.
        pub(crate) fn begin(&self, source: &'static str, n: usize) -> Operation {
            self.0.in_scope(|| {
                let operation = trace_span!("runtime.resource.async_op", source = source, inherits_child_attrs = false);
                let poll = operation.in_scope(|| {
                    trace!(
                        target: "runtime::resource::async_op::state_update",
                        permits_requested = n,
                        permits.op = "override",
                    );
                    trace!(
                        target: "runtime::resource::async_op::state_update",
                        permits_obtained = 0_usize,
                        permits.op = "override",
                    );
                    trace_span!("runtime.resource.async_op.poll")
                });
                Operation { operation, poll }
            })
        }
    }

    /// The spans of an acquisition.
    #[derive(Debug)]
    pub(crate) struct Operation {
        operation: Span,
        poll: Span,
    }

    impl Operation {
        /// Closes the spans, which runs the subscriber, while a panic of its does no harm yet.
        pub(crate) fn end(&mut self) {
            let mut panics = Panics::new();
            panics.catch(|| self.operation = Span::none());
            panics.catch(|| self.poll = Span::none());
            panics.resume();
        }

        /// Runs one poll. What it obtained is reported before this returns.
        pub(crate) fn poll<E>(
            &self,
            resource: &Resource,
            n: usize,
            poll: impl FnOnce() -> Poll<Result<(), E>>,
        ) -> Poll<Result<(), E>> {
            let _resource = resource.0.enter();
            let _operation = self.operation.enter();
            let _poll = self.poll.enter();
            let result = poll();
            if matches!(result, Poll::Ready(Ok(()))) {
                resource.removed(n);
                self.operation.in_scope(|| {
                    trace!(
                        target: "runtime::resource::async_op::state_update",
                        permits_obtained = n,
                        permits.op = "add",
                    );
                });
            }
            // The two readiness values are separate events, as in Tokio: `is_ready` is a literal there.
            if result.is_ready() {
                trace!(target: "runtime::resource::poll_op", op_name = "poll_acquire", is_ready = true);
            } else {
                trace!(target: "runtime::resource::poll_op", op_name = "poll_acquire", is_ready = false);
            }
            result
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod imp {
    use core::task::Poll;

    /// Nothing is emitted.
    pub(crate) const ENABLED: bool = false;

    /// Nothing.
    #[derive(Debug)]
    pub(crate) struct Resource;

    impl Resource {
        pub(crate) const fn none() -> Self {
            Self
        }
        #[inline(always)]
        pub(crate) fn new(_permits: usize) -> Self {
            Self
        }
        #[inline(always)]
        pub(crate) fn added(&self, _n: usize) {}
        #[inline(always)]
        pub(crate) fn removed(&self, _n: usize) {}
        #[inline(always)]
        pub(crate) fn begin(&self, _source: &'static str, _n: usize) -> Operation {
            Operation
        }
    }

    /// Nothing.
    #[derive(Debug)]
    pub(crate) struct Operation;

    impl Operation {
        #[inline(always)]
        pub(crate) fn end(&mut self) {}

        #[inline(always)]
        pub(crate) fn poll<E>(
            &self,
            _resource: &Resource,
            _n: usize,
            poll: impl FnOnce() -> Poll<Result<(), E>>,
        ) -> Poll<Result<(), E>> {
            poll()
        }
    }
}

pub(crate) use imp::{ENABLED, Operation, Resource};
