//! A pool of servers against one big server: the same random commands, through this crate and through
//! redis-rs, have the same replies and leave the same data.
//!
//! ```text
//!                  ┌── ShardedConnection ──► 1 to 5 redis-servers ──┐
//!   steps ─────────┤                                                ├── replies, data: the same?
//!                  └── redis::Connection ──► 1 redis-server ────────┘
//! ```
//!
//! What the pool refuses must have left no trace there, and is not done on the big server. On a pool of
//! one node nothing is refused that redis-rs would send.
//!
//! A failure prints the seed and the shortest sequence of steps that was found to fail. To look for
//! more: `SHARDWRIGHT_MODEL_STEPS=1000000 cargo test --test it model::`, and to run one case again:
//! `SHARDWRIGHT_MODEL_SEED=…`.

mod data;
mod grammar;
mod known;
mod random;
mod reply;
mod setting;
mod shrink;
mod step;
mod steps;
mod templates;
mod values;
mod world;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::time::Instant;

use self::random::Random;
use self::setting::Setting;
use self::shrink::shrink;
use self::step::Step;
use self::steps::Steps;
use self::steps::group_name;
use self::templates::GROUPS;
use self::world::Outcome;
use self::world::World;

/// Nodes of the largest pool.
const MOST_NODES: usize = 5;

/// Steps of a case.
const STEPS: usize = 300;

/// Steps between two looks at what is stored.
const LOOK_EVERY: usize = 50;

/// Steps of a default run.
const DEFAULT_STEPS: usize = 18_000;

#[derive(Debug, Default)]
struct Count {
    cases: usize,
    commands: usize,
    refused: usize,
    skipped: usize,
    by_group: BTreeMap<&'static str, usize>,
    refusals: BTreeMap<String, usize>,
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn a_pool_is_one_big_server() {
    let Some(mut world) = World::start(MOST_NODES) else { return };
    let wanted = number("SHARDWRIGHT_MODEL_STEPS").map_or(DEFAULT_STEPS, |steps| steps as usize);
    let first = number("SHARDWRIGHT_MODEL_SEED");
    let mut seeds = Random::new(0x5eed);
    let mut count = Count::default();
    let mut done = 0;
    let start = Instant::now();
    while done < wanted {
        let seed = first.unwrap_or_else(|| seeds.next());
        let setting = Setting::new(seed, MOST_NODES);
        // Not the last, which waits.
        let focus = (seed >> 32) as usize % (GROUPS.len() - 1);
        let mut source = Steps::new(&setting, focus);
        let steps: Vec<_> = (0..STEPS).map(|_| source.next()).collect();
        if let Err(failure) = run(&mut world, &setting, &steps, Some(&mut count)) {
            let until = failure.step.min(steps.len() - 1);
            let steps = shrink(steps[..=until].to_vec(), 600, |steps| {
                run(&mut world, &setting, steps, None).is_err()
            });
            let failure = run(&mut world, &setting, &steps, None).err().unwrap_or(failure);
            let shown: Vec<_> = steps.iter().map(|step| format!("\n  - {step:?}")).collect();
            panic!(
                "seed {}\n{setting:?}\n{}\nat step {}: {}",
                seed,
                shown.concat(),
                failure.step,
                failure.why
            );
        }
        count.cases += 1;
        *count.by_group.entry(group_name(focus)).or_default() +=
            steps.iter().map(|step| step.commands().len()).sum::<usize>();
        done += STEPS;
        if first.is_some() {
            break;
        }
    }
    println!("{count:#?} in {:?}", start.elapsed());
}

/// Why a case failed.
#[derive(Debug)]
struct Different {
    step: usize,
    why: String,
}

fn run(
    world: &mut World,
    setting: &Setting,
    steps: &[Step],
    count: Option<&mut Count>,
) -> Result<(), Different> {
    let mut place = 0;
    let result =
        catch_unwind(AssertUnwindSafe(|| steps_of(world, setting, steps, count, &mut place)));
    match result {
        Ok(result) => result,
        Err(panic) => {
            let why = panic.downcast_ref::<String>().cloned();
            Err(Different { step: place, why: format!("panic: {}", why.unwrap_or_default()) })
        }
    }
}

fn steps_of(
    world: &mut World,
    setting: &Setting,
    steps: &[Step],
    mut count: Option<&mut Count>,
    place: &mut usize,
) -> Result<(), Different> {
    let mut sides = world.begin(setting);
    for (number, step) in steps.iter().enumerate() {
        *place = number;
        let different = |why| Different { step: number, why };
        let begin = Instant::now();
        let outcome = sides.take(step);
        if begin.elapsed().as_millis() > 30 {
            eprintln!("SLOW {:?} {outcome:?} {step:?}", begin.elapsed());
        }
        if let Some(count) = &mut count {
            match &outcome {
                Outcome::Refused(why) => {
                    count.refused += step.commands().len();
                    let why: String =
                        why.chars().filter(|c| !c.is_ascii_digit()).take(60).collect();
                    if setting.count() == 1 {
                        *count.refusals.entry(why).or_default() += 1;
                    }
                }
                Outcome::Skipped | Outcome::Ended => count.skipped += step.commands().len(),
                _ => count.commands += step.commands().len(),
            }
        }
        match outcome {
            Outcome::Different(why) => return Err(different(why)),
            Outcome::Ended => return Ok(()),
            _ => {}
        }
        if (number + 1) % LOOK_EVERY == 0 {
            sides.compare_digests().map_err(different)?;
        }
    }
    let last = |why| Different { step: steps.len(), why };
    sides.compare_data().map_err(last)
}
