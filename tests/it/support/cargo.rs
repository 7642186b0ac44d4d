//! Packages made at test time, in the target directory, and Cargo that builds them there.

use std::env;
use std::fs;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

/// Where such packages are made.
pub fn made() -> PathBuf {
    let tests = env::current_exe().unwrap();
    let target = tests.ancestors().nth(3).expect("Cargo puts tests into target/PROFILE/deps");
    target.join("made")
}

/// The directory of Cargo's output for all of them.
pub fn target() -> PathBuf {
    made().join("target")
}

/// Makes the package `name` with `files`, paths and texts, of which one is the manifest.
///
/// It begins with the versions of the repository's own Cargo.lock. What is there already and would be the same is left
/// alone, so that Cargo builds nothing twice, also while another test builds there.
pub fn package(name: &str, files: &[(&str, String)]) -> PathBuf {
    let directory = made().join(name);
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let lock = fs::read_to_string(lock).unwrap();
    let mut hasher = DefaultHasher::new();
    (files, &lock).hash(&mut hasher);
    let mark = directory.join("made-of");
    let made_of = format!("{:x}", hasher.finish());
    if fs::read_to_string(&mark).is_ok_and(|before| before == made_of) {
        return directory;
    }
    for (path, text) in files {
        write(&directory.join(path), text);
    }
    write(&directory.join("Cargo.lock"), &lock);
    write(&mark, &made_of);
    directory
}

/// Writes a file at once: whoever reads it finds all of the old text or all of the new one.
fn write(path: &Path, text: &str) {
    let aside = path.with_extension(format!("{}-aside", std::process::id()));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&aside, text).unwrap();
    fs::rename(&aside, path).unwrap();
}

/// Runs Cargo in the package, with the registry's copies that are here, or else with the network.
///
/// # Errors
///
/// What Cargo printed, if it fails both ways.
pub fn run(package: &Path, arguments: &[&str]) -> Result<Output, String> {
    let offline = cargo(package).arg("--offline").args(arguments).output().unwrap();
    if offline.status.success() {
        return Ok(offline);
    }
    let online = cargo(package).args(arguments).output().unwrap();
    if online.status.success() {
        return Ok(online);
    }
    Err(String::from_utf8_lossy(&online.stderr).into_owned())
}

/// Cargo as from a shell: what it says to the programs it runs is not for those that they build.
fn cargo(package: &Path) -> Command {
    let mut command = Command::new(env!("CARGO"));
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "NEXTEST"].iter().any(|start| name.starts_with(start))
        {
            command.env_remove(&*name);
        }
    }
    command
        .current_dir(package)
        .stdin(Stdio::null())
        .env("CARGO_TARGET_DIR", target())
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    command
}
