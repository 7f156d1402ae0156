//! What the system says of this process, for the metrics.

/// Memory and processor time of this process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ProcessUse {
    /// Bytes of memory that are its own or shared, in RAM.
    pub(super) resident_bytes: u64,
    /// Seconds of processor time since it started.
    pub(super) cpu_seconds: f64,
    /// Open files and sockets.
    pub(super) files: u64,
}

/// Clock ticks in a second, as `/proc` counts them on every Linux.
#[cfg(target_os = "linux")]
const TICKS_PER_SECOND: f64 = 100.0;

/// What Linux says; nothing where it says nothing.
#[cfg(target_os = "linux")]
pub(super) fn process_use() -> Option<ProcessUse> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = resident.trim().trim_end_matches(" kB").trim().parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program comes second, in brackets, and may hold anything; fields are counted from behind it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let files = std::fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(ProcessUse { resident_bytes: kib * 1024, cpu_seconds: ticks as f64 / TICKS_PER_SECOND, files })
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
pub(super) fn process_use() -> Option<ProcessUse> {
    None
}
