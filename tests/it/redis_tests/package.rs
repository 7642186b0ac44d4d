//! The package of redis-rs's own tests: their sources stay where they are, in the registry's copy.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::support::cargo;

/// The files of tests that are run. src/guide/redis_tests.md says why not the others.
pub(super) const FILES: [&str; 12] = [
    "test_acl",
    "test_async",
    "test_basic",
    "test_bignum",
    "test_cache",
    "test_credentials_provider_failures",
    "test_digest_utils",
    "test_geospatial",
    "test_script",
    "test_streams",
    "test_support",
    "test_types",
];

/// How long a test may take. One that hangs is ended then.
const LIMIT: Duration = Duration::from_secs(60);

/// How many tests are run at the same time. They mostly wait.
const AT_ONCE: usize = 4;

/// Features of ours that have the names which the tests ask for.
const FEATURES: [&str; 11] = [
    "acl",
    "cache-aio",
    "connection-manager",
    "geospatial",
    "num-bigint",
    "r2d2",
    "script",
    "streams",
    "token-based-authentication",
    "tokio-comp",
    "vector-sets",
];

/// What the tests use, as in redis-rs's own manifest. `redis-test` starts their servers.
const DEPENDENCIES: &str = r#"
anyhow = "1"
assert_approx_eq = "1.0"
assert_matches = "1.5"
async-trait = "0.1"
bytes = "1"
env_logger = "0.11"
fnv = "1"
futures = "0.3"
futures-channel = "0.3"
futures-time = "3"
futures-util = "0.3"
log = "0.4"
num-bigint = "0.5"
r2d2 = "0.8"
rand = "0.10"
redis-test = { version = "1.0.4", features = ["aio"] }
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
    let feature = |name: &&str| format!("{name} = [\"redis/{name}\"]\n");
    let features: String = FEATURES.iter().map(feature).collect();
    let tests: String = FILES
        .iter()
        .map(|name| {
            let path = sources.join(format!("{name}.rs"));
            format!("\n[[test]]\nname = \"{name}\"\npath = {path:?}\n")
        })
        .collect();
    format!(
        "[package]\nname = \"redis-tests\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [lib]\ndoctest = false\n\n[lints.rust]\nunexpected_cfgs = \"allow\"\n\n\
         [features]\ndefault = [\"aio\", \"all\"]\nall = {FEATURES:?}\n\
         # Redis-rs's own for both runtimes. Ours has no feature of this name.\naio = []\n{features}\n\
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
///
/// Each is a process of its own: a panic in one test of `block_on_all` fails all that run in its process.
pub(super) fn run(program: &Path, setting: Setting, skipped: &[&str]) -> Vec<(String, bool)> {
    let tests = Mutex::new(names(program).into_iter());
    let results = Mutex::new(Vec::new());
    let work = || {
        loop {
            let next = tests.lock().unwrap().next();
            let Some(test) = next else { return };
            if !skipped.contains(&test.as_str()) {
                let passed = passes(program, &test, setting);
                results.lock().unwrap().push((test, passed));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    results.into_inner().unwrap()
}

/// The tests of a program, but for those that redis-rs ignores too.
fn names(program: &Path) -> Vec<String> {
    let mut names = listed(program, &[]);
    assert!(!names.is_empty(), "{program:?} has tests");
    let ignored = listed(program, &["--ignored"]);
    names.retain(|name| !ignored.contains(name));
    names
}

fn listed(program: &Path, which: &[&str]) -> Vec<String> {
    let mut command = Command::new(program);
    let output = command.args(["--list", "--format", "terse"]).args(which).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// Whether `test` passes, in time.
pub(super) fn passes(program: &Path, test: &str, setting: Setting) -> bool {
    let mut command = Command::new(program);
    command.env("NODES", setting.nodes.to_string()).env("PROTOCOL", setting.protocol);
    command.args(["--exact", test]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        if start.elapsed() > LIMIT {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
