//! Many lives: people write while everything goes wrong, then everything is mended and all must agree.
//!
//! `DRIFTLINE_SIM_LIVES` and `DRIFTLINE_SIM_SECONDS` say how many lives and for how long at most (1,000 and 120);
//! `DRIFTLINE_SIM_FIRST` is the first seed. `DRIFTLINE_SIM_SEED` lives one life alone: see docs/testing.md.

use driftline_core::sync::message::Message;
use driftline_tests::harness::life::Report;
use driftline_tests::harness::options::{Fault, Options, Sort};
use driftline_tests::harness::shrink::{Failure, from_environment, live, live_marked, rerun_line, shrink};
use driftline_tests::harness::tally::Tally;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many lives at a time.
const THREADS: usize = 2;
/// Every so manieth life is lived twice, and must be the same life.
const TWICE_EVERY: u64 = 20;
/// How long a failure is made smaller.
const SHRINK_TIME: Duration = Duration::from_secs(60);
/// Lives from which on everything that can happen must have happened.
const LIVES_FOR_TOTALS: u64 = 200;

/// What must have happened over many lives, beside every fault and every message.
const MUST_HAPPEN: &[&str] = &[
    "effect Send",
    "effect Disconnect",
    "effect Dial",
    "store Open",
    "store Append",
    "store Read",
    "store PutMeta",
    "event Ready",
    "event PeerConnected",
    "event PeerDisconnected",
    "event SpaceSync",
    "event DocumentAdded",
    "event DocumentChanged",
    "event DocumentOpened",
    "event DocumentEdited",
    "event ViewUpdated",
    "event Saved",
    "event Presence",
    "event Trouble",
    "edit through a mirror",
    "preview shown",
    "edit on a preview",
    "edit as data",
    "edit by a closure",
    "answer taken",
    "answer dropped",
    "presences seen",
    "mirror resumed",
    "answer heard after its engine's death",
    "economy judged",
    "settings changed",
    "storage task failed",
    "dial failed",
    "connection gone",
    "changes judged",
    "edits said to be saved",
    "documents let go",
    "changes replayed",
    "edit sent again that is held",
    "edit sent again that is lost",
    "rewrite step",
    "journal rewritten",
    "old journal dropped",
    "rewrite step failed",
    "died while the journal was rewritten",
    "life in a sealed space",
    "kept by a relay that sees nothing",
];

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
}

#[test]
fn whatever_goes_wrong_all_agree_in_the_end_and_nothing_saved_is_lost() {
    if let Some(options) = from_environment() {
        println!("{options:#?}");
        match live(&options, true) {
            Ok(report) => println!("held; {} steps, hash {:016x}, equal after {} ms", report.steps, report.hash, report.calm_ms),
            Err(failure) => fail(*failure),
        }
        return;
    }
    run(
        "lives",
        Sort::Usual,
        number("DRIFTLINE_SIM_LIVES", 1_000),
        number("DRIFTLINE_SIM_SECONDS", 120),
        Fault::USUAL,
        MUST_HAPPEN,
    );
}

/// What only these lives have, beside their faults.
const MUST_HAPPEN_TO_DISKS: &[&str] = &["disk replaced", "event Trouble", "changes judged", "journal rewritten"];

#[test]
fn a_disk_that_went_back_or_was_damaged_is_healed_by_those_who_hold_what_it_lost() {
    if from_environment().is_some() {
        return;
    }
    let (lives, seconds) = (number("DRIFTLINE_SIM_LIVES", 1_000) / 4, number("DRIFTLINE_SIM_SECONDS", 120) / 4);
    run("lives with damaged disks", Sort::Destructive, lives, seconds, Fault::DESTRUCTIVE, MUST_HAPPEN_TO_DISKS);
}

/// What only these lives have.
const MUST_HAPPEN_TO_CHEATS: &[&str] = &[
    "cheat: drop",
    "cheat: double",
    "cheat: hold back",
    "cheat: cut off",
    "cheat: alter",
    "cheat: repeat",
    "cheat: mix up",
    "cheat: Change",
    "cheat: Statement",
    "cheat: Word",
    "cheat: Saved",
    "cheat: Lost",
    "cheat: Rubbish",
    "cheat gone",
    "refused malformed",
    "refused bad_proof",
    "refused out_of_order",
    "refused bad_entry",
    "refused not_theirs",
    "refused bad_statement",
    "refused bad_attestation",
    "told WentBack",
    "joined an owned space",
    "changes judged",
];

#[test]
fn whatever_a_relay_does_those_who_meet_honestly_agree_and_nothing_is_lost() {
    if from_environment().is_some() {
        return;
    }
    let (lives, seconds) = (number("DRIFTLINE_SIM_LIVES", 1_000) / 4, number("DRIFTLINE_SIM_SECONDS", 120) / 4);
    run("lives with a cheating relay", Sort::Cheating, lives, seconds, &[Fault::OldBackup], MUST_HAPPEN_TO_CHEATS);
}

/// What only these lives have.
const MUST_HAPPEN_TO_LOSERS: &[&str] = &[
    "shut out",
    "joined an owned space",
    "refused grant_revoked",
    "refused grant_expired",
    "changes judged",
    "life in a sealed space",
    "kept by a relay that sees nothing",
    "changes that who was shut out cannot open",
    "token that a relay could read",
];

#[test]
fn who_is_shut_out_is_sent_nothing_more_and_all_others_come_to_the_same_without_what_they_wrote_later() {
    if from_environment().is_some() {
        return;
    }
    let (lives, seconds) = (number("DRIFTLINE_SIM_LIVES", 1_000) / 4, number("DRIFTLINE_SIM_SECONDS", 120) / 4);
    run("lives with someone shut out", Sort::ShuttingOut, lives, seconds, &[], MUST_HAPPEN_TO_LOSERS);
}

fn run(name: &str, sort: Sort, lives: u64, seconds: u64, faults: &[Fault], must_happen: &[&str]) {
    let first = number("DRIFTLINE_SIM_FIRST", 1);
    let started = Instant::now();
    let next = AtomicU64::new(first);
    let stop = AtomicBool::new(false);
    let totals: Mutex<(Tally, u64, u64, Vec<u64>)> = Mutex::default();
    let failures: Mutex<Vec<Failure>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) && started.elapsed() < Duration::from_secs(seconds) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + lives {
                        break;
                    }
                    match live_one(&Options::draw(seed, sort)) {
                        Ok(report) => {
                            let mut totals = totals.lock().expect("no life panics outside itself");
                            totals.0.merge(&report.tally);
                            totals.1 += 1;
                            totals.2 += report.steps;
                            totals.3.push(report.calm_ms);
                        }
                        Err(failure) => {
                            // Said at once: a long run may not live to its end.
                            println!("seed {seed} fails: {}", failure.message.lines().next().unwrap_or_default());
                            failures.lock().expect("no life panics outside itself").push(*failure);
                            stop.store(number("DRIFTLINE_SIM_KEEP_GOING", 0) == 0, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let (tally, lived, steps, mut calm) = totals.into_inner().expect("no life panics outside itself");
    calm.sort_unstable();
    let quantile = |part: usize| calm.get(calm.len() * part / 100).copied().unwrap_or(0);
    println!(
        "{lived} {name}, {steps} steps in {:.1} s; equal after {} ms (median), {} ms (95 %), {} ms (longest)",
        started.elapsed().as_secs_f64(),
        quantile(50),
        quantile(95),
        calm.last().copied().unwrap_or(0)
    );
    for (what, many) in tally.iter() {
        println!("{many:>12} {what}");
    }
    let mut failures = failures.into_inner().expect("no life panics outside itself");
    failures.sort_by_key(|failure| failure.options.seed);
    for failure in failures.iter().skip(1) {
        println!("also seed {}: {}", failure.options.seed, failure.message.lines().next().unwrap_or_default());
    }
    if let Some(failure) = failures.into_iter().next() {
        fail(shrink(failure, SHRINK_TIME));
    }
    assert!(lived > 0, "no life was lived in {seconds} s");
    if lived >= LIVES_FOR_TOTALS {
        let messages = Message::NAMES.iter().map(|(_, name)| format!("message {name}")).filter(|_| sort == Sort::Usual);
        // No life has a letter in it: core/src/engine/post/post_tests.rs tells of these; and few a relay that asks for work.
        let told_elsewhere =
            ["roll", "attestations", "compact", "letter", "kept", "taken", "stamp"].map(|name| format!("message {name}"));
        let messages = messages.filter(|message| !told_elsewhere.contains(message));
        let faults = faults.iter().map(|fault| format!("fault {fault}"));
        let missing: Vec<_> = messages
            .chain(faults)
            .chain(must_happen.iter().map(ToString::to_string))
            .filter(|what| tally.of(what) == 0)
            .collect();
        let (may, did) = (tally.of("life that may let go of documents"), tally.of("life that let go of documents"));
        assert!(2 * did >= may, "most lives that may are to let go of documents, and {did} of {may} did");
        assert!(missing.is_empty(), "the generator is dead: these never happened in {lived} lives: {missing:?}");
    }
}

fn live_one(options: &Options) -> Result<Report, Box<Failure>> {
    let report = live(options, false)?;
    if options.seed.is_multiple_of(TWICE_EVERY) {
        let again = live(options, false)?;
        if again.hash != report.hash {
            let marks = |_| live_marked(options, false, true).ok().and_then(|report| report.marks).unwrap_or_default();
            let (one, other) = (marks(1), marks(2));
            let at = one.iter().zip(&other).position(|(one, other)| one != other);
            let message = format!("R1: the same seed lived two lives: they part at step {at:?} of {}", one.len());
            return Err(Box::new(Failure { options: options.clone(), message, lines: Vec::new() }));
        }
    }
    Ok(report)
}

fn fail(failure: Failure) -> ! {
    println!("the last that happened:");
    for line in &failure.lines {
        println!("{line}");
    }
    println!("{:#?}", failure.options);
    panic!("{}\nlive it again:\n{}", failure.message, rerun_line(&failure.options));
}
