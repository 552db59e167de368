//! Two builds at once, of one semaphore.

use crate::stage::{Stage, finish, ninja, reads_pipes, run};

/// Enough jobs that each build comes to its turn many times.
const JOBS: usize = 40;

#[test]
fn a_build_that_is_alone_runs_as_many_jobs_as_the_limit_says_and_no_more() {
    let mut stage = Stage::new();
    let mut build = stage.bridge("--limit 3", stage.makefile(9)).spawn().expect("it starts");
    for _ in 0..3 {
        stage.hear();
    }
    let status = stage.status();
    assert_eq!((status.used, status.holders.len()), (3, 3));
    let labels: Vec<_> = status.holders.iter().map(|holder| holder.label.as_str()).collect();
    let ours = format!("(build {}: implicit)", build.id());
    assert!(labels[0].starts_with("make -C ") && labels[0].ends_with(&ours), "{labels:?}");
    assert!(labels[1].ends_with(&format!("(build {})", build.id())), "{labels:?}");
    stage.conduct(3, 3, std::slice::from_mut(&mut build));
    assert_eq!(finish(build).status, 0);
    assert_eq!((stage.begun("make"), stage.most_at_once()), (9, 3));
    assert_eq!(stage.status().used, 0);
}

#[test]
fn a_limit_of_one_is_a_build_without_parallel_jobs() {
    let mut stage = Stage::new();
    let mut build = stage.bridge("--limit 1", stage.makefile(4)).spawn().expect("it starts");
    stage.conduct(2, 0, std::slice::from_mut(&mut build));
    assert_eq!(finish(build).status, 0);
    assert_eq!((stage.begun("make"), stage.most_at_once()), (4, 1));
}

#[test]
fn behind_a_gate_that_never_opens_a_build_has_its_own_job_and_gets_on() {
    let mut stage = Stage::new();
    let mut build = stage.bridge("--limit 3 --min-free 900T", stage.makefile(4)).spawn().expect("it starts");
    stage.conduct(2, 0, std::slice::from_mut(&mut build));
    assert_eq!(finish(build).status, 0);
    assert_eq!((stage.begun("make"), stage.most_at_once()), (4, 1));
}

#[test]
fn make_and_make_share_the_limit_and_both_get_on() {
    let mut stage = Stage::new();
    let first = stage.bridge("--limit 3", stage.makefile(JOBS)).spawn().expect("it starts");
    for _ in 0..3 {
        // The first one has all that there is.
        stage.hear();
    }
    let other = stage.path("other");
    std::fs::create_dir(&other).expect("a folder");
    let makefile = std::fs::read_to_string(stage.path("make/Makefile")).expect("it is there");
    std::fs::write(other.join("Makefile"), makefile.replace("make", "other")).expect("it is written");
    let second = stage.bridge("", ["make".into(), "-C".into(), other]).spawn().expect("it starts");
    shared(stage, 3, 3, [first, second], ["make", "other"]);
}

#[test]
fn make_and_ninja_share_the_limit_and_both_get_on() {
    let Some(ninja) = ninja() else { return };
    // A ninja that finds a fifo is quicker than the bridge to take what it returns, so whoever comes after it may have to
    // wait for a while; with a build that was there before it shares all the same.
    for (make_first, style) in [(true, "--style auto"), (true, "--style fifo"), (false, "--style pipe")] {
        if style == "--style pipe" && !reads_pipes(&ninja) {
            continue;
        }
        let mut stage = Stage::new();
        let mut builds = [stage.makefile(JOBS), stage.ninja(&ninja, JOBS)];
        if !make_first {
            builds.swap(0, 1);
        }
        stage.semaphore(3);
        let options = if make_first { ["", style] } else { [style, ""] };
        let first = stage.bridge(options[0], &builds[0]).spawn().expect("it starts");
        // Ninja looks for tokens only when one of its jobs has ended, so it may not have all of them yet.
        let running = if make_first { 3 } else { 1 };
        for _ in 0..running {
            stage.hear();
        }
        let second = stage.bridge(options[1], &builds[1]).spawn().expect("it starts");
        let names = if make_first { ["make", "ninja"] } else { ["ninja", "make"] };
        shared(stage, 3, running, [first, second], names);
    }
}

#[test]
fn greedy_builds_share_the_limit_too() {
    let Some(ninja) = ninja() else { return };
    let mut stage = Stage::new();
    stage.semaphore(4);
    let first = stage.bridge("--share greedy", stage.makefile(JOBS)).spawn().expect("it starts");
    for _ in 0..4 {
        stage.hear();
    }
    let second = stage.bridge("--share greedy", stage.ninja(&ninja, JOBS)).spawn().expect("it starts");
    shared(stage, 4, 4, [first, second], ["make", "ninja"]);
}

#[test]
fn ninja_takes_tokens_in_each_style_that_it_knows() {
    let Some(ninja) = ninja() else { return };
    let mut stage = Stage::new();
    let mut build = stage.bridge("--limit 2 --style fifo", stage.ninja(&ninja, 6)).spawn().expect("it starts");
    stage.conduct(2, 0, std::slice::from_mut(&mut build));
    assert_eq!(finish(build).status, 0);
    assert_eq!((stage.begun("ninja"), stage.most_at_once()), (6, 2));
}

#[test]
fn a_command_that_is_no_build_is_one_job() {
    let stage = Stage::new();
    let ran = run(stage.bridge("--limit 2", ["sh", "-c", "exit 7"]));
    assert_eq!((ran.status, ran.err.as_str()), (7, ""));
    assert_eq!(stage.status().used, 0);
}

/// Both end well, neither waits for the end of the other, and never are there more jobs than permits.
fn shared(mut stage: Stage, limit: i32, running: usize, mut builds: [std::process::Child; 2], names: [&str; 2]) {
    let running = stage.let_in(names[1], running);
    stage.conduct(limit as usize, running, &mut builds);
    for build in builds {
        let ran = finish(build);
        assert_eq!(ran.status, 0, "{}", ran.err);
    }
    assert!(stage.most_at_once() <= limit, "{:?}", stage.log());
    assert!(stage.most_at_once() > 1, "{:?}", stage.log());
    for name in names {
        assert_eq!(stage.begun(name), JOBS, "{name}");
    }
    // Each began jobs between jobs of the other, over and over.
    assert!(stage.turns() >= 6, "{} turns: {:?}", stage.turns(), stage.log());
    let status = stage.status();
    assert_eq!((status.used, status.waiters.len()), (0, 0));
}
