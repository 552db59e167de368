//! What is written of a trace.

use super::*;
use crate::kernel::simulated::write_svg;
use std::string::String;

/// Low holds the bus; high waits for it, and medium comes between.
fn inversion() -> Simulation {
    let mut machine = Simulation::new();
    let bus = machine.mutex("bus");
    let low = machine.thread("low", 1);
    let medium = machine.thread("<medium>", 5);
    let high = machine.thread("high", 10);
    machine.script(low).lock(bus).run(30 * MS).unlock(bus);
    machine.script(medium).sleep(20 * MS).run(20 * MS);
    machine.script(high).sleep(10 * MS).lock(bus).run(30 * MS).unlock(bus).mark("done");
    machine
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_timeline_has_a_lane_for_each_thread_with_a_letter_for_each_moment() {
    let timeline = written(|to| inversion().run().write_timeline(to));
    let expected = format!(
        "\
low (1)      |{}{}{}|
<medium> (5) |{}{}{}|
high (10)    |{}{}{}{}|
",
        "#".repeat(10),
        "^".repeat(20),
        ".".repeat(50), // it is over when it runs again
        " ".repeat(20),
        ".".repeat(40),
        "#".repeat(20),
        " ".repeat(10),
        "x".repeat(20),
        "#".repeat(30),
        " ".repeat(20),
    );
    assert!(timeline.starts_with(&expected), "{timeline}");
    assert!(timeline.contains("high *      60 ms done"), "{timeline}");
}

#[test]
fn the_picture_shows_who_runs_is_boosted_waits_and_holds() {
    let trace = inversion().run();
    let picture = written(|to| write_svg(to, "a & b", &[("one", &trace), ("two", &trace)]));
    for (class, times) in [("runs", 3), ("boosted", 1), ("ready", 2), ("mutex", 1), ("holds", 2)] {
        let shown = picture.matches(&format!("<rect class=\"{class}\"")).count();
        assert_eq!(shown, 2 * times + 1, "{class}: in each run, and in the legend");
    }
    assert!(picture.contains("runs, boosted, 20 ms from 10 ms to 30 ms; weighs 11, 1 of it its own"));
    assert!(picture.contains("&lt;medium&gt;") && !picture.contains("<medium>") && picture.contains("a &amp; b"));
    assert_eq!(picture.matches('<').count(), picture.matches('>').count());
}

#[test]
fn the_list_of_events_names_threads_and_things() {
    let events = written(|to| inversion().run().write_events(to));
    for line in
        ["low       takes bus", "high      blocks on bus", "low       weighs 11, 1 of it its own", "high      * done"]
    {
        assert!(events.contains(line), "{line:?} in\n{events}");
    }
}

#[test]
fn a_machine_without_threads_is_drawn_too() {
    let trace = Simulation::new().run();
    assert!(written(|to| trace.write_svg(to, "nothing")).ends_with("</svg>\n"));
    assert!(written(|to| trace.write_timeline(to)).contains("0 ns"));
}
