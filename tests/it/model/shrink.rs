//! From a long sequence that fails to a short one.

use super::step::Step;

/// The shortest sequence that was found for which `fails` is true. It is asked `most` times at most.
pub fn shrink(steps: Vec<Step>, most: usize, mut fails: impl FnMut(&[Step]) -> bool) -> Vec<Step> {
    let mut left = most;
    let mut try_it = |steps: &[Step]| {
        if left == 0 {
            return false;
        }
        left -= 1;
        fails(steps)
    };
    let mut steps = without_parts(steps, &mut try_it);
    for place in 0..steps.len() {
        if !steps[place].is_list() {
            continue;
        }
        let commands = steps[place].commands().to_vec();
        let with = |commands: &[_]| {
            let mut steps = steps.clone();
            steps[place] = steps[place].with_commands(commands.to_vec());
            steps
        };
        let commands = without_parts(commands, &mut |commands| try_it(&with(commands)));
        steps[place] = steps[place].with_commands(commands);
    }
    steps
}

/// Leaves out parts of `items`, larger ones first, for as long as `fails` stays true (delta debugging).
fn without_parts<T: Clone>(items: Vec<T>, fails: &mut impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut items = items;
    let mut size = items.len().div_ceil(2);
    while size > 0 {
        let mut start = 0;
        let mut has_shrunk = false;
        while start < items.len() && items.len() > 1 {
            let end = (start + size).min(items.len());
            let fewer = [&items[..start], &items[end..]].concat();
            if !fewer.is_empty() && fails(&fewer) {
                items = fewer;
                has_shrunk = true;
            } else {
                start = end;
            }
        }
        if !has_shrunk || size > 1 {
            size /= 2;
        }
    }
    items
}

#[test]
fn what_is_not_needed_is_left_out() {
    let needed = [3, 17, 58];
    let mut asked = 0;
    let left = without_parts((0..100).collect(), &mut |items: &[i32]| {
        asked += 1;
        needed.iter().all(|item| items.contains(item))
    });
    assert_eq!(left, needed);
    assert!(asked < 200, "{asked}");
}
