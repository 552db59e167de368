//! Globs that choose cases and peers: `*` is anything, `?` any one character, case does not matter.

/// Whether `text` is one of those that `glob` means.
pub(crate) fn matches(glob: &str, text: &str) -> bool {
    let lower = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
    matches_rest(&lower(glob), &lower(text))
}

fn matches_rest(glob: &[char], text: &[char]) -> bool {
    match (glob.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => (0..=text.len()).any(|skipped| matches_rest(rest, &text[skipped..])),
        (Some((wanted, glob)), Some((found, text))) => (*wanted == '?' || wanted == found) && matches_rest(glob, text),
        _ => false,
    }
}

/// Whether `text` is meant by any of `globs`; without globs everything is.
pub(crate) fn any(globs: &[String], text: &str) -> bool {
    globs.is_empty() || globs.iter().any(|glob| matches(glob, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_anything_and_a_question_mark_one_character() {
        assert!(matches("U1", "u1") && !matches("U1", "U10"));
        assert!(matches("C1*", "C1") && matches("C1*", "C1b tasks=2"));
        assert!(matches("c?", "C2") && !matches("c?", "C"));
        assert!(matches("*tokio*", "tokio 1.53.3") && matches("*", ""));
        assert!(matches("C2 threads=16*", "C2 threads=16 permits=1") && !matches("", "C2"));
    }

    #[test]
    fn without_a_glob_everything_is_meant() {
        assert!(any(&[], "U1"));
        assert!(any(&["U2".into(), "U*".into()], "U1") && !any(&["U2".into()], "U1"));
    }
}
