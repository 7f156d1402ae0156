//! The load on the relay: whole replicas, one that writes and many that only follow.

use super::trust::Kind;
use super::{Load, Pace};
use crate::figures::{Delivery, Round};
use crate::server::Server;
use anyhow::{Context as _, Result, bail};
use driftline_core::base::id::{ChangeHash, DocumentId, SpaceId};
use driftline_core::doc::edit::{Edit, Op};
use driftline_core::doc::value::{Prop, Value};
use driftline_core::engine::Engine;
use driftline_core::engine::config::{EngineConfig, Role};
use driftline_core::engine::effect::Event;
use driftline_core::engine::input::Command;
use driftline_core::engine::trust::owned::{Offer, OwnedError};
use driftline_core::trust::invitation::Invitation;
use driftline_core::trust::statement::Level;
use driftline_relay::host::Host;
use driftline_relay::store::MemoryStore;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::Receiver;

/// How long replicas may take to meet before the measurement.
const MEETING_TIME_MAX: Duration = Duration::from_secs(20);
/// Silence after which a reader has heard everything.
const QUIET: Duration = Duration::from_secs(2);
/// What the writer types.
const TYPED: &str = "a letter at a time ";

type Events = Receiver<Arc<Event>>;

/// One round: a writer's keystrokes into one text, each to every reader.
pub(crate) async fn round(server: &Server, load: Load, kind: Kind) -> Result<Round> {
    let document = DocumentId([7; 16]);
    let (writer, mut events) = replica(server, 0);
    let invitation = found(&writer, kind).await?;
    let space = invitation.as_ref().map_or(SpaceId::from_name("fanout"), |invitation| invitation.space);
    let mut readers = Vec::new();
    for number in 0..load.readers {
        let (host, events) = replica(server, number as u8 + 1);
        match invitation.clone() {
            None => host.command(Command::OpenSpace { space }),
            Some(invitation) => {
                ready(&host).await?;
                host.call(move |engine, now| engine.join(now, &invitation, "reader".to_owned())).await??;
            }
        }
        host.command(Command::OpenDocument { space, document });
        readers.push((host, events));
    }
    writer.command(Command::OpenDocument { space, document });
    writer.command(edit(document, 0, Op::Put { path: text(), value: Value::Text(String::new()) }));
    for (_, reader) in &mut readers {
        until(reader, |event| matches!(event, Event::DocumentChanged { .. }))
            .await
            .context("a reader did not meet the writer")?;
    }
    until(&mut events, |event| matches!(event, Event::Saved(saved) if saved.relays > 0))
        .await
        .context("the relay did not acknowledge")?;

    let edits = load.edits();
    let before: Vec<(u64, u64)> = readers.iter().map(|(reader, _)| arrived(reader)).collect();
    let cpu_before = server.cpu_seconds()?;
    let start = Instant::now();
    let followed: Vec<_> =
        readers.into_iter().map(|(host, events)| (host.clone(), tokio::spawn(follow(events, document, start, load)))).collect();
    let written = tokio::spawn(note_own(events, document, start, load));
    let mut due = Vec::with_capacity(edits as usize);
    let mut pace = Pace::new(start, load);
    let mut letters = TYPED.chars().cycle();
    for number in 0..edits {
        pace.wait_for(number).await;
        due.push(start.elapsed());
        let insert = letters.next().unwrap_or(' ').to_string();
        writer.command(edit(document, number + 1, Op::Splice { path: text(), index: number as usize, delete: 0, insert }));
    }

    let own = written.await??;
    let mut deliveries = Vec::new();
    let (mut frames, mut bytes) = (0, 0);
    for ((host, reading), before) in followed.into_iter().zip(before) {
        deliveries.extend(arrivals(&reading.await??, &own.numbers, &due));
        let after = arrived(&host);
        (frames, bytes) = (frames + after.0 - before.0, bytes + after.1 - before.1);
        host.shutdown().await;
    }
    let cpu_seconds = server.cpu_seconds()? - cpu_before;
    let resident_mb = server.resident_mb()?;
    writer.shutdown().await;
    let whole = (edits * load.readers as u64) as f64;
    Ok(Round {
        edits,
        deliveries,
        acknowledgements: own.acknowledged(&due),
        cpu_seconds,
        resident_mb,
        bytes_per_delivery: bytes as f64 / whole,
        frames_per_delivery: Some(frames as f64 / whole),
    })
}

/// A replica that holds everything in memory and keeps a connection to the server.
fn replica(server: &Server, number: u8) -> (Host, Events) {
    let mut seed = [number; 32];
    seed[..4].copy_from_slice(&std::process::id().to_le_bytes());
    let host = Host::start(EngineConfig::new(Role::Client, seed), MemoryStore::new());
    let events = host.events();
    host.command(Command::AddEndpoint { endpoint: format!("ws://{}/sync", server.address) });
    (host, events)
}

/// Makes the space the writer's own, if it is to be; answers how others come in.
async fn found(writer: &Host, kind: Kind) -> Result<Option<Invitation>> {
    if kind == Kind::Open {
        writer.command(Command::OpenSpace { space: SpaceId::from_name("fanout") });
        return Ok(None);
    }
    ready(writer).await?;
    let found = move |engine: &mut Engine, now| -> Result<Invitation, OwnedError> {
        let space = if kind == Kind::Sealed { engine.found_sealed_space(now)? } else { engine.found_space(now)? };
        let offer = Offer { level: Level::Read, expires: 0, note: "readers".to_owned(), relays: Vec::new() };
        engine.invite(now, space, offer)
    };
    Ok(Some(writer.call(found).await??))
}

/// Waits until a replica has opened its store.
async fn ready(host: &Host) -> Result<()> {
    while host.call(|engine, _| engine.peer_id().is_none()).await? {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn text() -> Vec<Prop> {
    vec![Prop::Key("text".to_owned())]
}

fn edit(document: DocumentId, number: u64, op: Op) -> Command {
    Command::EditDocument { document, number, edit: Edit { ops: vec![op], message: None } }
}

/// Frames and bytes that a replica has been sent so far.
fn arrived(host: &Host) -> (u64, u64) {
    let stats = host.stats();
    (stats.frames_in.load(Ordering::Relaxed), stats.bytes_in.load(Ordering::Relaxed))
}

async fn until(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Result<()> {
    let waiting = async {
        loop {
            match events.recv().await?.as_ref() {
                event if wanted(event) => return Ok(()),
                Event::Trouble(trouble) => bail!("{}", trouble.message),
                _ => {}
            }
        }
    };
    tokio::time::timeout(MEETING_TIME_MAX, waiting).await.context("nothing for too long")?
}

/// What a reader was told, and when: the heads after each step.
type Steps = Vec<(Duration, Vec<ChangeHash>)>;

async fn follow(mut events: Events, document: DocumentId, start: Instant, load: Load) -> Result<Steps> {
    let mut steps = Steps::new();
    // The reader cannot know which heads are the last; it has heard all once nothing came for a while after the writing.
    let writing = Duration::from_secs(load.seconds);
    loop {
        let quiet = if start.elapsed() < writing { load.patience(start) } else { QUIET };
        let Ok(event) = tokio::time::timeout(quiet, events.recv()).await else { return Ok(steps) };
        if let Event::DocumentChanged { document: changed, heads, .. } = event?.as_ref()
            && *changed == document
        {
            steps.push((start.elapsed(), heads.clone()));
        }
    }
}

/// What the writer learned of its own edits.
#[derive(Default)]
struct Own {
    /// Which change an edit became; edits count from 1.
    numbers: HashMap<ChangeHash, u64>,
    /// When the relay was said to hold everything, and up to which edit that was.
    durable: Vec<(Duration, u64)>,
}

impl Own {
    /// For each edit, how long it took until the relay was said to hold it; an upper bound, because the word is about
    /// the whole document and waits for the edits that came meanwhile.
    fn acknowledged(&self, due: &[Duration]) -> Vec<Duration> {
        let mut next = 0;
        let mut times = Vec::new();
        for (at, up_to) in &self.durable {
            while next < *up_to as usize && next < due.len() {
                times.push(at.saturating_sub(due[next]));
                next += 1;
            }
        }
        times
    }
}

async fn note_own(mut events: Events, document: DocumentId, start: Instant, load: Load) -> Result<Own> {
    let mut own = Own::default();
    let mut latest = 0;
    loop {
        let Ok(event) = tokio::time::timeout(load.patience(start), events.recv()).await else { return Ok(own) };
        match event?.as_ref() {
            Event::DocumentEdited { document: edited, number, hash: Some(hash) } if *edited == document => {
                own.numbers.insert(*hash, *number);
                latest = *number;
            }
            Event::Saved(saved) if saved.document == document && saved.relays > 0 => {
                own.durable.push((start.elapsed(), latest));
                if latest == load.edits() {
                    return Ok(own);
                }
            }
            Event::EditRefused { reason, .. } => bail!("an edit was refused: {reason}"),
            _ => {}
        }
    }
}

/// Which edits arrived when: a step to an edit brings all before it, because one writer's changes are a chain.
fn arrivals(steps: &Steps, numbers: &HashMap<ChangeHash, u64>, due: &[Duration]) -> Vec<Delivery> {
    let mut arrived = 0;
    let mut deliveries = Vec::new();
    for (at, heads) in steps {
        let up_to = heads.iter().filter_map(|head| numbers.get(head)).max().copied().unwrap_or(0) as usize;
        for &edited in due.get(arrived..up_to).unwrap_or_default() {
            deliveries.push(Delivery { at: edited, lag: at.saturating_sub(edited) });
        }
        arrived = arrived.max(up_to);
    }
    deliveries
}
