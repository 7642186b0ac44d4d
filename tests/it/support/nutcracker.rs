//! The real nutcracker.

use std::fs;
use std::process::Command;

use super::Process;
use super::is_installed;
use super::scratch;
use super::start_on_free_port;

/// A running nutcracker with one pool, or several.
pub struct Nutcracker {
    _process: Process,
}

impl Nutcracker {
    /// Starts one with the configuration that `config` makes for a listening port, or says why the
    /// test is skipped.
    pub fn start(config: impl Fn(u16) -> String) -> Option<Self> {
        if !is_installed("nutcracker") {
            return None;
        }
        let (process, _) = start_on_free_port("nutcracker", |port| {
            let directory = scratch();
            fs::write(directory.join("nutcracker.yml"), config(port)).expect("scratch is writable");
            let mut command = Command::new("nutcracker");
            let stats = super::free_port().to_string();
            command.args(["-c", "nutcracker.yml", "-s", &stats, "-a", "127.0.0.1"]);
            Process::start(&mut command, directory)
        });
        Some(Self { _process: process })
    }
}
