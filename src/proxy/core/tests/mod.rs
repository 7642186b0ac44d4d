//! The engine, played in memory.

use super::rehearsal::walk;

mod failures;
mod pressure;
mod sessions;
mod transactions;

#[test]
fn whatever_fails_replies_are_the_right_ones() {
    for seed in 0..40 {
        println!("seed {seed}");
        assert!(walk(Ok(seed), 300) > 0, "nobody was answered");
    }
}
