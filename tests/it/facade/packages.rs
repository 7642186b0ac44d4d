//! The two packages, made in the target directory, and built there.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::support::cargo;

/// What the programs take for the crate `redis`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Crate {
    Redis,
    Shardwright,
}

/// A list of features as applications of redis-rs have it.
const FEATURES: &str = r#"["bb8", "connection-manager", "r2d2", "tokio-comp"]"#;

/// What else the programs use.
const DEPENDENCIES: &str = r#"
bb8 = "0.9"
futures-util = { version = "0.3", default-features = false, features = ["std"] }
r2d2 = "0.8"
tokio = { version = "1", features = ["macros", "rt-multi-thread", "time"] }
"#;

impl Crate {
    /// The path of `program`, built with this.
    pub(super) fn program(self, program: &str) -> PathBuf {
        static REDIS: OnceLock<()> = OnceLock::new();
        static SHARDWRIGHT: OnceLock<()> = OnceLock::new();
        let built = match self {
            Self::Redis => &REDIS,
            Self::Shardwright => &SHARDWRIGHT,
        };
        built.get_or_init(|| self.build());
        cargo::target().join("debug").join(self.prefix().to_owned() + program)
    }

    fn build(self) {
        let name = self.prefix().to_owned() + "programs";
        let package = cargo::package(&name, &[("Cargo.toml", self.manifest(&name))]);
        cargo::run(&package, &["build"]).unwrap_or_else(|why| panic!("with {self:?}: {why}"));
    }

    /// Of names, as both share one directory of output.
    fn prefix(self) -> &'static str {
        match self {
            Self::Redis => "redis-",
            Self::Shardwright => "shardwright-",
        }
    }

    /// What stands behind `redis =`, features aside: the one difference.
    fn source(self) -> String {
        match self {
            Self::Redis => r#"version = "=1.8.1""#.into(),
            Self::Shardwright => {
                format!(r#"package = "shardwright", path = {:?}"#, env!("CARGO_MANIFEST_DIR"))
            }
        }
    }

    fn manifest(self, package: &str) -> String {
        let programs: String = programs().iter().map(|path| self.binary(path)).collect();
        let redis = self.source();
        format!(
            "[package]\nname = \"{package}\"\nedition = \"2024\"\n\n[workspace]\n\n\
             [dependencies]\nredis = {{ {redis}, features = {FEATURES} }}\n{DEPENDENCIES}\n{programs}"
        )
    }

    fn binary(self, source: &Path) -> String {
        let name = source.file_stem().unwrap().to_str().unwrap();
        format!("[[bin]]\nname = \"{}{name}\"\npath = {source:?}\n\n", self.prefix())
    }
}

/// The sources, as they are in the repository.
fn programs() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/facade/programs");
    let mut sources: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    sources.sort();
    sources
}
