//! Killed in the worst moments, as often as `DRIFTLINE_KILLS` says (`cargo xtask kills --times 50`): the moment after it gave its
//! word, and in the middle of compaction. Whoever comes next finds everything there was a word for.

use crate::process::{Process, driftline, run, scatter};
use crate::replica::PATIENCE;
use driftline_core::base::id::DocumentId;
use driftline_core::doc::value::Value;
use driftline_relay::repo::{DocHandle, Level, Repo, RepoOptions};
use driftline_relay::store::sqlite::StoreView;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How often, where nobody says.
const KILLS: u64 = 3;
/// Bytes of a change: some thirty of them are more than a relay leaves uncompacted while it is written to.
const CHANGE_BYTES: usize = 160 * 1024;
/// Changes after which a log is compacted, and a few more.
const CHANGES: i64 = 30;

fn kills() -> u64 {
    std::env::var("DRIFTLINE_KILLS").map_or(KILLS, |times| times.parse().expect("DRIFTLINE_KILLS is a number"))
}

/// Someone who keeps nothing, so that the relay alone remembers.
async fn someone(process: &Process) -> Repo {
    Repo::open(RepoOptions::memory().relay(process.told("sync"))).await.unwrap()
}

async fn in_time<R>(what: &str, future: impl Future<Output = R>) -> R {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} takes too long"))
}

/// Waits until a document holds this many changes, by what they have put.
async fn holds(handle: &DocHandle, last: i64, what: &str) {
    let found = handle.when(move |document| matches!(document.value("last"), Some(Value::Int(found)) if found >= last));
    in_time(what, found).await.unwrap();
}

fn kill(process: &mut Process) {
    process.child.kill().unwrap();
    process.ended(PATIENCE);
}

fn check_whole(data: &Path) {
    let (code, said) = run(driftline().arg("verify").arg(data));
    assert_eq!(code, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_right_after_its_word_it_has_what_the_word_was_for() {
    let data = TempDir::new().unwrap();
    let mut given: Option<(DocumentId, i64)> = None;
    let mut seed = 3;
    for _ in 0..kills() {
        let mut process = Process::start(data.path());
        let repo = someone(&process).await;
        let space = repo.space("kills");
        let (handle, mut last) = match given {
            None => (space.create(|tx| tx.put("last", 0i64)).await.unwrap(), 0),
            Some((document, last)) => (in_time("finding the document", space.find(document)).await.unwrap(), last),
        };
        holds(&handle, last, &format!("getting back change {last}, which was said to be saved,")).await;
        for _ in 0..=scatter(&mut seed) % 5 {
            last += 1;
            handle.change(move |tx| tx.put("last", last)).await.unwrap();
        }
        in_time("saving", handle.when_saved(Level::Relay)).await.unwrap();
        kill(&mut process);
        given = Some((handle.id(), last));
        repo.close().await;
    }
    check_whole(data.path());
}

/// Writes until there is something to compact and all of it is on the relay.
async fn write_much(repo: &Repo, space: &str, seed: &mut u64) -> DocHandle {
    let handle = repo.space(space).create(|tx| tx.put("last", 0i64)).await.unwrap();
    for last in 1..=CHANGES {
        // What could be compressed would leave nothing to compact.
        let bytes: Vec<u8> = (0..CHANGE_BYTES / 4).flat_map(|_| (scatter(seed) as u32).to_le_bytes()).collect();
        let put = handle.change(move |tx| {
            tx.put(format!("change {last}"), Value::Bytes(bytes))?;
            tx.put("last", last)
        });
        put.await.unwrap();
    }
    in_time("saving", handle.when_saved(Level::Relay)).await.unwrap();
    handle
}

fn is_compacted(data: &Path, document: DocumentId) -> bool {
    let stored = StoreView::open(data).and_then(|view| view.store()).unwrap();
    stored.documents.iter().any(|stored| stored.document == document && stored.snapshot.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_compacts_it_has_all_it_gave_its_word_for() {
    let data = TempDir::new().unwrap();
    let mut seed = 5;
    // How long it takes, so that the kills fall into it.
    let process = Process::start(data.path());
    let repo = someone(&process).await;
    let handle = write_much(&repo, "to see how long it takes", &mut seed).await;
    let since = Instant::now();
    while !is_compacted(data.path(), handle.id()) {
        assert!(since.elapsed() < PATIENCE, "a log of this size is compacted at once");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let takes = since.elapsed().max(Duration::from_millis(5));
    repo.close().await;
    drop(process);

    let mut compacted = 0;
    for number in 0..kills() {
        let mut process = Process::start(data.path());
        let repo = someone(&process).await;
        // A space of its own: whoever joins is sent all that is in one.
        let space = format!("kill {number}");
        let handle = write_much(&repo, &space, &mut seed).await;
        tokio::time::sleep(takes * (scatter(&mut seed) % 120) as u32 / 100).await;
        kill(&mut process);
        repo.close().await;
        compacted += u64::from(is_compacted(data.path(), handle.id()));

        let process = Process::start(data.path());
        let repo = someone(&process).await;
        let found = in_time("finding the document", repo.space(&space).find(handle.id())).await.unwrap();
        holds(&found, CHANGES, &format!("getting back all {CHANGES} changes after kill {number}")).await;
        let there = found.read(|document| (1..=CHANGES).filter(|n| document.value(format!("change {n}")).is_some()).count());
        assert_eq!(there.await.unwrap() as i64, CHANGES);
        repo.close().await;
    }
    println!("compaction took {takes:?}; {compacted} of {} kills came after it, the others before its end", kills());
    check_whole(data.path());
}
