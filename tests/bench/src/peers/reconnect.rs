//! Coming back to many documents, a few of which others have changed.

use super::clients::number;
use super::{Load, Measured, PEERS, Place, Size};
use anyhow::{Result, bail};
use serde_json::json;

/// Documents that are changed while the client is away.
const CHANGED: usize = 10;
/// Letters of a document.
const LETTERS: usize = 20;
/// How long a return may take.
const SECONDS_MAX: u64 = 60;

pub(super) const LOAD: Load = Load {
    name: "reconnect",
    servers: PEERS,
    clients: None,
    caption: |size| {
        format!(
            "A client that has {} documents open comes back after {CHANGED} of them were changed by one letter. Bytes are TCP's, with \
             everything that opens the connection.",
            size.documents
        )
    },
    rows: &["bytes up", "bytes down", "until the changes are there, ms", "until nothing more is said, ms", "server CPU ms"],
    measure,
};

fn measure(place: &Place, size: &Size) -> Result<Measured> {
    let server = place.serve(&[])?;
    let mut writer = place.clients(&server)?;
    writer.ask(json!({ "do": "connect", "count": 1 }))?;
    let created = writer.ask(json!({ "do": "create", "documents": size.documents, "letters": LETTERS }))?;
    let mut reader = place.clients(&server)?;
    reader.ask(json!({ "do": "connect", "count": 1 }))?;
    reader.ask(json!({ "do": "open", "ids": created["ids"] }))?;
    reader.ask(json!({ "do": "leave" }))?;
    let step = (size.documents / CHANGED).max(1);
    let numbers: Vec<usize> = (0..size.documents).step_by(step).take(CHANGED).collect();
    writer.ask(json!({ "do": "touch", "numbers": numbers }))?;
    let lengths: Vec<usize> = (0..size.documents).map(|at| LETTERS + usize::from(numbers.contains(&at))).collect();
    let cpu_before = server.cpu_seconds()?;
    let came = reader.ask(json!({ "do": "comeBack", "lengths": lengths, "seconds": SECONDS_MAX }))?;
    let cpu_ms = (server.cpu_seconds()? - cpu_before) * 1_000.0;
    if came["complete"] != true {
        bail!("not everything was there after {SECONDS_MAX} s: {came}");
    }
    let (up, down) = (number(&came, "up")?, number(&came, "down")?);
    let (ms, quiet_ms) = (number(&came, "ms")?, number(&came, "quietMs")?);
    Ok(Measured {
        cells: vec![format!("{up}"), format!("{down}"), format!("{ms:.0}"), format!("{quiet_ms:.0}"), format!("{cpu_ms:.0}")],
        figures: json!({ "up": up, "down": down, "ms": ms, "quietMs": quiet_ms, "cpuMs": cpu_ms, "documents": size.documents }),
        complete: true,
    })
}
