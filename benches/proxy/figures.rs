//! Figures for benches/record: lines of `name,metric,value,unit`, to which `script/bench` adds the rest.

use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Where figures go; nowhere, if no file is named.
#[derive(Default)]
pub struct Figures {
    file: Option<File>,
}

impl Figures {
    pub fn into_file(path: &Path) -> Result<Self, String> {
        let file = File::options().create(true).append(true).open(path);
        let file = file.map_err(|error| format!("cannot write to {}: {error}", path.display()))?;
        Ok(Self { file: Some(file) })
    }

    /// # Panics
    ///
    /// If the file cannot be written to: a record with gaps is worse than none.
    pub fn note(&mut self, name: &str, metric: &str, value: f64, unit: &str) {
        if let Some(file) = &mut self.file {
            let written = writeln!(file, "proxy/{name},{metric},{value:.3},{unit}");
            written.expect("the file of figures can be written to");
        }
    }
}
