//! Clients that do what they should not, and what the build finds in its environment.

use crate::stage::{Stage, finish, run};

#[test]
fn tokens_that_were_never_taken_are_absorbed_and_told_of() {
    let stage = Stage::new();
    // All at once, so that none of them can be taken for a return of another.
    let script = "printf ++++ >\"${MAKEFLAGS##*fifo:}\"; NAME=x sh -c \"$JOB\"";
    let mut stage = stage;
    let build = stage.bridge("--limit 3 --style fifo", ["sh", "-c", script]).spawn().expect("it starts");
    stage.hear();
    let status = stage.wait_until("they are absorbed", |status| status.used <= 2);
    assert!(status.used <= 2, "the implicit one, and one on offer: {status:#?}");
    stage.release(1);
    let ran = finish(build);
    assert_eq!(ran.status, 0);
    assert!(ran.err.contains("tokens were returned that nobody had taken"), "{}", ran.err);
    assert_eq!(stage.status().used, 0);
}

#[test]
fn a_make_that_ends_at_once_leaves_nothing_behind() {
    let stage = Stage::new();
    for round in 0..10 {
        let ran = run(stage.bridge("--limit 3", ["make", "-C", "/", "-f", "/dev/null", "no-such-target"]));
        assert_eq!(ran.status, 2, "round {round}: {}", ran.err);
    }
    let status = stage.status();
    assert_eq!((status.used, status.waiters.len()), (0, 0));
    let left = std::fs::read_dir(stage.path("")).expect("it is there").filter_map(Result::ok);
    let left: Vec<_> = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("gatepost")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_make_inside_of_make_takes_part_and_finds_one_jobserver() {
    let mut stage = Stage::new();
    stage.makefile(6);
    let outer = "all:\n\t+@printf %s \"$$MAKEFLAGS\" >../flags\n\t@$(MAKE) -C ../make\n";
    stage.write("outer/Makefile", outer);
    let mut command = stage.bridge("--limit 3", ["make", "-C", "outer"]);
    command.env("MAKEFLAGS", "k -j64 --jobserver-auth=97,98 -- X=1");
    let mut build = command.spawn().expect("it starts");
    for _ in 0..3 {
        stage.hear();
    }
    stage.conduct(3, 3, std::slice::from_mut(&mut build));
    let ran = finish(build);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    assert_eq!((stage.begun("make"), stage.most_at_once()), (6, 3));
    let flags = std::fs::read_to_string(stage.path("flags")).expect("it was written");
    assert_eq!(flags.matches("--jobserver-auth=").count(), 1, "{flags}");
    assert!(!flags.contains("97,98") && !flags.contains("-j64") && flags.contains("X=1"), "{flags}");
}

#[test]
fn the_build_finds_cargos_variable_and_none_that_would_undo_ours() {
    let stage = Stage::new();
    let script = "printf '%s|%s|%s|%s|%s' \"$MAKEFLAGS\" \"$CARGO_MAKEFLAGS\" \"$MFLAGS\" \"$CMAKE_BUILD_PARALLEL_LEVEL\" \
                  \"$GATEPOST_SEM\" >found";
    let mut command = stage.bridge("--limit 5 --style fifo", ["sh", "-c", script]);
    command
        .env("MFLAGS", "-j9")
        .env("CMAKE_BUILD_PARALLEL_LEVEL", "9")
        .env("CARGO_MAKEFLAGS", "--jobserver-auth=97,98");
    assert_eq!(run(command).status, 0);
    let found = std::fs::read_to_string(stage.path("found")).expect("it was written");
    let fields: Vec<_> = found.split('|').collect();
    let [make, cargo, mflags, cmake, semaphore] = fields.as_slice() else { panic!("{found}") };
    assert!(make.starts_with(" -j5 --jobserver-auth=fifo:/"), "{make}");
    assert!(cargo.starts_with("-j --jobserver-auth=fifo:/"), "{cargo}");
    assert_eq!([*mflags, *cmake, *semaphore], ["", "", "cores"]);
}

#[test]
fn an_offer_that_nobody_takes_goes_to_whoever_waits() {
    let mut stage = Stage::new();
    let build = stage.bridge("--limit 2", ["sh", "-c", "NAME=idle sh -c \"$JOB\""]).spawn().expect("it starts");
    stage.hear();
    stage.wait_until("there is an offer", |status| status.used == 2);
    let ran = run(stage.gatepost(["run", "--sem", "cores", "--", "true"]));
    assert_eq!(ran.status, 0, "it was given the idle one: {}", ran.err);
    stage.release(1);
    assert_eq!(finish(build).status, 0);
}
