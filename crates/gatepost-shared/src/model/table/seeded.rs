//! Bugs that the model has to find, in the code that is shipped: a model that could not would say nothing.

use super::{Scenario, Tables, USUAL, explore, explored};
use crate::step::unwind;

fn caught(bug: &'static str, scenario: Scenario, what: &str) {
    unwind::seed(bug);
    let found = explore(&Tables::new(scenario));
    assert!(found.as_ref().is_err_and(|found| found.contains(what)), "{bug}: {found:?}");
}

#[test]
fn the_first_in_line_alone_looks_after_the_dead() {
    unwind::seed("the first in line alone");
    assert!(explored(Scenario { deaths: 2, limit: 1, demand: [1; 3], ..USUAL }).stuck > 0);
}

#[test]
fn whoever_follows_makes_nothing_anew() {
    caught("no rebuild", USUAL, "T3");
}

#[test]
fn a_grant_that_nobody_has_claimed_is_left() {
    caught("unclaimed grants are left", USUAL, "");
}

#[test]
fn those_whom_the_dead_have_answered_are_not_told() {
    caught("the answered are not told", USUAL, "answered and not told");
}

#[test]
fn the_word_of_a_grant_comes_before_its_slots() {
    caught("the word before the slots", USUAL, "T3");
}

#[test]
fn a_row_that_has_another_by_now_is_taken_from_it() {
    caught("whoever has the row", Scenario { deaths: 1, comers: 1, ..USUAL }, "T5");
}
