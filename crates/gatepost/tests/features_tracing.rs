//! Feature `tracing`: what a subscriber gets to see, and that one which panics or calls back breaks nothing.
//!
//! A subscriber of this file's own writes everything down, as lines: `new #2 in #1 runtime.resource.async_op source=…`.
//! Names and fields are those of Tokio's semaphore (its `sync/semaphore.rs`, `sync/batch_semaphore.rs`, `util/trace.rs`),
//! which tokio-console reads.
#![cfg(feature = "tracing")]

use gatepost::{AcquireOwned, Interrupter, PollSemaphore, Semaphore, WaitError};
use std::cell::Cell;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::thread::ThreadId;
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, with_default};
use tracing::{Event, Level, Metadata, Subscriber};

const RESOURCE_UPDATE: &str = "runtime::resource::state_update";
const OPERATION_UPDATE: &str = "runtime::resource::async_op::state_update";
const POLL: &str = "runtime::resource::poll_op";

/// One test at a time: which callsites are of interest is a matter of the whole process, and is settled anew whenever a
/// subscriber comes.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Whether tokio-console's own filter lets it through.
fn is_for_the_console(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target().starts_with("runtime") || metadata.target().starts_with("tokio");
    if metadata.is_event() { target } else { target || metadata.name().starts_with("runtime.") }
}

/// Fields as ` name=value name=value`.
#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // The number of a line is not of interest, nor is a path up to its last part.
        let value = match field.name() {
            "loc.line" | "loc.col" => "_".to_owned(),
            _ => format!("{value:?}"),
        };
        write!(self.0, " {}={value}", field.name()).expect("a string takes all");
    }
}

impl Fields {
    fn of(record: impl FnOnce(&mut Self)) -> String {
        let mut fields = Self::default();
        record(&mut fields);
        fields.0
    }
}

/// What a subscriber has been told so far.
#[derive(Default)]
struct Book {
    lines: Vec<String>,
    /// The thread that is listened to. (A span tells its own subscriber, whatever thread enters it.)
    thread: Option<ThreadId>,
    /// The spans that it has entered, by number, innermost last.
    entered: Vec<u64>,
    /// References to each span; the first has number 1.
    references: Vec<usize>,
    /// Permits by the resource's events, those that were heard.
    permits: i64,
}

/// A subscriber that writes everything down.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Book>>);

impl Recorder {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The book, if the current thread is listened to.
    fn listening(&self) -> Option<MutexGuard<'_, Book>> {
        let book = self.book();
        (book.thread == Some(std::thread::current().id())).then_some(book)
    }

    /// What was written since the last call.
    fn news(&self) -> Vec<String> {
        std::mem::take(&mut self.book().lines)
    }

    /// Runs `operation` and returns what was written meanwhile, and its result.
    fn record<R>(&self, operation: impl FnOnce() -> R) -> (Vec<String>, R) {
        self.book().thread = Some(std::thread::current().id());
        let result = with_default(self.clone(), operation);
        (self.news(), result)
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_for_the_console(metadata)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut book = self.book();
        book.references.push(1);
        let number = book.references.len() as u64;
        let parent = match (attributes.is_root(), attributes.parent()) {
            (true, _) => "root".to_owned(),
            (_, Some(parent)) => format!("of #{}", parent.into_u64()),
            (_, None) => book.entered.last().map_or("root".into(), |parent| format!("in #{parent}")),
        };
        assert_eq!(*attributes.metadata().level(), Level::TRACE);
        let fields = Fields::of(|fields| attributes.record(fields));
        book.lines.push(format!("new #{number} {parent} {}{fields}", attributes.metadata().name()));
        Id::from_u64(number)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {
        panic!("nothing is recorded later");
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {
        panic!("nothing follows");
    }

    fn event(&self, event: &Event<'_>) {
        struct Permits(Option<i64>, String);
        impl Visit for Permits {
            fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
            fn record_u64(&mut self, field: &Field, value: u64) {
                if field.name() == "permits" {
                    self.0 = Some(i64::try_from(value).expect("tests use small numbers"));
                }
            }
            fn record_str(&mut self, field: &Field, value: &str) {
                if field.name() == "permits.op" {
                    self.1 = value.to_owned();
                }
            }
        }
        let mut permits = Permits(None, String::new());
        event.record(&mut permits);
        let mut book = self.book();
        match (permits.0, &*permits.1) {
            (Some(n), "override") => book.permits = n,
            (Some(n), "add") => book.permits += n,
            (Some(n), "sub") => book.permits -= n,
            (None, _) => {}
            (Some(_), op) => panic!("tokio-console knows no {op:?}"),
        }
        assert_eq!(*event.metadata().level(), Level::TRACE);
        let within = book.entered.last().map_or("nothing".into(), |span| format!("#{span}"));
        let fields = Fields::of(|fields| event.record(fields));
        book.lines.push(format!("event in {within} {}{fields}", event.metadata().target()));
    }

    fn enter(&self, span: &Id) {
        let Some(mut book) = self.listening() else { return };
        book.entered.push(span.into_u64());
        book.lines.push(format!("enter #{}", span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        let Some(mut book) = self.listening() else { return };
        assert_eq!(book.entered.pop(), Some(span.into_u64()), "spans are left in order");
        book.lines.push(format!("exit #{}", span.into_u64()));
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.book().references[span.into_u64() as usize - 1] += 1;
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let mut book = self.book();
        let references = &mut book.references[span.into_u64() as usize - 1];
        *references -= 1;
        let closed = *references == 0;
        if closed {
            book.lines.push(format!("close #{}", span.into_u64()));
        }
        closed
    }
}

/// A semaphore whose span has number 1, and a recorder with an empty page.
fn recorded(permits: usize) -> (Recorder, Semaphore) {
    let recorder = Recorder::default();
    let (_, semaphore) = recorder.record(|| Semaphore::new(permits));
    (recorder, semaphore)
}

/// What the beginning of an acquisition writes; its spans are `#operation` and the next.
fn beginning(source: &str, operation: u64, permits: u64) -> Vec<String> {
    vec![
        "enter #1".into(),
        format!("new #{operation} in #1 runtime.resource.async_op source={source:?} inherits_child_attrs=false"),
        format!("enter #{operation}"),
        format!("event in #{operation} {OPERATION_UPDATE} permits_requested={permits} permits.op=\"override\""),
        format!("event in #{operation} {OPERATION_UPDATE} permits_obtained=0 permits.op=\"override\""),
        format!("new #{} in #{operation} runtime.resource.async_op.poll", operation + 1),
        format!("exit #{operation}"),
        "exit #1".into(),
    ]
}

/// What a poll writes that gets its permits, if `obtained`, or not.
fn a_poll(operation: u64, obtained: Option<u64>, is_ready: bool) -> Vec<String> {
    let spans = [1, operation, operation + 1];
    let mut lines: Vec<String> = spans.iter().map(|span| format!("enter #{span}")).collect();
    if let Some(permits) = obtained {
        lines.extend([
            "enter #1".into(),
            format!("event in #1 {RESOURCE_UPDATE} permits={permits} permits.op=\"sub\""),
            "exit #1".into(),
            format!("enter #{operation}"),
            format!("event in #{operation} {OPERATION_UPDATE} permits_obtained={permits} permits.op=\"add\""),
            format!("exit #{operation}"),
        ]);
    }
    lines.push(format!("event in #{} {POLL} op_name=\"poll_acquire\" is_ready={is_ready}", operation + 1));
    lines.extend(spans.iter().rev().map(|span| format!("exit #{span}")));
    lines
}

fn an_update(permits: u64, op: &str) -> Vec<String> {
    vec![
        "enter #1".into(),
        format!("event in #1 {RESOURCE_UPDATE} permits={permits} permits.op={op:?}"),
        "exit #1".into(),
    ]
}

fn closing(operation: u64) -> Vec<String> {
    vec![format!("close #{operation}"), format!("close #{}", operation + 1)]
}

#[test]
fn a_semaphore_is_a_resource() {
    let _alone = alone();
    let recorder = Recorder::default();
    let (lines, semaphore) = recorder.record(|| Semaphore::new(3));
    let file = file!();
    assert_eq!(
        lines,
        [
            &format!(
                "new #1 root runtime.resource concrete_type=\"Semaphore\" kind=\"Sync\" loc.file={file:?} loc.line=_ \
                 loc.col=_ inherits_child_attrs=false"
            ),
            "enter #1",
            &format!("event in #1 {RESOURCE_UPDATE} permits=3 permits.op=\"override\""),
            "exit #1",
        ]
    );
    assert_eq!(recorder.record(|| drop(semaphore)).0, ["close #1"]);
}

#[test]
fn a_resource_is_a_root_whatever_span_it_is_made_in() {
    let _alone = alone();
    let recorder = Recorder::default();
    let (lines, _) = recorder.record(|| {
        let around = tracing::trace_span!("runtime.around");
        drop(around.in_scope(|| Semaphore::new(3)));
    });
    assert!(lines.iter().any(|line| line.starts_with("new #2 root runtime.resource ")), "{lines:#?}");
}

#[test]
fn a_semaphore_in_a_constant_has_no_span_and_its_events_are_told() {
    let _alone = alone();
    let recorder = Recorder::default();
    static SEMAPHORE: Semaphore = Semaphore::const_new(1);
    let (lines, _) = recorder.record(|| drop(SEMAPHORE.try_acquire()));
    assert_eq!(
        lines,
        [
            format!("event in nothing {RESOURCE_UPDATE} permits=1 permits.op=\"sub\""),
            format!("event in nothing {RESOURCE_UPDATE} permits=1 permits.op=\"add\""),
        ]
    );
    let (lines, _) = recorder.record(|| drop(Semaphore::new_closed()));
    assert_eq!(lines, [""; 0]);
}

#[test]
fn an_acquisition_is_an_operation() {
    let _alone = alone();
    let (recorder, semaphore) = recorded(9);
    let semaphore = Arc::new(semaphore);
    let s = &semaphore;
    let (mut lines, mut expected) = (vec![], vec![]);
    macro_rules! acquire {
        ($source:literal, $permits:literal, $acquire:expr) => {
            let operation = expected.iter().filter(|line: &&String| line.starts_with("new ")).count() as u64 + 2;
            lines.extend(recorder.record(|| drop($acquire)).0);
            expected.extend(beginning($source, operation, $permits));
            expected.extend(closing(operation));
        };
    }
    acquire!("Semaphore::acquire", 1, s.acquire());
    acquire!("Semaphore::acquire_many", 2, s.acquire_many(2));
    acquire!("Semaphore::acquire_n", 3, s.acquire_n(3));
    acquire!("Semaphore::acquire_owned", 1, s.clone().acquire_owned());
    acquire!("Semaphore::acquire_many_owned", 2, s.clone().acquire_many_owned(2));
    acquire!("Semaphore::acquire_n_owned", 3, s.clone().acquire_n_owned(3));
    assert_eq!(lines, expected);
}

#[test]
fn an_acquisition_that_is_ready_at_once() {
    let _alone = alone();
    let (recorder, semaphore) = recorded(9);
    let (lines, permit) = recorder.record(|| {
        let mut acquire = pin!(semaphore.acquire_many(4));
        poll(acquire.as_mut())
    });
    let mut expected = beginning("Semaphore::acquire_many", 2, 4);
    expected.extend(a_poll(2, Some(4), true));
    expected.extend(closing(2));
    assert_eq!(lines, expected);
    assert_eq!(recorder.record(|| drop(permit)).0, an_update(4, "add"));
}

#[test]
fn an_acquisition_that_waits_and_is_granted() {
    let _alone = alone();
    let (recorder, semaphore) = recorded(0);
    let (lines, mut acquire) = recorder.record(|| Box::pin(semaphore.acquire()));
    assert_eq!(lines, beginning("Semaphore::acquire", 2, 1));
    assert!(recorder.record(|| poll(acquire.as_mut())).1.is_pending());
    let (lines, _) = recorder.record(|| assert!(poll(acquire.as_mut()).is_pending()));
    assert_eq!(lines, a_poll(2, None, false));
    assert_eq!(recorder.record(|| semaphore.add_permits(1)).0, an_update(1, "add"));
    let (lines, permit) = recorder.record(|| {
        let permit = poll(acquire.as_mut());
        drop(acquire);
        permit
    });
    assert_eq!(lines, [a_poll(2, Some(1), true), closing(2)].concat());
    assert_eq!(recorder.record(|| drop(permit)).0, an_update(1, "add"));
}

#[test]
fn an_acquisition_that_is_cancelled() {
    let _alone = alone();
    let (recorder, semaphore) = recorded(0);
    let (_, mut acquire) = recorder.record(|| Box::pin(semaphore.acquire()));
    let (lines, _) = recorder.record(|| assert!(poll(acquire.as_mut()).is_pending()));
    assert_eq!(lines, a_poll(2, None, false));
    assert_eq!(recorder.record(|| drop(acquire)).0, closing(2));
}

#[test]
fn an_acquisition_that_fails() {
    let _alone = alone();
    let (recorder, semaphore) = recorded(0);
    let (_, mut acquire) = recorder.record(|| Box::pin(semaphore.acquire()));
    recorder.record(|| assert!(poll(acquire.as_mut()).is_pending()));
    let (lines, _) = recorder.record(|| semaphore.close());
    assert_eq!(lines, [""; 0], "closing changes no permits");
    let (lines, _) = recorder.record(|| {
        assert!(matches!(poll(acquire.as_mut()), Poll::Ready(Err(_))));
        drop(acquire);
    });
    assert_eq!(lines, [a_poll(2, None, true), closing(2)].concat());
}

#[test]
fn a_blocking_acquisition_is_an_operation_too() {
    let _alone = alone();
    let (recorder, semaphore) = recorded(3);
    let (lines, permit) = recorder.record(|| semaphore.blocking_acquire_many(2));
    let mut expected = beginning("Semaphore::acquire_many", 2, 2);
    expected.extend(a_poll(2, Some(2), true));
    expected.extend(closing(2));
    assert_eq!(lines, expected);
    // One that blocks, and gives up.
    let wait = || semaphore.acquire_many(2).wait_deadline(Instant::now());
    let (lines, result) = recorder.record(wait);
    assert_eq!(result.map(drop), Err(WaitError::TimedOut));
    let mut expected = beginning("Semaphore::acquire_many", 4, 2);
    expected.extend(a_poll(4, None, true));
    expected.extend(closing(4));
    assert_eq!(lines, expected);
    drop(permit);
}

#[test]
fn a_blocking_acquisition_that_waits_and_is_granted() {
    let _alone = alone();
    let (recorder, semaphore) = recorded(0);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| recorder.record(|| semaphore.blocking_acquire().map(drop)));
        while semaphore.num_waiters() == 0 {
            std::thread::yield_now();
        }
        semaphore.add_permits(1); // by a thread whose events nobody hears
        let (lines, result) = waiting.join().expect("it has not panicked");
        result.expect("open");
        let mut expected = beginning("Semaphore::acquire", 2, 1);
        expected.extend(a_poll(2, Some(1), true));
        expected.extend(closing(2));
        expected.extend(an_update(1, "add"));
        assert_eq!(lines, expected);
    });
}

#[test]
fn what_changes_the_permits_is_told() {
    let _alone = alone();
    let (recorder, semaphore) = recorded(9);
    let semaphore = Arc::new(semaphore);
    let (lines, permit) = recorder.record(|| semaphore.try_acquire_many(4));
    assert_eq!(lines, an_update(4, "sub"));
    let mut permit = permit.expect("free");
    assert_eq!(recorder.record(|| semaphore.add_permits(1)).0, an_update(1, "add"));
    assert_eq!(recorder.record(|| semaphore.forget_permits(2)), (an_update(2, "sub"), 2));
    let (lines, part) = recorder.record(|| permit.split(1));
    assert_eq!(lines, [""; 0], "they stay in use");
    assert_eq!(recorder.record(|| part.expect("it has four").forget()).0, [""; 0], "they stay away");
    assert_eq!(recorder.record(|| drop(permit)).0, an_update(3, "add"));
    let owned = || semaphore.clone().try_acquire_many_owned(2).map(drop);
    assert_eq!(recorder.record(owned).0, [an_update(2, "sub"), an_update(2, "add")].concat());
    assert_eq!(recorder.record(|| semaphore.drain_permits()), (an_update(7, "sub"), 7));
    // What changes nothing is not told.
    let (lines, _) = recorder.record(|| {
        assert!(semaphore.try_acquire().is_err());
        assert_eq!(semaphore.forget_permits(1), 0);
        semaphore.add_permits(0);
        semaphore.close();
    });
    assert_eq!(lines, [""; 0]);
}

#[test]
fn the_events_add_up_to_the_available_permits() {
    let _alone = alone();
    let (recorder, semaphore) = recorded(10);
    let semaphore = Arc::new(semaphore);
    let agree = |by: &str| {
        assert_eq!(semaphore.num_waiters(), 0, "{by}");
        assert_eq!(recorder.book().permits, semaphore.available_permits() as i64, "{by}");
    };
    recorder.record(|| {
        agree("a new semaphore");
        let held = semaphore.try_acquire_many(8).expect("free");
        agree("try_acquire");
        let mut waiting: Vec<_> = (0..6).map(|n| Box::pin(semaphore.clone().acquire_many_owned(n))).collect();
        let mut ready = Vec::new();
        for future in &mut waiting {
            if let Poll::Ready(permit) = poll(future.as_mut()) {
                ready.push(permit);
            }
        }
        assert_eq!(semaphore.num_waiters(), 4);
        drop(waiting.swap_remove(4)); // one of those who wait goes away
        drop(held);
        // One that is granted goes away unseen, the rest take theirs.
        drop(waiting.swap_remove(2));
        for future in &mut waiting[2..] {
            assert!(poll(future.as_mut()).is_ready());
        }
        drop((waiting, ready));
        agree("waiting, granting, cancelling before and after the grant");
        let mut permit = semaphore.blocking_acquire_many(7).expect("open");
        permit.split(2).expect("it has seven").forget();
        agree("a permit that was taken apart and forgotten in part");
        permit.merge(semaphore.acquire_many(1).wait().expect("open"));
        drop(permit);
        agree("a permit that was put together");
        semaphore.add_permits(3);
        semaphore.forget_permits(4);
        agree("adding and forgetting");
        let mut polled = PollSemaphore::new(semaphore.clone());
        let cx = &mut Context::from_waker(Waker::noop());
        let first = polled.poll_acquire_many(cx, 3);
        assert!(first.is_ready() && polled.poll_acquire_many(cx, 5).is_pending());
        drop(first);
        assert!(polled.poll_acquire_many(cx, 5).is_ready());
        agree("a PollSemaphore");
        let held = semaphore.try_acquire_many(1).expect("free");
        let too_many = semaphore.acquire_many(1000);
        assert_eq!(too_many.wait_timeout(Duration::ZERO).unwrap_err(), WaitError::TimedOut);
        let interrupter = Interrupter::new();
        interrupter.interrupt();
        let too_many = semaphore.acquire_many(1000);
        assert_eq!(too_many.wait_interruptible(&interrupter).unwrap_err(), WaitError::Interrupted);
        agree("waits that gave up");
        semaphore.close();
        drop(held);
        semaphore.add_permits(2);
        semaphore.drain_permits();
        agree("a closed semaphore");
    });
}

/// A call of a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Enabled,
    NewSpan,
    Event,
    Enter,
    Exit,
    TryClose,
}

/// A subscriber that panics in one of its calls, and before that calls the semaphore back, as it does in each.
struct Panicking {
    /// The semaphore to call back, once there is one.
    semaphore: OnceLock<Weak<Semaphore>>,
    /// Calls from here to the one that panics. Wraps around below 0: no test makes that many calls.
    left: AtomicUsize,
    panicked: OnceLock<Call>,
}

const NEVER: usize = usize::MAX;

impl Panicking {
    fn called(&self, call: Call) {
        thread_local! {
            static CALLING_BACK: Cell<bool> = const { Cell::new(false) };
        }
        if CALLING_BACK.replace(true) {
            return; // told of what it does itself
        }
        if let Some(semaphore) = self.semaphore.get().and_then(Weak::upgrade) {
            // Each of these would hang if the queue were locked.
            drop((semaphore.try_acquire(), semaphore.try_acquire_many(1000), semaphore.available_permits()));
            assert!(poll(pin!(semaphore.acquire_many(0))).is_ready());
            drop(format!("{semaphore:?}"));
        }
        CALLING_BACK.set(false);
        if self.left.fetch_sub(1, SeqCst) == 1 {
            self.panicked.set(call).expect("one call panics");
            resume_unwind(Box::new("the subscriber's panic")); // as `panic!`, but says nothing
        }
    }
}

/// A handle of it, as `tracing` wants one.
struct Shared(Arc<Panicking>);

impl Subscriber for Shared {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes() // ask each time
    }
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.called(Call::Enabled);
        is_for_the_console(metadata)
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        self.0.called(Call::NewSpan);
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.called(Call::Event);
    }
    fn enter(&self, _: &Id) {
        self.0.called(Call::Enter);
    }
    fn exit(&self, _: &Id) {
        self.0.called(Call::Exit);
    }
    fn try_close(&self, _: Id) -> bool {
        self.0.called(Call::TryClose);
        false
    }
}

/// Runs `operation` once for each call that it makes to its subscriber, which panics in that call, and once more
/// undisturbed; each time on a new semaphore with that many permits, and with what `before` made. `after` checks, told
/// whether the operation panicked; then all permits must be there again, less those that `after` says are gone for good,
/// nobody may be left in the queue, and later waiters must be served in their turn.
fn survives<T>(
    what: &str,
    permits: usize,
    before: impl Fn(&Arc<Semaphore>) -> T,
    operation: impl Fn(&Arc<Semaphore>, &mut T),
    after: impl Fn(&Arc<Semaphore>, T, bool) -> usize,
) {
    let _alone = alone();
    let mut panics = Vec::new();
    for nth in 1..1000 {
        let panicking = Arc::new(Panicking {
            semaphore: OnceLock::new(),
            left: AtomicUsize::new(NEVER),
            panicked: OnceLock::new(),
        });
        with_default(Shared(panicking.clone()), || {
            let semaphore = Arc::new(Semaphore::new(permits));
            panicking.semaphore.set(Arc::downgrade(&semaphore)).expect("once");
            let mut made = before(&semaphore);
            panicking.left.store(nth, SeqCst);
            let result = catch_unwind(AssertUnwindSafe(|| operation(&semaphore, &mut made)));
            panicking.left.store(NEVER, SeqCst);
            let panicked = panicking.panicked.get();
            let case = format!("{what}; call number {nth} panics: {panicked:?}");
            assert_eq!(result.is_err(), panicked.is_some(), "{case}: a panic got lost, or there is another");

            let gone = after(&semaphore, made, panicked.is_some());
            assert!(semaphore.num_waiters() == 0, "{case}: somebody is left");
            let there = permits - gone;
            assert_eq!(semaphore.available_permits(), there, "{case}: permits are lost, or made");
            if semaphore.is_closed() {
                return;
            }
            let there = there + 1;
            semaphore.add_permits(1);
            let (mut all, mut behind) = (pin!(semaphore.acquire_n(there)), pin!(semaphore.acquire_n(there)));
            let Poll::Ready(Ok(permit)) = poll(all.as_mut()) else { panic!("{case}: the permits are not to be had") };
            assert!(poll(behind.as_mut()).is_pending(), "{case}");
            drop(permit);
            assert!(poll(behind.as_mut()).is_ready(), "{case}: a later waiter is not served");
        });
        match panicking.panicked.get() {
            Some(call) => panics.push(*call),
            None => {
                println!("{what}: a panic in each of {} calls: {panics:?}", panics.len());
                assert!(panics.contains(&Call::Event), "{what} tells nothing");
                return;
            }
        }
    }
    panic!("{what} makes too many calls");
}

/// For an operation on its own, which takes no permits for good.
fn survives_alone(what: &str, operation: impl Fn(&Arc<Semaphore>)) {
    survives(what, 6, |_| (), |semaphore, ()| operation(semaphore), |_, (), _| 0);
}

#[test]
fn a_panicking_subscriber_loses_nothing_of_an_acquisition() {
    survives_alone("acquire, drop", |s| drop(poll(pin!(s.acquire()))));
    survives_alone("acquire_many_owned, drop", |s| drop(poll(pin!(s.clone().acquire_many_owned(3)))));
    survives_alone("try_acquire, drop", |s| drop(s.try_acquire()));
    survives_alone("try_acquire_many_owned, drop", |s| drop(s.clone().try_acquire_many_owned(3)));
    survives_alone("blocking_acquire, drop", |s| drop(s.blocking_acquire()));
    survives_alone("blocking_acquire_many_owned, drop", |s| drop(s.clone().blocking_acquire_many_owned(3)));
    survives_alone("an expired wait with free permits", |s| drop(s.acquire().wait_deadline(Instant::now())));
    survives_alone("a wait that gives up", |s| {
        assert_eq!(s.acquire_many(7).wait_deadline(Instant::now()).map(drop), Err(WaitError::TimedOut));
    });
    survives_alone("acquire().await in a task", |s| {
        let task = async {
            let permit = s.acquire().await;
            assert!(permit.is_ok());
        };
        assert!(poll(pin!(task)).is_ready());
    });
    survives_alone("an acquisition that is polled again after the panic", |s| {
        let mut acquire = pin!(s.acquire_many(6));
        let first = catch_unwind(AssertUnwindSafe(|| poll(acquire.as_mut())));
        match first {
            Ok(Poll::Ready(permit)) => drop(permit),
            Ok(Poll::Pending) => panic!("they are free"),
            Err(panic) => {
                // The permits are the future's still.
                let Poll::Ready(Ok(permit)) = poll(acquire.as_mut()) else { panic!("they are free") };
                assert_eq!((permit.num_permits(), s.available_permits()), (6, 0));
                drop(permit);
                resume_unwind(panic);
            }
        }
    });
    survives_alone("a queued acquisition that is granted", |s| {
        let held = s.try_acquire_many(6).expect("free");
        let mut acquire = pin!(s.acquire_many(6));
        assert!(poll(acquire.as_mut()).is_pending());
        drop(held);
        assert!(poll(acquire.as_mut()).is_ready());
    });
    survives_alone("PollSemaphore", |s| {
        let mut polled = PollSemaphore::new(s.clone());
        let cx = &mut Context::from_waker(Waker::noop());
        let held = polled.poll_acquire_many(cx, 6);
        assert!(polled.poll_acquire_many(cx, 6).is_pending());
        drop(held);
        assert!(polled.poll_acquire_many(cx, 6).is_ready());
    });
    survives_alone("split, merge", |s| {
        let mut all = s.try_acquire_many(6).expect("free");
        let part = all.split(2).expect("it has six");
        all.merge(part);
    });
}

/// Queues so many acquisitions of one permit, more than one hold of the queue's lock may serve.
fn queue(semaphore: &Arc<Semaphore>) -> Vec<Pin<Box<AcquireOwned>>> {
    let mut queue: Vec<_> = (0..QUEUED).map(|_| Box::pin(semaphore.clone().acquire_owned())).collect();
    for future in &mut queue {
        assert!(poll(future.as_mut()).is_pending());
    }
    queue
}

const QUEUED: usize = 40;

#[test]
fn a_panicking_subscriber_loses_no_waiter_of_a_release() {
    // Of one that adds, and of one that gives a permit back.
    survives(
        "add_permits with a queue",
        0,
        queue,
        |s, _| s.add_permits(QUEUED),
        |s, queue, _| {
            for mut future in queue {
                let Poll::Ready(Ok(permit)) = poll(future.as_mut()) else { panic!("a waiter is not served") };
                permit.forget();
            }
            assert_eq!(s.available_permits(), 0);
            0
        },
    );
    survives(
        "drop of a permit with a queue",
        QUEUED,
        |s| {
            let held = s.clone().try_acquire_many_owned(QUEUED as u32).expect("free");
            (Some(held), queue(s))
        },
        |_, (held, _)| drop(held.take()),
        |_, (_, queue), _| {
            let served = queue.into_iter().map(|mut future| poll(future.as_mut()));
            assert!(served.collect::<Vec<_>>().iter().all(Poll::is_ready), "a waiter is not served");
            0
        },
    );
    survives(
        "withdrawal of the front, which makes room for the rest",
        QUEUED,
        |s| {
            let mut front = Box::pin(s.clone().acquire_n_owned(QUEUED + 1));
            assert!(poll(front.as_mut()).is_pending());
            (Some(front), queue(s))
        },
        |_, (front, _)| {
            // That it goes away is told by its spans alone: poll it once more, for an event.
            let mut front = front.take().expect("there");
            assert!(poll(front.as_mut()).is_pending());
        },
        |_, (_, queue), _| {
            let served = queue.into_iter().map(|mut future| poll(future.as_mut()));
            assert!(served.collect::<Vec<_>>().iter().all(Poll::is_ready), "a waiter is not served");
            0
        },
    );
}

#[test]
fn a_panicking_subscriber_loses_nothing_of_a_waiter() {
    // Joining the queue, and being polled there: the waiter keeps its place, or leaves without a trace.
    survives(
        "the first poll of a waiter",
        6,
        |s| {
            let held = s.clone().try_acquire_many_owned(6).expect("free");
            (held, Box::pin(s.clone().acquire_owned()))
        },
        |_, (_, waiting)| assert!(poll(waiting.as_mut()).is_pending()),
        |s, (held, mut waiting), panicked| {
            assert!(panicked || s.num_waiters() == 1);
            drop(held);
            assert!(poll(waiting.as_mut()).is_ready());
            0
        },
    );
    survives(
        "the last poll of a waiter",
        6,
        |s| {
            let held = s.clone().try_acquire_many_owned(6).expect("free");
            let mut waiting = Box::pin(s.clone().acquire_many_owned(6));
            assert!(poll(waiting.as_mut()).is_pending());
            drop(held);
            waiting
        },
        |_, waiting| assert!(poll(waiting.as_mut()).is_ready()),
        |s, mut waiting, panicked| {
            if panicked && s.available_permits() == 0 {
                // It has not handed its permits out, so it has them still.
                assert!(poll(waiting.as_mut()).is_ready());
            }
            0
        },
    );
}

#[test]
fn a_panicking_subscriber_loses_nothing_of_what_else_there_is() {
    survives(
        "add_permits",
        6,
        |_| (),
        |s, ()| s.add_permits(2),
        |s, (), _| {
            assert_eq!(s.forget_permits(2), 2);
            0
        },
    );
    survives("forget_permits", 6, |_| (), |s, ()| assert_eq!(s.forget_permits(2), 2), |_, (), _| 2);
    survives("drain_permits", 6, |_| (), |s, ()| assert_eq!(s.drain_permits(), 6), |_, (), _| 6);
    let forgotten = Cell::new(0);
    survives(
        "forget of a permit",
        6,
        |_| forgotten.set(0),
        |s, ()| {
            let permit = s.try_acquire_many(2).expect("free");
            forgotten.set(2);
            permit.forget();
        },
        |_, (), _| forgotten.get(),
    );
    survives(
        "the last poll after close",
        6,
        |s| {
            let mut waiting = Box::pin(s.clone().acquire_many_owned(7));
            assert!(poll(waiting.as_mut()).is_pending());
            waiting
        },
        |s, waiting| {
            s.close();
            assert!(matches!(poll(waiting.as_mut()), Poll::Ready(Err(_))));
        },
        |s, _, _| {
            assert!(s.is_closed());
            0
        },
    );
    // One that never comes to be has nothing to lose.
    survives_alone("a new semaphore", |_| drop(Semaphore::new(3)));
}

/// Tokio's `subscriber_panic` tests (its `tests/tracing_sync.rs`), with the events that there are here: a release tells of
/// the resource, and of no acquisition; the first poll of a waiter tells of the poll, and of no permits, since it has none.
mod as_tokio_has_it {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use tokio_test::{assert_pending, assert_ready_ok, task};

    /// A subscriber that panics on the first event with the given target.
    struct PanicOnEvent {
        target: &'static str,
        panicked: AtomicBool,
    }

    impl PanicOnEvent {
        fn new(target: &'static str) -> Self {
            Self { target, panicked: AtomicBool::new(false) }
        }
    }

    impl Subscriber for PanicOnEvent {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == self.target
        }
        fn event(&self, _: &Event<'_>) {
            if !self.panicked.swap(true, SeqCst) {
                panic!("tracing subscriber panicked");
            }
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn semaphore_release() {
        let _alone = alone();
        let sem = Semaphore::new(0);
        let mut acquire = task::spawn(sem.acquire());
        assert_pending!(acquire.poll());

        let subscriber = PanicOnEvent::new(RESOURCE_UPDATE);
        let res = catch_unwind(AssertUnwindSafe(|| with_default(subscriber, || sem.add_permits(1))));
        assert!(res.is_err());

        // The waiter has its permit, and has left the queue.
        let permit = assert_ready_ok!(acquire.poll());
        drop(acquire);
        sem.add_permits(1);
        drop(permit);
        assert_eq!(sem.available_permits(), 2);
    }

    #[test]
    fn semaphore_acquire() {
        let _alone = alone();

        // The future is dropped while unwinding, which must give its permits back.
        fn poll_with_panicking_subscriber<F: Future>(mut acquire: task::Spawn<F>, target: &'static str) {
            let res = catch_unwind(AssertUnwindSafe(|| {
                with_default(PanicOnEvent::new(target), || {
                    let _ = acquire.poll();
                });
            }));
            assert!(res.is_err());
        }

        let sem = Semaphore::new(1);
        poll_with_panicking_subscriber(task::spawn(sem.acquire()), RESOURCE_UPDATE);
        assert_eq!(sem.available_permits(), 1);
        poll_with_panicking_subscriber(task::spawn(sem.acquire()), OPERATION_UPDATE);
        assert_eq!(sem.available_permits(), 1);
        poll_with_panicking_subscriber(task::spawn(sem.acquire_many(2)), POLL);
        assert_eq!((sem.available_permits(), sem.num_waiters()), (1, 0));
    }
}
