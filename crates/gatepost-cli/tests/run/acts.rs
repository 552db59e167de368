//! What is done to a semaphore: `resize`, `pause`, `resume`, `revoke`, `wait`, `repair`, `remove`.

use crate::stage::{Seen, Stage, finish, run, start};

#[test]
fn a_larger_limit_admits_waiters_at_once() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let holder = stage.hold("s", 1);
    let waiter = start(&mut stage.run_sh("--sem s", "echo in > said"));
    stage.until_waiting("s", 1);
    stage.complete("resize s 2").says(0, &[]);
    assert_eq!(stage.hear(), "in");
    assert_eq!(finish(waiter).status, 0);
    assert_eq!(stage.let_finish(holder).status, 0);
    stage.complete("resize s cores/100000").says(0, &[]);
    assert_eq!(stage.status("s").limit, 1);
    stage.complete("resize s many").says(64, &["many"]);
    stage.complete("resize t 4").says(64, &["no semaphore \"t\""]);
}

#[test]
fn a_smaller_limit_takes_nothing_away() {
    let mut stage = Stage::new();
    stage.make("s", 2);
    let first = stage.hold("s", 1);
    let second = stage.hold("s", 1);
    stage.complete("resize s 1").says(0, &[]);
    let status = stage.status("s");
    assert_eq!((status.limit, status.used), (1, 2));
    let drain = start(&mut stage.gatepost("resize s 0 --drain"));
    stage.until("s", "drained", |status| status.limit == 0);
    stage.release();
    stage.release();
    assert!([first, second, drain].into_iter().all(|child| finish(child).status == 0));
    assert_eq!(stage.status("s").used, 0);
}

#[test]
fn now_revokes_the_youngest() {
    let mut stage = Stage::new();
    stage.make("s", 3);
    let old = stage.hold("s", 1);
    let young = stage.hold("s", 2);
    let id = stage.status("s").holders[1].id;
    let resized = stage.complete("resize s 1 --now");
    assert_eq!((resized.status, resized.out), (0, format!("s:{id} revoked\n")));
    finish(young).says(120, &["revoked"]);
    assert_eq!(stage.let_finish(old).status, 0);
}

#[test]
fn with_a_limit_of_0_waiters_stay() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    stage.complete("resize s 0").says(0, &[]);
    let waiter = start(&mut stage.run_sh("--sem s", "echo in > said"));
    stage.until_waiting("s", 1);
    stage.complete("resize s 1").says(0, &[]);
    assert_eq!(stage.hear(), "in");
    assert_eq!(finish(waiter).status, 0);
}

#[test]
fn a_pause_admits_nobody_until_it_is_over() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    stage.complete("pause s").says(0, &[]);
    stage.complete("run --sem s --no-wait -- true").says(75, &[]);
    let waiter = start(&mut stage.run_sh("--sem s", "echo in > said"));
    stage.until_waiting("s", 1);
    assert!(stage.status("s").paused && stage.is_silent());
    stage.complete("resume s").says(0, &[]);
    assert_eq!(stage.hear(), "in");
    assert_eq!(finish(waiter).status, 0);
}

#[test]
fn a_revoked_permit_is_recorded_with_the_reason() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let holder = stage.hold("s", 1);
    let id = stage.status("s").holders[0].id;
    let mut command = stage.gatepost(&format!("revoke s:{id} --why"));
    run(command.arg("hangs since yesterday")).says(0, &[]);
    finish(holder).says(120, &[]);
    let observer = gatepost_shared::Observer::open("s", &gatepost_shared::Options::new().directory(stage.path("")));
    let mut events = observer.expect("it is there").events();
    assert!(events.any(|event| event.why.contains("hangs since yesterday") && event.permit == Some(id)));
    stage.complete(&format!("revoke s:{id}")).says(0, &["gone already"]);
    stage.complete("revoke s").says(64, &["NAME:NUMBER"]);
    stage.complete("revoke").says(64, &["NAME:ID"]);
}

#[test]
fn kill_ends_a_holder_that_does_not_listen() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    // Without a wrapper nobody listens.
    let mut holder = start(&mut stage.run_sh("--exec --sem s", "echo $$ > said; exec sleep 1000"));
    let seen = Seen::new(&stage.hear());
    let id = stage.status("s").holders[0].id;
    let revoked = stage.complete(&format!("revoke s:{id} --kill"));
    assert_eq!(revoked.out, format!("s:{id} revoked\ns:{id}: process {} killed\n", seen.pid.as_raw_nonzero()));
    seen.ends();
    holder.wait().expect("it ends");
}

#[test]
fn kill_does_not_wonder_that_the_revocation_was_faster() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let mut holder = start(&mut stage.run_sh("--sem s", "echo $$ > said; exec sleep 1000"));
    let seen = Seen::new(&stage.hear());
    let id = stage.status("s").holders[0].id;
    // The wrapper ends its command, or we do, whoever comes first.
    let revoked = stage.complete(&format!("revoke s:{id} --kill"));
    assert!(revoked.out.starts_with(&format!("s:{id} revoked\n")), "{}", revoked.out);
    assert_eq!(revoked.err, "");
    seen.ends();
    holder.wait().expect("it ends");
}

#[test]
fn wait_ends_when_nobody_is_in_or_in_line() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    stage.complete("wait s --idle").says(0, &[]);
    let holder = stage.hold("s", 1);
    stage.complete("wait s --idle --timeout 50ms").says(124, &["1 permits held", "gatepost status s"]);
    let mut waiting = start(&mut stage.gatepost("wait s --idle"));
    assert!(waiting.try_wait().expect("it can be asked").is_none());
    assert_eq!(stage.let_finish(holder).status, 0);
    assert_eq!(finish(waiting).status, 0);
    stage.complete("wait s").says(64, &["--idle"]);
    stage.complete("wait t --idle").says(64, &["no semaphore"]);
}

#[test]
fn wait_ends_when_a_command_ends_whose_wrapper_is_gone() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let mut wrapper = start(&mut stage.run_sh("--sem s", "echo $$ > said; exec sleep 1000"));
    let command = Seen::new(&stage.hear());
    wrapper.kill().expect("it is there");
    wrapper.wait().expect("it ends");
    let waiting = start(&mut stage.gatepost("wait s --idle"));
    command.kill();
    assert_eq!(finish(waiting).status, 0);
}

#[test]
fn a_semaphore_in_use_is_not_removed() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let holder = stage.hold("s", 1);
    let refused = stage.complete("remove s");
    assert_ne!(refused.status, 0, "{refused:?}");
    assert!(stage.path("s.gate").exists());
    assert_eq!(stage.let_finish(holder).status, 0);
    stage.complete("remove s").says(0, &[]);
    assert!(!stage.path("s.gate").exists());
    stage.complete("remove s").says(64, &["no semaphore"]);
}

#[test]
fn repair_says_what_it_did() {
    let stage = Stage::new();
    stage.make("s", 1);
    let repaired = stage.complete("repair s");
    assert_eq!((repaired.status, repaired.out.as_str()), (0, "s: nothing was wrong\n"));
    stage.complete("repair t").says(64, &["no semaphore"]);
}

#[test]
fn a_damaged_semaphore_is_69_until_it_is_repaired() {
    use std::os::unix::fs::FileExt;
    let stage = Stage::new();
    stage.make("s", 1);
    let file = std::fs::File::options().write(true).open(stage.path("s.gate")).expect("the file");
    // The limit, which no file has room for.
    file.write_all_at(&0x7FFF_FFFFu32.to_le_bytes(), 0xC0).expect("written");
    stage.complete("run --sem s --no-wait -- true").says(69, &["\"s\"", "damaged", "gatepost repair s"]);
    assert_eq!(stage.complete("doctor").status, 69);
    let repaired = stage.complete("repair s");
    assert!(repaired.status == 0 && repaired.out.contains("s: the limit was"), "{repaired:?}");
    stage.complete("run --sem s --no-wait -- true").says(0, &[]);
}
