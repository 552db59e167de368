//! Random scripts: see `script`. How many: `GATEPOST_SCRIPTS`.

use super::common::Dice;
use super::script::play;

#[test]
fn random_scripts_end_in_errors_that_are_values_and_in_a_file_that_can_be_repaired() {
    let scripts = std::env::var("GATEPOST_SCRIPTS").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let folder = tempfile::tempdir().expect("a folder");
    for seed in 0..scripts {
        let mut dice = Dice(seed);
        let length = dice.below(700);
        let script: Vec<u8> = (0..length).map(|_| dice.below(256) as u8).collect();
        let result = std::panic::catch_unwind(|| play(&script, folder.path()));
        assert!(result.is_ok(), "seed {seed}");
    }
}
