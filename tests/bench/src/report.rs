//! What a benchmark found, on which machine, and where that goes: to the screen, to a file for other programs, and from there
//! into `docs/benchmarks.md` (see [`crate::document`]).

use anyhow::{Context as _, Result};
use driftline_relay::plot::Plot;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// The machine that was measured on, as far as figures depend on it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) system: String,
}

impl Machine {
    /// The machine this runs on.
    pub(crate) fn this() -> Self {
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned()))
            .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        let memory_kib: u64 = read("/proc/meminfo")
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse().ok())
            .unwrap_or_default();
        Self {
            processor,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: (memory_kib + 512 * 1024) / (1024 * 1024),
            system: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim()),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} cores of {}, {} GiB, {}", self.cores, self.processor, self.memory_gib, self.system)
    }
}

/// One table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Table {
    /// What it shows and under which load, in a sentence.
    pub(crate) caption: String,
    /// The head; the first column names the rows.
    pub(crate) columns: Vec<String>,
    /// Cells as they are shown.
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(caption: impl Into<String>, columns: &[&str]) -> Self {
        Self { caption: caption.into(), columns: columns.iter().map(|&column| column.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, name: impl Into<String>, cells: impl IntoIterator<Item = String>) {
        self.rows.push(std::iter::once(name.into()).chain(cells).collect());
    }

    /// The table in Markdown.
    pub(crate) fn to_markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = format!("{}\n\n{}|", self.caption, line(&self.columns));
        for at in 0..self.columns.len() {
            text.push_str(if at == 0 { "---|" } else { "---:|" });
        }
        text.push('\n');
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        text
    }
}

/// What one benchmark found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// Its name on the command line.
    pub(crate) name: String,
    /// The day, as in 2026-11-20.
    pub(crate) date: String,
    pub(crate) machine: Machine,
    /// Load average of the last minute when it began and when it ended: above the number of cores, others were at work too.
    pub(crate) load: [f64; 2],
    /// What is of someone else's making, and its version.
    #[serde(default)]
    pub(crate) versions: Vec<String>,
    pub(crate) tables: Vec<Table>,
    #[serde(default)]
    pub(crate) plots: Vec<Plot>,
    /// The figures behind the tables, for other programs.
    #[serde(default)]
    pub(crate) figures: Value,
}

impl Report {
    /// Begins a report: now, on this machine.
    pub(crate) fn begin(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            date: today(),
            machine: Machine::this(),
            load: [load_average(), 0.0],
            versions: Vec::new(),
            tables: Vec::new(),
            plots: Vec::new(),
            figures: Value::Null,
        }
    }

    /// Ends it: shows the tables, and writes all of it to `folder`.
    pub(crate) fn finish(mut self, folder: &Path) -> Result<()> {
        self.load[1] = load_average();
        println!("\n{}", self.circumstances());
        for table in &self.tables {
            println!("\n{}", table.to_markdown());
        }
        std::fs::create_dir_all(folder)?;
        let file = folder.join(format!("{}.json", self.name));
        std::fs::write(&file, serde_json::to_string_pretty(&self)? + "\n")
            .with_context(|| format!("{} cannot be written", file.display()))?;
        println!("also in {}", file.display());
        Ok(())
    }

    /// When, where, and how busy the machine was otherwise.
    pub(crate) fn circumstances(&self) -> String {
        let versions: String = self.versions.iter().map(|version| format!("; {version}")).collect();
        let [before, after] = self.load;
        format!("{}, {}; load average {before:.1} before, {after:.1} after{versions}", self.date, self.machine)
    }
}

/// The load average of the last minute.
fn load_average() -> f64 {
    read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

/// The day in UTC.
fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = civil(seconds / SECONDS_PER_DAY);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The date so many days after 1 January 1970, in the Gregorian calendar, counted from 1 March of the year 0: with leap days
/// last, months have a regular length.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates_also_around_leap_days() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(11_017), (2000, 3, 1));
        assert_eq!(civil(20_777), (2026, 11, 20));
    }
}
