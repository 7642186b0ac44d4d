//! The package of redis-rs's own tests: their sources stay where they are, in the registry's copy.

use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::support::cargo;

/// The files of tests that are run. src/guide/redis_tests.md says why not the others.
///
/// For the asynchronous ones feature `aio` has to be there too, and then the other files need all of the asynchronous
/// client to compile.
pub(super) const FILES: [&str; 9] = [
    "test_acl",
    "test_basic",
    "test_bignum",
    "test_digest_utils",
    "test_geospatial",
    "test_script",
    "test_streams",
    "test_support",
    "test_types",
];

/// How long the tests of a file may take. One that hangs is ended then.
const LIMIT: Duration = Duration::from_secs(120);

/// Features of ours that have the names which the tests ask for.
const FEATURES: [&str; 7] =
    ["acl", "geospatial", "num-bigint", "r2d2", "script", "streams", "vector-sets"];

/// What the tests use, as in redis-rs's own manifest. `redis-test` starts their servers.
const DEPENDENCIES: &str = r#"
anyhow = "1"
assert_approx_eq = "1.0"
assert_matches = "1.5"
async-trait = "0.1"
env_logger = "0.11"
fnv = "1"
futures = "0.3"
futures-channel = "0.3"
futures-time = "3"
futures-util = "0.3"
num-bigint = "0.5"
r2d2 = "0.8"
rand = "0.10"
redis-test = "1.0.4"
rstest = "0.26"
serde_json = "1"
tempfile = "3"
tokio = { version = "1", features = ["full", "test-util"] }
"#;

/// Makes and builds the package, or says why the tests are skipped. The programs, and the names of their files.
pub(super) fn build() -> Option<Vec<(String, PathBuf)>> {
    let package = match make() {
        Ok(package) => package,
        Err(why) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
            eprintln!("SKIPPED: what redis-rs's own tests need is not to be had: {why}");
            return None;
        }
    };
    let output =
        cargo::run(&package, &["test", "--no-run", "--message-format", "json-render-diagnostics"]);
    let output = output.unwrap_or_else(|why| panic!("{why}"));
    let messages = String::from_utf8(output.stdout).unwrap();
    let messages = messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let programs: Vec<_> = messages
        .filter(|message| FILES.iter().any(|file| message["target"]["name"] == *file))
        .filter_map(|message| {
            let program = PathBuf::from(message["executable"].as_str()?);
            Some((message["target"]["name"].as_str()?.to_owned(), program))
        })
        .collect();
    assert_eq!(programs.len(), FILES.len(), "a program for each file");
    Some(programs)
}

fn make() -> Result<PathBuf, String> {
    let shim = cargo::package("redis-shim", &[("Cargo.toml", shim_manifest())]);
    cargo::package("test-macros", &[("Cargo.toml", macros_manifest())]);
    let manifest = manifest(&redis_sources(&shim)?);
    let files = [("Cargo.toml", manifest), ("src/lib.rs", String::new())];
    let package = cargo::package("redis-tests", &files);
    cargo::run(&package, &["fetch"])?;
    Ok(package)
}

/// The registry's copy of redis-rs.
fn redis_sources(shim: &Path) -> Result<PathBuf, String> {
    let output = cargo::run(shim, &["metadata", "--format-version", "1"])?;
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|why| why.to_string())?;
    let packages = metadata["packages"].as_array().ok_or("metadata has packages")?;
    let redis = packages
        .iter()
        .find(|package| package["name"] == "redis" && package["version"] == "1.8.1")
        .ok_or("redis 1.8.1 is no dependency")?;
    let manifest = redis["manifest_path"].as_str().ok_or("a package has a path")?;
    let sources = Path::new(manifest).with_file_name("tests");
    if sources.join("support/mod.rs").is_file() {
        Ok(sources)
    } else {
        Err(format!("no {sources:?}"))
    }
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/redis_tests").join(path)
}

fn shim_manifest() -> String {
    let features: String =
        FEATURES.iter().map(|name| format!("{name} = [\"shardwright/{name}\"]\n")).collect();
    format!(
        "[package]\nname = \"redis-shim\"\nedition = \"2024\"\n\n[workspace]\n\n[lib]\npath = {:?}\n\n\
         [features]\n{features}\n[dependencies]\nr2d2 = \"0.8\"\nshardwright = {{ path = {:?} }}\n",
        here("shim.rs"),
        env!("CARGO_MANIFEST_DIR"),
    )
}

fn macros_manifest() -> String {
    format!(
        "[package]\nname = \"test-macros\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [lib]\npath = {:?}\nproc-macro = true\n",
        here("macros.rs"),
    )
}

fn manifest(sources: &Path) -> String {
    let features: String =
        FEATURES.iter().map(|name| format!("{name} = [\"redis/{name}\"]\n")).collect();
    let tests: String = FILES
        .iter()
        .map(|name| {
            let path = sources.join(format!("{name}.rs"));
            format!("\n[[test]]\nname = \"{name}\"\npath = {path:?}\n")
        })
        .collect();
    format!(
        "[package]\nname = \"redis-tests\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [lib]\ndoctest = false\n\n[lints.rust]\nunexpected_cfgs = \"allow\"\n\n[features]\ndefault = {FEATURES:?}\n{features}\n\
         [dependencies]\nredis = {{ package = \"redis-shim\", path = \"../redis-shim\" }}\n\
         test_macros = {{ package = \"test-macros\", path = \"../test-macros\" }}\n{DEPENDENCIES}{tests}"
    )
}

/// What the tests are run with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    /// How many are behind each client.
    pub(super) nodes: usize,
    /// As the tests have it in their environment.
    pub(super) protocol: &'static str,
}

/// Runs the tests of a program, `skipped` aside: their names, and whether they passed.
pub(super) fn run(program: &Path, setting: Setting, skipped: &[&str]) -> Vec<(String, bool)> {
    let mut command = Command::new(program);
    command.env("NODES", setting.nodes.to_string()).env("PROTOCOL", setting.protocol);
    command.arg("--exact").stdin(Stdio::null());
    for test in skipped {
        command.args(["--skip", test]);
    }
    let log = program.with_extension(format!("{}.log", setting.name));
    command.stdout(File::create(&log).unwrap()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > LIMIT {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let printed = fs::read_to_string(&log).unwrap();
    assert!(printed.contains("test result: "), "{program:?} has not come to its end: {printed}");
    printed.lines().filter_map(result).collect()
}

/// Of a line such as `test basic::test_args ... ok`.
fn result(line: &str) -> Option<(String, bool)> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let name = name.trim_end_matches(" - should panic").to_owned();
    match result {
        "ok" => Some((name, true)),
        "FAILED" => Some((name, false)),
        _ => None,
    }
}
