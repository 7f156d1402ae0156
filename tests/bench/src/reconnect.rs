//! Coming back: a replica that holds a space of many documents connects again after a few of them were changed by others.
//!
//! The replica is a whole one with its store in memory. Bytes and round trips are counted on its connection after the hello: a round
//! trip is every time that something comes after something was sent.

use crate::report::{Report, Table};
use crate::scratch::Scratch;
use crate::server::Server;
use crate::wire::{Typist, Wire, frame};
use anyhow::{Context as _, Result, bail};
use driftline_core::base::id::{DocumentId, SpaceId};
use driftline_core::engine::config::{EngineConfig, Role};
use driftline_core::engine::effect::Event;
use driftline_core::engine::input::Command;
use driftline_core::sync::message::Message;
use driftline_relay::dial::{Dialler, Dialling, WebSocketDialler};
use driftline_relay::host::Host;
use driftline_relay::plot::{Axis, Plot, Series};
use driftline_relay::store::MemoryStore;
use driftline_relay::transport::{Outbound, Transport};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::broadcast::Receiver;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;

/// How long two sides may take to agree.
const AGREEING_TIME_MAX: Duration = Duration::from_secs(300);
/// Silence after which two sides that agree have nothing left to say.
const QUIET: Duration = Duration::from_millis(500);
/// Documents that are changed while the replica is away.
const CHANGED: [usize; 4] = [0, 1, 10, 100];

/// What went over a connection since the hello.
#[derive(Clone, Copy, Default)]
struct Traffic {
    up: usize,
    down: usize,
    frames: usize,
    round_trips: usize,
    last_was_up: bool,
    last: Option<Instant>,
}

/// Counts what goes over the connections it dials.
struct Counting {
    dialler: WebSocketDialler,
    traffic: Arc<Mutex<Traffic>>,
}

pub(crate) fn run(programs: &Path, sizes: &[usize], results: &Path) -> Result<()> {
    let mut report = Report::begin("reconnect");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let scratch = Scratch::new()?;
    let columns = ["documents, changed", "bytes up", "bytes down", "frames", "round trips", "ms", "relay CPU ms"];
    let caption = "A replica that was in sync comes back; what was changed meanwhile is one keystroke a document. \
                   The hello is not counted, the changes are.";
    let mut table = Table::new(caption, &columns);
    let mut lines: Vec<Series> = CHANGED.map(|n| Series { name: format!("{n} changed"), points: Vec::new() }).into();
    let mut figures = Vec::new();
    for &size in sizes {
        let server = Server::relay(programs, &scratch, &format!("reconnect-{size}"), &[])?;
        for (line, came) in lines.iter_mut().zip(runtime.block_on(come_back(&server, size))?) {
            let Came { changed, traffic, seconds, cpu_seconds } = came;
            table.row(
                format!("{size}, {changed}"),
                [
                    traffic.up.to_string(),
                    traffic.down.to_string(),
                    traffic.frames.to_string(),
                    traffic.round_trips.to_string(),
                    format!("{:.0}", seconds * 1000.0),
                    format!("{:.0}", cpu_seconds * 1000.0),
                ],
            );
            line.points.push((size as f64, (traffic.up + traffic.down) as f64));
            figures.push(json!({
                "documents": size, "changed": changed, "bytesUp": traffic.up, "bytesDown": traffic.down, "frames": traffic.frames,
                "roundTrips": traffic.round_trips, "seconds": seconds, "relayCpuSeconds": cpu_seconds,
            }));
        }
    }
    report.tables.push(table);
    report.plots.push(Plot {
        name: "reconnect-bytes".to_owned(),
        title: "Bytes to come back, both ways".to_owned(),
        x: Axis::logarithmic("documents in the space"),
        y: Axis::logarithmic("bytes"),
        series: lines,
    });
    report.figures = json!(figures);
    report.finish(results)
}

/// One return.
struct Came {
    changed: usize,
    traffic: Traffic,
    seconds: f64,
    cpu_seconds: f64,
}

/// Someone who changes documents, and is there all the time.
struct Writer {
    frames: UnboundedSender<Vec<u8>>,
    /// Acknowledgements so far.
    acknowledged: watch::Receiver<usize>,
    awaited: usize,
}

impl Writer {
    fn start(wire: Wire) -> Self {
        let (frames, mut queued) = unbounded_channel();
        let (count, acknowledged) = watch::channel(0);
        let (mut outgoing, mut incoming) = wire.split();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(frame) = queued.recv() => outgoing.send(frame).await?,
                    Some(frame) = incoming.next() => match Message::decode(&frame)? {
                        Message::Ack { .. } => count.send_modify(|count| *count += 1),
                        Message::Ping { token } => outgoing.send(Message::Pong { token }.encode()).await?,
                        Message::Error { text, .. } => bail!("the relay refused: {text}"),
                        _ => {}
                    },
                    else => return Ok(()),
                }
            }
        });
        Self { frames, acknowledged, awaited: 0 }
    }

    fn send(&self, frame: Vec<u8>) -> Result<()> {
        self.frames.send(frame).context("the relay hung up on the writer")
    }

    /// Waits until that many more documents are durable on the relay.
    async fn acknowledged(&mut self, documents: usize) -> Result<()> {
        self.awaited += documents;
        let awaited = self.awaited;
        let waiting = self.acknowledged.wait_for(|count| *count >= awaited);
        tokio::time::timeout(AGREEING_TIME_MAX, waiting).await.context("no acknowledgement came")??;
        Ok(())
    }
}

async fn come_back(server: &Server, size: usize) -> Result<Vec<Came>> {
    let space = SpaceId::from_name("reconnect");
    let mut wire = Wire::connect(server, 1).await?;
    wire.subscribe(space).await?;
    wire.subscribed().await?;
    let mut writer = Writer::start(wire);
    let mut typists = Vec::with_capacity(size);
    for number in 0..size {
        let (typist, begun) = Typist::begin(id(number), 1)?;
        writer.send(frame(space, &begun))?;
        typists.push(typist);
    }
    writer.acknowledged(size).await?;

    let traffic = Arc::new(Mutex::new(Traffic::default()));
    let dialler = Counting { dialler: WebSocketDialler { frame_bytes_max: 16 * 1024 * 1024 }, traffic: Arc::clone(&traffic) };
    let replica = Host::start_with_dialler(EngineConfig::new(Role::Client, [2; 32]), MemoryStore::new(), dialler);
    let mut events = replica.events();
    replica.command(Command::OpenSpace { space });
    replica.command(Command::AddEndpoint { endpoint: format!("ws://{}/sync", server.address) });
    agreed(&replica, &mut events, &traffic, size).await.context("the first meeting")?;

    let mut came = Vec::new();
    for changed in CHANGED.into_iter().filter(|changed| *changed <= size) {
        replica.command(Command::SetOnline { online: false });
        tokio::time::sleep(QUIET).await;
        // Documents from all over the space.
        for typist in typists.iter_mut().step_by(size / changed.max(1)).take(changed) {
            writer.send(frame(space, &typist.key()?))?;
        }
        writer.acknowledged(changed).await?;
        tokio::time::sleep(QUIET).await;
        *lock(&traffic) = Traffic::default();
        let cpu_before = server.cpu_seconds()?;
        let start = Instant::now();
        while events.try_recv().is_ok() {}
        replica.command(Command::SetOnline { online: true });
        let traffic = agreed(&replica, &mut events, &traffic, size).await?;
        let seconds = traffic.last.map_or(0.0, |last| (last - start).as_secs_f64());
        came.push(Came { changed, traffic, seconds, cpu_seconds: server.cpu_seconds()? - cpu_before });
    }
    replica.shutdown().await;
    Ok(came)
}

fn id(number: usize) -> DocumentId {
    // Spread over all ids, as random ones are.
    let spread = (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    DocumentId(spread.to_be_bytes())
}

/// Waits until the replica has all documents, agrees with the relay, and both have been silent for a while.
async fn agreed(replica: &Host, events: &mut Receiver<Arc<Event>>, traffic: &Mutex<Traffic>, size: usize) -> Result<Traffic> {
    let began = Instant::now();
    let mut in_sync = false;
    loop {
        match tokio::time::timeout(QUIET, events.recv()).await {
            Ok(Ok(event)) => match event.as_ref() {
                Event::SpaceSync { peers, in_sync: agreeing, behind, .. } => {
                    in_sync = *peers > 0 && agreeing == peers && *behind == 0
                }
                Event::Trouble(trouble) => bail!("{}", trouble.message),
                _ => {}
            },
            // Events that were missed are told of again by later ones.
            Ok(Err(tokio::sync::broadcast::error::RecvError::Lagged(_))) => {}
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                let held = replica.stats().documents.load(std::sync::atomic::Ordering::Relaxed);
                let seen = *lock(traffic);
                if in_sync && held >= size && seen.last.is_some_and(|last| last.elapsed() >= QUIET) {
                    return Ok(seen);
                }
            }
        }
        if began.elapsed() > AGREEING_TIME_MAX {
            bail!("the replica and the relay do not agree after {AGREEING_TIME_MAX:?}");
        }
    }
}

impl Dialler for Counting {
    fn dial(&self, endpoint: &str) -> Dialling {
        let dialling = self.dialler.dial(endpoint);
        let (seen_up, seen_down) = (Arc::clone(&self.traffic), Arc::clone(&self.traffic));
        Box::pin(async move {
            let Transport { incoming, outgoing } = dialling.await?;
            let incoming = incoming.inspect(move |frame| {
                if let Ok(frame) = frame {
                    lock(&seen_down).note(frame, false);
                }
            });
            let outgoing = outgoing.with(move |outbound| {
                if let Outbound::Frame(frame) = &outbound {
                    lock(&seen_up).note(frame, true);
                }
                std::future::ready(Ok(outbound))
            });
            Ok(Transport::new(incoming, outgoing))
        })
    }
}

impl Traffic {
    fn note(&mut self, frame: &[u8], up: bool) {
        let of_the_hello = [Message::NAMES[0].0, Message::NAMES[1].0];
        if frame.first().is_some_and(|tag| of_the_hello.contains(tag)) {
            return;
        }
        *(if up { &mut self.up } else { &mut self.down }) += frame.len();
        self.frames += 1;
        self.round_trips += usize::from(!up && self.last_was_up);
        self.last_was_up = up;
        self.last = Some(Instant::now());
    }
}

fn lock(traffic: &Mutex<Traffic>) -> std::sync::MutexGuard<'_, Traffic> {
    traffic.lock().unwrap_or_else(PoisonError::into_inner)
}
