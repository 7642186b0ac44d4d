//! Tests that need a process of their own: they count its threads, use up its descriptors or stop it.

use std::process::Command;
use std::process::Output;

const VARIABLE: &str = "SHARDWRIGHT_TEST_ALONE";

/// Runs `body` in another process, in which nothing but the test `name` runs.
///
/// `name` is the test's own, as the test runner prints it.
pub fn alone(name: &str, body: impl FnOnce()) {
    if is_alone(name) {
        return body();
    }
    let output = command(name).output().expect("our own program can be run");
    judge(name, &output);
}

/// Whether this is the process of the test `name`.
pub fn is_alone(name: &str) -> bool {
    std::env::var(VARIABLE).is_ok_and(|value| value == name)
}

/// What starts the process of the test `name`.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a program has a path"));
    command.args([name, "--exact", "--nocapture"]).env(VARIABLE, name);
    command
}

/// Asserts that the test passed.
pub fn judge(name: &str, output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed on its own:\n{text}\n{errors}");
    assert!(text.contains("1 passed"), "there is no test {name}:\n{text}");
    print!("{text}");
}
