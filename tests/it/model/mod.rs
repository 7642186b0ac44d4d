//! A pool of servers against one big server: the same random commands, through this crate and through
//! redis-rs, have the same replies and leave the same data.
//!
//! ```text
//!                  ┌── ShardedConnection ──► 1 to 5 redis-servers ──┐   in some cases
//!                  │                                                │   ShardedMultiplexedConnection
//!   steps ─────────┤                                                ├── replies, data: the same?
//!                  └── redis::Connection ──► 1 redis-server ────────┘
//! ```
//!
//! What the pool refuses must have left no trace there, and is not done on the big server. A pool of one
//! node refuses nothing on account of its keys.
//!
//! A failure prints the seed and the shortest sequence of steps that was found to fail. With
//! `SHARDWRIGHT_MODEL_STEPS=1000000` in the environment the test looks for more, and with
//! `SHARDWRIGHT_MODEL_START=…` at others, from another seed of the seeds. `SHARDWRIGHT_MODEL_SEED=…` runs
//! one case again. `--no-capture` shows what was done.

mod data;
mod grammar;
mod outcome;
mod random;
mod reply;
mod setting;
#[cfg(feature = "tokio-comp")]
mod shared;
mod shrink;
mod sides;
mod step;
mod steps;
mod stored;
mod templates;
mod values;
#[cfg(not(feature = "tokio-comp"))]
mod without_shared;
mod world;

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::time::Instant;

use self::outcome::Outcome;
use self::random::Random;
use self::setting::Setting;
use self::shrink::shrink;
use self::step::Step;
use self::steps::Steps;
use self::templates::GROUPS;
use self::world::World;

/// Nodes of the largest pool.
const MOST_NODES: usize = 5;

/// Steps of a case.
const STEPS: usize = 300;

/// Steps between two looks at what is stored.
const LOOK_EVERY: usize = 50;

/// Steps of a default run.
const DEFAULT_STEPS: usize = 18_000;

/// Commands that were done, by what came of them.
#[derive(Debug, Default)]
struct Count {
    compared: usize,
    refused: usize,
    skipped: usize,
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn a_pool_is_one_big_server() {
    let Some(mut world) = World::start(MOST_NODES) else { return };
    let wanted = number("SHARDWRIGHT_MODEL_STEPS").map_or(DEFAULT_STEPS, |steps| steps as usize);
    let mut seeds = Random::new(number("SHARDWRIGHT_MODEL_START").unwrap_or(0x5eed));
    let (start, mut count) = (Instant::now(), Count::default());
    if let Some(seed) = number("SHARDWRIGHT_MODEL_SEED") {
        return case(&mut world, seed, &mut count);
    }
    for _ in 0..wanted.div_ceil(STEPS) {
        case(&mut world, seeds.next(), &mut count);
    }
    println!("{wanted} steps in {:.0?}: {count:?}", start.elapsed());
    let all = count.compared + count.refused + count.skipped;
    assert!(count.compared > all / 2, "too little was compared: {count:?}");
}

/// Runs the case of `seed`, and a shorter one that fails too if it fails.
fn case(world: &mut World, seed: u64, count: &mut Count) {
    let setting = Setting::new(seed, MOST_NODES);
    // Not the last, which waits.
    let focus = (seed >> 32) as usize % (GROUPS.len() - 1);
    let mut source = Steps::new(&setting, focus);
    let steps: Vec<_> = (0..STEPS).map(|_| source.next()).collect();
    let Err(failure) = run(world, &setting, &steps, count) else { return };
    let until = failure.step.min(steps.len() - 1);
    let mut again = |steps: &[Step]| run(world, &setting, steps, &mut Count::default());
    let steps = shrink(steps[..=until].to_vec(), 600, |steps| again(steps).is_err());
    let Different { step, why } = again(&steps).err().unwrap_or(failure);
    let shown: Vec<_> = steps.iter().map(|step| format!("\n  - {step:?}")).collect();
    panic!("seed {seed}\n{setting:?}\n{}\nat step {step}: {why}", shown.concat());
}

/// Why a case failed.
#[derive(Debug)]
struct Different {
    step: usize,
    why: String,
}

/// Does `steps` on both sides; what panics is different.
fn run(
    world: &mut World,
    setting: &Setting,
    steps: &[Step],
    count: &mut Count,
) -> Result<(), Different> {
    let mut place = 0;
    let all = AssertUnwindSafe(|| take_all(world, setting, steps, count, &mut place));
    catch_unwind(all).unwrap_or_else(|panic| {
        let why = panic.downcast_ref::<String>().cloned();
        Err(Different { step: place, why: format!("panic: {}", why.unwrap_or_default()) })
    })
}

fn take_all(
    world: &mut World,
    setting: &Setting,
    steps: &[Step],
    count: &mut Count,
    place: &mut usize,
) -> Result<(), Different> {
    let mut sides = world.begin(setting);
    for (number, step) in steps.iter().enumerate() {
        *place = number;
        let different = |why| Different { step: number, why };
        let outcome = sides.take(step);
        *match &outcome {
            Outcome::Refused => &mut count.refused,
            Outcome::Skipped | Outcome::Ended => &mut count.skipped,
            Outcome::Same | Outcome::Different(_) => &mut count.compared,
        } += step.commands().len();
        match outcome {
            Outcome::Different(why) => return Err(different(why)),
            Outcome::Ended => return Ok(()),
            Outcome::Same | Outcome::Refused | Outcome::Skipped => {}
        }
        if (number + 1) % LOOK_EVERY == 0 {
            sides.compare_digests().map_err(different)?;
        }
    }
    sides.compare_data().map_err(|why| Different { step: steps.len(), why })
}
