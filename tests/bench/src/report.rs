//! Where figures come from and where they go.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;

/// The machine that was measured on, as far as figures depend on it.
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    system: String,
}

impl Machine {
    /// The machine this runs on.
    pub(crate) fn this() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned()))
            .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        let system = format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim());
        Self { processor, cores: std::thread::available_parallelism().map_or(1, usize::from), system }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "processor": self.processor, "cores": self.cores, "system": self.system })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} cores of {}, {}", self.cores, self.processor, self.system)
    }
}

/// Writes a benchmark's result for other programs.
pub(crate) fn save(folder: &Path, name: &str, result: &Value) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let file = folder.join(format!("{name}.json"));
    std::fs::write(&file, serde_json::to_string_pretty(result)?)
        .with_context(|| format!("{} cannot be written", file.display()))?;
    println!("\nalso in {}", file.display());
    Ok(())
}
