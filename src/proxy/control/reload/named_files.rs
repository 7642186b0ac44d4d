//! The files that a configuration names: certificates, their keys and authorities.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::stamp::Stamp;
use crate::config::NutcrackerConfig;

/// Files, and what was seen of them last.
#[derive(Debug, Default)]
pub(super) struct NamedFiles {
    /// There is no stamp of a file that is not there.
    files: Vec<(PathBuf, Option<Stamp>)>,
    /// The place of one that has changed, and has still to show that it stays so.
    changed: Option<usize>,
}

impl NamedFiles {
    /// Those of `config`, as they are now.
    pub(super) fn of(config: &NutcrackerConfig) -> Self {
        let mut files: Vec<(PathBuf, Option<Stamp>)> = Vec::new();
        for path in config.pools().iter().flat_map(|pool| pool.tls_files()) {
            if files.iter().all(|(known, _)| known != path) {
                files.push((path.into(), stamp(path)));
            }
        }
        Self { files, changed: None }
    }

    /// Looks at them. Answers one that has changed since it was seen first, when a look later none has changed again:
    /// a certificate and its key are not replaced at the same moment.
    pub(super) fn look(&mut self) -> Option<&Path> {
        let mut is_settled = true;
        for (place, (path, seen)) in self.files.iter_mut().enumerate() {
            let now = stamp(path);
            if *seen != now {
                *seen = now;
                self.changed = Some(place);
                is_settled = false;
            }
        }
        let changed = if is_settled { self.changed.take() } else { None };
        changed.map(|place| self.files[place].0.as_path())
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata))
}
