//! From a failing seed to the smallest life that still fails, and to a line that lives it again.

use super::life::Report;
use super::options::{Fault, Options, Sort};
use super::world::World;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::{Duration, Instant};

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static QUIET: RefCell<bool> = const { RefCell::new(false) };
}
static HOOK: Once = Once::new();

/// What did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// In which life.
    pub options: Options,
    /// What was said.
    pub message: String,
    /// The last that happened, when it was recorded.
    pub lines: Vec<String>,
}

/// Lives a life; a panic in it is its failure and nobody else's.
pub fn live(options: &Options, recording: bool) -> Result<Report, Box<Failure>> {
    live_marked(options, recording, false)
}

/// As [`live`]; with `marked` the report has the hash after each step.
pub fn live_marked(options: &Options, recording: bool, marked: bool) -> Result<Report, Box<Failure>> {
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload_as_str().unwrap_or("something without words");
            let place = info.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
            LAST_PANIC.with_borrow_mut(|last| *last = Some(format!("{text}\n    at {place}")));
            if !QUIET.with_borrow(|quiet| *quiet) {
                usual(info);
            }
        }));
    });
    let mut world = World::new(options.clone(), recording);
    if marked {
        world.trace.marks = Some(Vec::new());
    }
    QUIET.set(true);
    let lived = catch_unwind(AssertUnwindSafe(|| world.live()));
    QUIET.set(false);
    lived.map_err(|_| {
        Box::new(Failure {
            options: options.clone(),
            message: LAST_PANIC.with_borrow_mut(Option::take).unwrap_or_default(),
            lines: world.trace.lines().map(str::to_owned).collect(),
        })
    })
}

/// Makes a failing life smaller as long as it fails in the same way and there is time, and lives the smallest once more
/// with everything recorded.
pub fn shrink(failure: Failure, time: Duration) -> Failure {
    let started = Instant::now();
    let kind = kind(&failure.message);
    let mut smallest = failure;
    'smaller: loop {
        for options in smaller(&smallest.options) {
            if started.elapsed() > time {
                break 'smaller;
            }
            if let Err(failed) = live(&options, false)
                && self::kind(&failed.message) == kind
            {
                smallest = *failed;
                continue 'smaller;
            }
        }
        break;
    }
    live(&smallest.options, true).err().map_or(smallest, |failed| *failed)
}

/// What a failure is about: its first word, such as `S2:`, or all of its first line.
fn kind(message: &str) -> String {
    let first = message.split_whitespace().next().unwrap_or_default();
    if first.ends_with(':') && first.len() <= 4 {
        first.to_owned()
    } else {
        message.lines().last().unwrap_or_default().to_owned()
    }
}

/// Lives a little simpler than this one, the boldest first.
fn smaller(options: &Options) -> Vec<Options> {
    let mut found = Vec::new();
    let mut offer = |change: &dyn Fn(&mut Options)| {
        let mut other = options.clone();
        change(&mut other);
        if format!("{other:?}") != format!("{options:?}") {
            found.push(other);
        }
    };
    offer(&|other| other.faults.clear());
    for fault in &options.faults {
        offer(&|other| _ = other.faults.remove(fault));
    }
    offer(&|other| other.edits = (other.edits / 2).max(1));
    offer(&|other| other.edits = (other.edits - 1).max(1));
    let few = match options.sort {
        Sort::Usual | Sort::Destructive => 2,
        Sort::Cheating => 3,
        Sort::ShuttingOut => 4,
    };
    offer(&|other| other.replicas = (other.replicas - 1).max(few));
    offer(&|other| other.documents = 1);
    offer(&|other| other.coalesce_percent = 0);
    offer(&|other| other.view_percent = 0);
    offer(&|other| other.tabs_stay = false);
    offer(&|other| other.compacting = false);
    offer(&|other| other.letting_go = false);
    offer(&|other| other.previews = false);
    offer(&|other| other.small_limits = false);
    offer(&|other| other.mixed_text_units = false);
    offer(&|other| other.mixed_versions = false);
    offer(&|other| other.sealed = false);
    offer(&|other| other.owned = other.end.is_some() || other.sealed);
    offer(&|other| other.disk_ms_max = 0);
    offer(&|other| other.delay_ms_max = 1);
    found
}

/// The life as variables of the environment, for [`from_environment`].
pub fn rerun_line(options: &Options) -> String {
    let faults: Vec<_> = options.faults.iter().map(ToString::to_string).collect();
    let sort = options.sort.variable().map(|variable| format!("{variable}=1 ")).unwrap_or_default();
    format!(
        "{sort}DRIFTLINE_SIM_SEED={} DRIFTLINE_SIM_FAULTS={} DRIFTLINE_SIM_LIFE={},{},{},{},{},{},{},{} cargo test -p driftline-tests --test simulation -- --nocapture",
        options.seed,
        if faults.is_empty() { "none".to_owned() } else { faults.join(",") },
        options.replicas,
        options.documents,
        options.edits,
        options.delay_ms_max,
        options.disk_ms_max,
        options.coalesce_percent,
        options.view_percent,
        u16::from(options.small_limits)
            + 2 * u16::from(options.mixed_text_units)
            + 4 * u16::from(options.tabs_stay)
            + 8 * u16::from(options.mixed_versions)
            + 16 * u16::from(options.compacting)
            + 32 * u16::from(options.letting_go)
            + 64 * u16::from(options.previews)
            + 128 * u16::from(options.owned)
            + 256 * u16::from(options.sealed),
    )
}

/// The one life that the environment asks for, if it does.
pub fn from_environment() -> Option<Options> {
    let seed = std::env::var("DRIFTLINE_SIM_SEED").ok()?.parse().expect("DRIFTLINE_SIM_SEED is a number");
    let sorts = [Sort::Destructive, Sort::Cheating, Sort::ShuttingOut];
    let asked = |sort: &Sort| sort.variable().is_some_and(|variable| std::env::var(variable).is_ok());
    let mut options = Options::draw(seed, sorts.into_iter().find(asked).unwrap_or(Sort::Usual));
    if let Ok(faults) = std::env::var("DRIFTLINE_SIM_FAULTS") {
        options.faults = if faults == "none" {
            BTreeSet::new()
        } else {
            faults.split(',').map(|fault| fault.parse::<Fault>().unwrap_or_else(|why| panic!("{why}"))).collect()
        };
    }
    if let Ok(life) = std::env::var("DRIFTLINE_SIM_LIFE") {
        let numbers: Vec<u64> = life.split(',').map(|n| n.parse().expect("DRIFTLINE_SIM_LIFE is eight numbers")).collect();
        let [replicas, documents, edits, delay, disk, coalesce, view, flags] = numbers[..] else {
            panic!("DRIFTLINE_SIM_LIFE is eight numbers, as a failure prints them");
        };
        options.replicas = replicas as usize;
        options.documents = documents as usize;
        options.edits = edits as usize;
        options.delay_ms_max = delay;
        options.disk_ms_max = disk;
        options.coalesce_percent = coalesce;
        options.view_percent = view;
        options.small_limits = flags & 1 == 1;
        options.mixed_text_units = flags & 2 == 2;
        options.mixed_versions = flags & 8 == 8;
        options.tabs_stay = flags & 4 == 4;
        options.compacting = flags & 16 == 16;
        options.letting_go = flags & 32 == 32;
        options.previews = flags & 64 == 64;
        options.owned = flags & 128 == 128;
        options.sealed = flags & 256 == 256;
    }
    Some(options)
}
