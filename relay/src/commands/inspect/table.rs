//! What was found in a store, as people read it.

use super::{Inspected, InspectedDocument};
use driftline_core::trust::owned::is_sealed;
use std::fmt::Write as _;

/// Reasons of documents that were set aside, in the table; all are in the JSON.
const ASIDE_SHOWN: usize = 10;
/// Letters of a reason in the table.
const REASON_LETTERS: usize = 100;

/// Rows of cells, drawn in columns as wide as they need to be.
struct Table {
    /// Whether a column is aligned to the right, as numbers are.
    right: &'static [bool],
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(head: &[&str], right: &'static [bool]) -> Self {
        Self { right, rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    fn draw(&self, out: &mut String) {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(self.right) {
                // Writing to a string does not fail.
                let _ = if *right { write!(line, "  {cell:>width$}") } else { write!(line, "  {cell:<width$}") };
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}

/// The whole store.
pub(super) fn store(inspected: &Inspected) -> String {
    let mut out = head(inspected);
    let mut spaces = Table::new(&["SPACE", "DOCUMENTS", "CHANGES", "SIZE", "HELD BY"], &[false, true, true, true, false]);
    for (space, total) in inspected.spaces_by_size() {
        let (mut relays, mut peers, mut behind) = (0, 0, 0);
        for (state, whole) in inspected.holders(space, &total) {
            match (whole, state.relay) {
                (true, true) => relays += 1,
                (true, false) => peers += 1,
                (false, _) => behind += 1,
            }
        }
        spaces.row([
            space.to_string(),
            total.documents.to_string(),
            total.changes.to_string(),
            size(total.bytes),
            holders(relays, peers, behind),
        ]);
    }
    if spaces.rows.len() > 1 {
        out.push('\n');
        spaces.draw(&mut out);
    }
    let mut documents =
        Table::new(&["DOCUMENT", "SPACE", "CHANGES", "WRITERS", "SIZE", "HELD BY"], &[false, false, true, true, true, false]);
    for document in inspected.shown() {
        let stored = &document.stored;
        documents.row([
            stored.document.to_string(),
            stored.space.to_string(),
            stored.end.to_string(),
            stored.version.clock.len().to_string(),
            size(stored.bytes),
            held_by(document),
        ]);
    }
    if documents.rows.len() > 1 {
        out.push('\n');
        documents.draw(&mut out);
    }
    let left = inspected.documents.len() - inspected.shown;
    if left > 0 {
        let _ = writeln!(out, "  and {} more (--limit)", amount(left as u64, "document"));
    }
    let total = inspected.total();
    let _ = writeln!(
        out,
        "\nTotal: {} in {}, {}, {} of changes",
        amount(total.documents, "document"),
        amount(inspected.spaces.len() as u64, "space"),
        amount(total.changes, "change"),
        size(total.bytes)
    );
    if inspected.peers().is_empty() && !inspected.documents.is_empty() {
        out.push_str("Who else holds each is not known here: a relay passes on what it is sent and keeps no receipts.\n");
    }
    trouble(inspected, &mut out);
    out
}

/// One document, with everything that is known of it.
pub(super) fn document(inspected: &Inspected) -> String {
    let mut out = head(inspected);
    for document in inspected.shown() {
        let stored = &document.stored;
        let _ = writeln!(out, "\nDocument {}", stored.document);
        let sealed = if is_sealed(&stored.space) { " (sealed: what it says, only members can read)" } else { "" };
        let _ = writeln!(out, "  space    {}{sealed}", stored.space);
        let _ = writeln!(out, "  changes  {} ({})", stored.end, size(stored.bytes));
        for (at, head) in stored.version.heads.iter().enumerate() {
            let _ = writeln!(out, "  {}  {head}", if at == 0 { "heads  " } else { "       " });
        }
        let mut clock = Table::new(&["WRITER", "CHANGES"], &[false, true]);
        for (actor, seq) in stored.version.clock.iter() {
            clock.row([actor.to_string(), seq.to_string()]);
        }
        out.push('\n');
        clock.draw(&mut out);
        let mut held = Table::new(&["HELD BY", "", "LACKS"], &[false, false, true]);
        for receipt in &document.receipts {
            let kind = if receipt.relay { "relay" } else { "peer" };
            let lacks = match document.missing(receipt) {
                0 => "nothing".to_owned(),
                missing => amount(missing, "change"),
            };
            held.row([receipt.peer.to_string(), kind.to_owned(), lacks]);
        }
        out.push('\n');
        if document.receipts.is_empty() {
            out.push_str("  Who else holds it is not known here.\n");
        } else {
            held.draw(&mut out);
        }
    }
    out
}

fn head(inspected: &Inspected) -> String {
    let mut out = format!("Store in {}\n", inspected.folder.display());
    let _ = write!(out, "  database  {}", size(inspected.store.database_bytes));
    let _ = match inspected.store.log_bytes {
        0 => writeln!(out),
        bytes => writeln!(out, " and {} in its log", size(bytes)),
    };
    if let Some(replica) = inspected.replica {
        let _ = writeln!(out, "  replica   {replica}");
    }
    if let Some(epoch) = inspected.store.epoch {
        let _ = writeln!(out, "  epoch     {epoch}");
    }
    out
}

/// What is damaged, or was.
fn trouble(inspected: &Inspected, out: &mut String) {
    let store = &inspected.store;
    if !store.quarantined.is_empty() {
        let _ = writeln!(out, "\n{} set aside because they were damaged:", amount(store.quarantined.len() as u64, "document"));
        // The latest say most.
        for aside in store.quarantined.iter().rev().take(ASIDE_SHOWN) {
            let reason: String = aside.reason.chars().take(REASON_LETTERS).collect();
            let _ = writeln!(out, "  {}  {reason}", aside.document);
        }
    }
    if !store.unreadable.is_empty() {
        let _ = writeln!(
            out,
            "\n{} not counted, because their rows do not check out:",
            amount(store.unreadable.len() as u64, "document")
        );
        for what in store.unreadable.iter().take(ASIDE_SHOWN) {
            let _ = writeln!(out, "  {what}");
        }
    }
}

/// Who holds all of a document, and who holds some of it.
fn held_by(document: &InspectedDocument) -> String {
    let (mut relays, mut peers, mut behind) = (0, 0, 0);
    for receipt in &document.receipts {
        match (document.missing(receipt), receipt.relay) {
            (0, true) => relays += 1,
            (0, false) => peers += 1,
            _ => behind += 1,
        }
    }
    holders(relays, peers, behind)
}

/// How many relays and peers hold all of something, and how many some of it.
fn holders(relays: u64, peers: u64, behind: u64) -> String {
    let parts: Vec<String> = [(relays, "relay"), (peers, "peer")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| amount(count, what))
        .chain((behind > 0).then(|| format!("{behind} not up to date")))
        .collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

/// A count and what is counted.
pub(in crate::commands) fn amount(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A size as people read it: three digits or four, in powers of 1024.
fn size(bytes: u64) -> String {
    let mut size = bytes as f64;
    let mut units = ["KiB", "MiB", "GiB", "TiB"].iter();
    let mut unit = "B";
    while size >= 1024.0
        && let Some(larger) = units.next()
    {
        size /= 1024.0;
        unit = larger;
    }
    if unit == "B" || size >= 100.0 { format!("{size:.0} {unit}") } else { format!("{size:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::{amount, size};

    #[test]
    fn sizes_are_short_and_counts_agree_with_what_they_count() {
        for (bytes, shown) in [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_600_000, "1.5 MiB"), (200 << 30, "200 GiB")] {
            assert_eq!(size(bytes), shown);
        }
        assert_eq!(amount(1, "change"), "1 change");
        assert_eq!(amount(0, "change"), "0 changes");
    }
}
