//! `doctor`: what it looks at, and what it says of a folder that will not do.

use serde_json::Value;

use crate::stage::Stage;

#[test]
fn a_sound_machine_is_well() {
    let stage = Stage::new();
    stage.make("mine", 3);
    let ran = stage.complete("doctor --json");
    assert_eq!(ran.status, 0, "{ran:?}");
    let findings: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |check: &str| findings.iter().filter(|finding| finding["check"] == check).collect::<Vec<_>>();
    for check in [
        "kernel",
        "locks",
        "futex",
        "pidfd",
        "machine",
        "pressure",
        "folder",
        "file system",
        "creation",
        "make",
        "ninja",
        "cargo",
    ] {
        assert_eq!(of(check).len(), 1, "{check}: {findings:?}");
        assert_eq!(of(check)[0]["schema"], "gatepost/1");
    }
    assert_eq!(of("semaphores")[0]["found"], "mine: 0/3 used, 0 waiting");
    let text = stage.complete("doctor");
    assert!(text.status == 0 && text.out.contains("ok   locks"), "{text:?}");
    assert_eq!(
        text.out.lines().filter(|line| line.starts_with("ok") || line.starts_with("note")).count(),
        findings.len()
    );
}

#[test]
fn a_folder_that_will_not_do_is_69_with_advice() {
    let stage = Stage::new();
    std::fs::write(stage.path("file"), "").expect("written");
    let ran = stage.complete("doctor --dir file");
    assert_eq!(ran.status, 69, "{ran:?}");
    assert!(ran.out.contains("BAD  folder") && ran.out.contains("GATEPOST_DIR"), "{ran:?}");
}

#[test]
fn a_file_that_is_no_semaphore_is_noted() {
    let stage = Stage::new();
    std::fs::write(stage.path("odd.gate"), "odd".repeat(5000)).expect("written");
    let ran = stage.complete("doctor");
    assert!(ran.status == 0 && ran.out.contains("note semaphores  odd: "), "{ran:?}");
}

#[test]
fn a_folder_that_run_refuses_is_bad() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new();
    let folder = stage.path("folder");
    std::fs::create_dir(&folder).expect("a folder");
    for (mode, refused, state) in [(0o777, true, "BAD"), (0o1777, false, "ok"), (0o770, false, "note")] {
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).expect("its mode is set");
        let looked = stage.complete("doctor --dir folder");
        assert_eq!(looked.status, if refused { 69 } else { 0 }, "{mode:o}: {looked:?}");
        assert!(looked.out.contains(&format!("{state:4} folder ")), "{mode:o}: {looked:?}");
        let ran = stage.complete("run --dir folder --sem s --limit 1 -- true");
        assert_eq!(ran.status, if refused { 77 } else { 0 }, "{mode:o}: {ran:?}");
    }
}
