//! The work of `driftline peer`: passes over the folder, each when something may have changed.

use super::super::failure::{Failure, FailureKind};
use super::super::output::Output;
use crate::dial::without_token;
use crate::folder::{FolderError, Keeper, Moment, Report, SpaceShelf, Terms, Watch};
use crate::repo::{ConnectionState, Repo, Space, SpaceEvent, SpaceEvents};
use driftline_core::engine::effect::TroubleKind;
use driftline_core::trust::owned::is_owned;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

/// Changes that come so soon after each other are looked at together.
const GATHER: Duration = Duration::from_millis(60);
/// How soon a file is looked at again whose editor may not be done.
const AGAIN: Duration = Duration::from_millis(200);
/// How often the folder is looked at when nothing tells of a change.
const RESCAN: Duration = Duration::from_secs(30);
/// The same where the system tells of none.
const RESCAN_BLIND: Duration = Duration::from_secs(3);
/// How often it is seen how the replica stands.
const LOOK: Duration = Duration::from_millis(200);
/// A pass is tried again so long after it failed; so many times in a row.
const RETRY: Duration = Duration::from_secs(2);
const FAILURES_MAX: u32 = 5;
/// How long others are waited for before an empty folder is said to be in step with nothing.
const FIRST_SYNC_TIME_MAX: Duration = Duration::from_secs(10);

/// What keeps a folder in step, and what it has told.
pub(super) struct Keeping<'a> {
    pub(super) output: &'a Output,
    pub(super) repo: Repo,
    pub(super) space: Space,
    begun: Instant,
    told_refused: BTreeSet<(String, String)>,
    told_connections: Vec<crate::repo::Connection>,
    told_summary: Option<String>,
    told_troubles: BTreeSet<String>,
    /// Why nothing is taken from the folder, as it was told.
    told_why: Option<String>,
    /// Whether there are others to sync with that have not been met yet.
    awaits: bool,
}

impl<'a> Keeping<'a> {
    /// `awaits`: whether there are others to sync with.
    pub(super) fn new(output: &'a Output, repo: Repo, space: Space, awaits: bool) -> Self {
        Self {
            output,
            repo,
            space,
            begun: Instant::now(),
            told_refused: BTreeSet::new(),
            told_connections: Vec::new(),
            told_summary: None,
            told_troubles: BTreeSet::new(),
            told_why: None,
            awaits,
        }
    }

    /// Makes passes until that fails for good. Whoever stops waiting for it loses nothing.
    pub(super) async fn keep(&mut self, mut keeper: Keeper<SpaceShelf>, folder: &Path, data: &Path) -> Result<(), Failure> {
        let watch = Watch::of(folder, data);
        if let Err(why) = &watch {
            let every = RESCAN_BLIND.as_secs();
            self.output.note(&format!(
                "the system does not tell of changes in the folder ({why}); it is looked at every {every} seconds"
            ));
        }
        let mut events = self.space.subscribe();
        let mut failures = 0;
        // In an owned space two who make a document of one file make two: who comes new looks first what there is.
        let is_newcomer = is_owned(&self.space.id()) && keeper.is_new();
        loop {
            // What the others have is seen by a pass that begins when it is here, and not by one under way.
            let is_awaited = self.awaits && !self.has_met().await;
            keeper.hold_back(is_newcomer && is_awaited);
            let (back, report) = self.pass(keeper).await?;
            keeper = back;
            self.tell_terms(keeper.terms());
            let mut rest = if watch.is_ok() { RESCAN } else { RESCAN_BLIND };
            match report {
                Ok(report) => {
                    failures = 0;
                    let is_early = is_awaited && report.acts.is_empty() && (report.files == 0 || is_newcomer);
                    if !is_early {
                        self.tell(&report);
                    }
                    if report.unsettled > 0 || is_early {
                        rest = AGAIN;
                    } else if !report.acts.is_empty() {
                        rest = GATHER;
                    }
                }
                Err(error) => {
                    failures += 1;
                    if failures > FAILURES_MAX || matches!(error, FolderError::Other { .. }) {
                        return Err(Failure::new(FailureKind::Failed, error.to_string()));
                    }
                    self.output.note(&format!("{error}; it is tried again"));
                    rest = RETRY;
                }
            }
            self.wait(&mut events, watch.as_ref().ok(), rest).await?;
        }
    }

    /// Says what a pass would do, and makes none.
    pub(super) async fn foretell(&mut self, keeper: Keeper<SpaceShelf>) -> Result<(), Failure> {
        let (_, report) = self.pass(keeper).await?;
        let report = report.map_err(|error| Failure::new(FailureKind::Failed, error.to_string()))?;
        self.tell_acts(&report);
        let count = report.acts.len();
        let words =
            if count == 0 { "nothing would be done".to_owned() } else { format!("{count} things would be done; nothing was") };
        self.output.result(&words, &json!({ "event": "dryRun", "acts": count }));
        Ok(())
    }

    /// Whether this replica holds what the others do that are there, or has waited for them long enough.
    async fn has_met(&mut self) -> bool {
        let status = self.space.status().await.unwrap_or_default();
        // While something comes it is waited for.
        let time_max = if status.peers > 0 { FIRST_SYNC_TIME_MAX * 6 } else { FIRST_SYNC_TIME_MAX };
        self.awaits = !status.is_synced() && self.begun.elapsed() < time_max;
        !self.awaits
    }

    /// One pass, on a thread that may wait.
    async fn pass(
        &mut self,
        mut keeper: Keeper<SpaceShelf>,
    ) -> Result<(Keeper<SpaceShelf>, Result<Report, FolderError>), Failure> {
        let unix_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let moment = Moment { monotonic: self.begun.elapsed(), unix_ms: i64::try_from(unix_ms).unwrap_or(i64::MAX) };
        let progress = Arc::new(Mutex::new(None));
        let told = Arc::clone(&progress);
        keeper.tell(move |done, all| {
            if let Ok(mut told) = told.lock() {
                *told = Some((done, all));
            }
        });
        let mut passing = tokio::task::spawn_blocking(move || {
            let report = keeper.pass(moment);
            (keeper, report)
        });
        let mut is_drawn = false;
        loop {
            tokio::select! {
                biased;
                passed = &mut passing => {
                    if is_drawn {
                        self.output.end_progress();
                    }
                    return passed.map_err(|error| Failure::new(FailureKind::Failed, format!("a bug ended the work on the folder: {error}")));
                }
                () = tokio::time::sleep(LOOK) => {
                    let now = progress.lock().ok().and_then(|mut progress| progress.take());
                    if let Some((done, all)) = now.filter(|(_, all)| *all > 1) {
                        self.progress(done, all);
                        is_drawn = true;
                    }
                }
            }
        }
    }

    fn progress(&self, done: usize, all: usize) {
        if self.output.draws() {
            self.output.progress(&format!("{done} of {all} files"));
        } else {
            self.output
                .progress_line(&format!("{done} of {all} files"), &json!({ "event": "progress", "done": done, "files": all }));
        }
    }

    /// Waits until it is time for another pass.
    async fn wait(&mut self, events: &mut SpaceEvents, watch: Option<&Watch>, rest: Duration) -> Result<(), Failure> {
        let changed = async {
            match watch {
                Some(watch) => watch.changed().await,
                None => std::future::pending().await,
            }
        };
        let until = tokio::time::sleep(rest);
        tokio::pin!(changed, until);
        let mut looks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = &mut changed => break,
                () = &mut until => return Ok(()),
                event = events.next() => match event {
                    Some(SpaceEvent::DocumentAdded { .. } | SpaceEvent::DocumentChanged { local: false, .. } | SpaceEvent::Missed) => break,
                    Some(_) => {}
                    None => return Err(Failure::new(FailureKind::Failed, self.why_closed())),
                },
                _ = looks.tick() => self.tell_connections().await?,
            }
        }
        tokio::time::sleep(GATHER).await;
        while let Ok(Some(_)) = tokio::time::timeout(Duration::ZERO, events.next()).await {}
        Ok(())
    }

    fn tell(&mut self, report: &Report) {
        self.tell_acts(report);
        for (path, why) in &report.refused {
            if self.told_refused.insert((path.clone(), why.clone())) {
                let words = if path.is_empty() { why.clone() } else { format!("not in step: {path}: {why}") };
                self.output.result(&words, &json!({ "event": "refused", "path": path, "reason": why }));
            }
        }
        self.told_refused.retain(|told| report.refused.contains(told));
        if report.unsettled > 0 || !report.acts.is_empty() {
            self.told_summary = None;
            return;
        }
        let mut words = if report.in_step == report.files {
            format!("in step: {} files", report.files)
        } else {
            format!("{} of {} files are in step", report.in_step, report.files)
        };
        if report.incomplete > 0 {
            words.push_str(&format!("; of {} not all pieces have come", report.incomplete));
        }
        if report.forged > 0 {
            words.push_str(&format!("; {} are not what they are said to be", report.forged));
        }
        if self.told_summary.as_ref() != Some(&words) {
            let json = json!({
                "event": "inStep", "inStep": report.in_step, "files": report.files, "incomplete": report.incomplete,
                "forged": report.forged, "refused": report.refused.len(),
            });
            self.output.result(&words, &json);
            self.told_summary = Some(words);
        }
    }

    /// Says whether what is done in the folder is taken, when that changes.
    fn tell_terms(&mut self, terms: &Terms) {
        let why = match terms {
            Terms::Closed(why) | Terms::Waiting(why) => Some(why.clone()),
            Terms::Open | Terms::Member(_) => None,
        };
        if why == self.told_why {
            return;
        }
        let (words, json) = match &why {
            Some(why) => (
                format!("the folder follows, and what is done in it stays here: {why}"),
                json!({ "event": "follows", "reason": why }),
            ),
            None => ("what is done in the folder is taken from now on".to_owned(), json!({ "event": "taking" })),
        };
        self.output.result(&words, &json);
        self.told_why = why;
    }

    /// Says what others have refused.
    fn tell_troubles(&mut self) {
        let troubles = self.repo.troubles();
        let refused = troubles.iter().filter(|trouble| trouble.kind == TroubleKind::Forbidden);
        for trouble in refused {
            if self.told_troubles.insert(trouble.message.clone()) {
                self.output.note(&trouble.message);
            }
        }
    }

    fn tell_acts(&self, report: &Report) {
        for act in &report.acts {
            let json = json!({ "event": act.deed.word(), "path": act.path, "from": act.from });
            self.output.result(&act.to_string(), &json);
        }
    }

    /// Says when a relay is reached, and when it is not.
    async fn tell_connections(&mut self) -> Result<(), Failure> {
        self.tell_troubles();
        let connections = self.repo.connections();
        for connection in connections.iter().filter(|connection| !self.told_connections.contains(connection)) {
            match &connection.state {
                ConnectionState::Connecting => {}
                ConnectionState::Connected { .. } => {
                    self.output.note(&format!("connected to {}", without_token(&connection.endpoint)))
                }
                ConnectionState::Waiting { reason } => {
                    self.output.note(&format!("waiting for {}: {reason}", without_token(&connection.endpoint)))
                }
            }
        }
        self.told_connections = connections;
        self.space.status().await.map(drop).map_err(|_| Failure::new(FailureKind::Failed, self.why_closed()))
    }

    fn why_closed(&self) -> String {
        self.repo.troubles().last().map_or_else(|| "the replica has stopped".to_owned(), |trouble| trouble.message.clone())
    }
}
