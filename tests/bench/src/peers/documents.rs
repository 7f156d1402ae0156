//! Many documents, each of two clients who write in it at the same time.
//!
//! Here all servers have the same clients, automerge-repo's from npm: what differs is the server alone.

use super::clients::{Clients, number};
use super::{Load, Measured, Place, Size, settled};
use crate::server::Server;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Clients, where no number is named.
const CLIENTS: usize = 50;
/// Letters of a new document.
const LETTERS: usize = 20;
/// Edits of each of its two writers in each document, and of all of them in a second.
const EDITS_EACH: usize = 10;
const EDITS_PER_SECOND: usize = 500;
/// How long a step may take beside what its edits need.
const STEP_TIME_MAX: Duration = Duration::from_secs(240);
/// A server that uses no processor for so long has nothing left to do; or all of this time is over.
const QUIET: Duration = Duration::from_secs(2);
const QUIET_WAIT_MAX: Duration = Duration::from_secs(30);

pub(super) const LOAD: Load = Load {
    name: "documents",
    servers: &["driftline", "automerge-repo", "samod"],
    clients: Some("automerge-repo"),
    caption: |size| {
        format!(
            "{} clients of automerge-repo in one process make {} documents of {LETTERS} letters in turns. Each document is then opened by \
             one more of them, and both write {EDITS_EACH} letters each in it, {EDITS_PER_SECOND} letters a second in all documents together.",
            clients(size),
            size.documents
        )
    },
    rows: &[
        "server CPU s, in all",
        "... to take the new documents",
        "... to give them to who opens them",
        "... while they are edited",
        "server resident MB, afterwards",
        "server's peak resident MB",
        "until all are open, s",
        "from the last edit until all are equal, ms",
        "bytes up per edit",
        "bytes down per edit",
    ],
    measure,
};

fn clients(size: &Size) -> usize {
    size.connections.unwrap_or(CLIENTS)
}

fn measure(place: &Place, size: &Size) -> Result<Measured> {
    let server = place.serve(&[])?;
    let mut clients_of_all = place.clients(&server)?;
    let begun = server.cpu_seconds()?;
    step(&mut clients_of_all, json!({ "do": "connect", "count": clients(size) }))?;
    step(&mut clients_of_all, json!({ "do": "create", "documents": size.documents, "letters": LETTERS, "each": true }))?;
    let created = at_rest(&server)?;
    let opening = Instant::now();
    step(&mut clients_of_all, json!({ "do": "pair" }))?;
    let open_seconds = opening.elapsed().as_secs_f64();
    let opened = at_rest(&server)?;
    let edits = 2 * size.documents * EDITS_EACH;
    let seconds_max = STEP_TIME_MAX.as_secs();
    let came = step(
        &mut clients_of_all,
        json!({ "do": "together", "edits": edits, "perSecond": EDITS_PER_SECOND, "length": LETTERS + 2 * EDITS_EACH, "seconds": seconds_max }),
    )?;
    if came["complete"] != true {
        bail!("not all documents were equal {seconds_max} s after the last edit: {came}");
    }
    let edited = at_rest(&server)?;
    let (resident, peak) = (server.resident_mb()?, server.peak_mb()?);
    let equal_ms = number(&came, "ms")?;
    let per_edit = |name| Ok::<_, anyhow::Error>(number(&came, name)? / edits as f64);
    let (up, down) = (per_edit("up")?, per_edit("down")?);
    Ok(Measured {
        cells: vec![
            format!("{:.2}", edited - begun),
            format!("{:.2}", created - begun),
            format!("{:.2}", opened - created),
            format!("{:.2}", edited - opened),
            format!("{resident:.0}"),
            format!("{peak:.0}"),
            format!("{open_seconds:.1}"),
            format!("{equal_ms:.0}"),
            format!("{up:.0}"),
            format!("{down:.0}"),
        ],
        figures: json!({
            "clients": clients(size), "documents": size.documents, "edits": edits, "cpuSeconds": edited - begun,
            "creatingCpuSeconds": created - begun, "openingCpuSeconds": opened - created, "editingCpuSeconds": edited - opened,
            "residentMb": resident, "peakMb": peak, "openSeconds": open_seconds, "editSeconds": came["editSeconds"],
            "equalMs": equal_ms, "bytesUpPerEdit": up, "bytesDownPerEdit": down,
        }),
        complete: true,
    })
}

/// Tells the clients to do something that may take long.
fn step(clients: &mut Clients, command: Value) -> Result<Value> {
    clients.tell(command)?;
    clients.answer(2 * STEP_TIME_MAX)
}

/// The processor time that a server has used once it has nothing left to do.
fn at_rest(server: &Server) -> Result<f64> {
    settled(server, QUIET, QUIET_WAIT_MAX)?;
    server.cpu_seconds()
}
