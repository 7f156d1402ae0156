//! The verdict at the end of a life: what all logs hold together, made into a document by automerge alone, against what
//! the engines show and what the edits were meant to do.

use super::disk::hashes;
use super::oracle::Oracle;
use super::replica::Replica;
use super::workload::{Intent, note_key, tokens};
use automerge::hydrate::Value as Hydrated;
use automerge::{Automerge, ScalarValue};
use driftline_core::base::id::{ChangeHash, DocumentId};
use driftline_core::doc::value::Value;
use std::collections::BTreeSet;

/// Checks that all members among the replicas hold the same of `document`, and that it is what it should be. Answers how many changes it has.
pub fn judge(oracle: &Oracle, (replicas, members): (&[Replica], &[usize]), document: DocumentId) -> usize {
    let first = members[0];
    let all = oracle.held(first, &document);
    for replica in members {
        assert_eq!(oracle.held(*replica, &document), all, "S1: the logs of replicas {first} and {replica} differ in {document}");
    }
    assert!(oracle.forged.is_none_or(|forged| !all.contains(&forged.hash)), "S3: what was made up in a member's name stands");
    for (index, replica) in members.iter().map(|index| (*index, &replicas[*index])) {
        let stored = replica.disk.logs(oracle.keys.as_ref()).remove(&document).unwrap_or_default();
        assert_eq!(hashes(&stored), all, "S4: the disk of replica {index} does not hold what was stored of {document}");
    }
    let changes =
        all.iter().map(|hash| automerge::Change::from_bytes(oracle.changes[hash].payload.to_vec()).expect("it was read before"));
    let mut merged = Automerge::new();
    merged.apply_changes(changes).expect("changes that travelled apply");
    assert_eq!(merged.get_changes(&[]).len(), all.len(), "S4: the logs of {document} are not whole");
    let heads: BTreeSet<_> = merged.get_heads().iter().map(|head| head.0).collect();
    let value = from_hydrated(&merged.hydrate(None));
    for (index, replica) in members.iter().map(|index| (*index, &replicas[*index])) {
        if let Some(shown) = replica.document(&document) {
            let shown_heads: BTreeSet<_> = shown.heads().iter().map(|head| head.0).collect();
            assert_eq!(shown_heads, heads, "S1: replica {index} has other heads of {document} than its log");
            let shown = shown.value(()).expect("a document has a root");
            assert_eq!(shown.to_json(), value.to_json(), "S1: replica {index} shows another value of {document}");
        }
        for mirror in replica.app.mirrors.values().filter(|mirror| mirror.document == document) {
            assert!(mirror.is_quiet(), "L1: a mirror of replica {index} is not answered: {mirror:?}");
            assert_eq!(
                mirror.value.to_json(),
                value.to_json(),
                "S6: a mirror of replica {index} shows another value of {document}"
            );
        }
    }
    judge_intent(oracle, (document, &all), &value);
    oracle.judge_shut_out(&document, &all);
    all.len()
}

/// Whether the value is what the edits that made it were meant to do (S2, S5).
fn judge_intent(oracle: &Oracle, (document, held): (DocumentId, &BTreeSet<ChangeHash>), value: &Value) {
    let in_it: BTreeSet<u64> =
        oracle.changes.values().filter(|known| known.document == document).map(|known| known.number).collect();
    for number in oracle.saved_edits() {
        if oracle.edits[&number].document == document {
            assert!(in_it.contains(&number), "S2: edit {number} was saved and is gone");
        }
    }
    let intents: Vec<_> = oracle
        .changes
        .iter()
        .filter(|(hash, _)| held.contains(*hash))
        .map(|(_, known)| (known.number, &oracle.edits[&known.number].intent))
        .collect();
    let root = value.as_map().expect("a document's root is a map");
    for (number, intent) in &intents {
        if intent.noted.contains(number) {
            assert_eq!(root.get(&note_key(*number)), Some(&Value::Int(*number as i64)), "S2: the note of edit {number} is gone");
        }
    }
    let Some(Value::Text(text)) = root.get("text") else { return };
    let shown = tokens(text).unwrap_or_else(|why| panic!("S5: {why}"));
    let inserted: BTreeSet<u64> = intents.iter().flat_map(|(_, intent)| intent.inserted.iter().copied()).collect();
    let deleted = taken_out(oracle, &intents, &shown.iter().copied().collect(), |intent| &intent.deleted);
    let expected: BTreeSet<u64> = inserted.difference(&deleted).copied().collect();
    if !oracle.tampered && oracle.doubled.is_empty() {
        assert_eq!(shown.len(), expected.len(), "S5: a token is doubled or missing in {text:?}");
    }
    // A token that was typed twice, because a disk forgot, may have been deleted once.
    let once = |tokens: BTreeSet<u64>| tokens.difference(&oracle.doubled).copied().collect::<BTreeSet<_>>();
    assert_eq!(once(shown.into_iter().collect()), once(expected), "S5: the text is not what was typed");
    if let (Some(Value::List(list)), false) = (root.get("list"), oracle.tampered || !oracle.doubled.is_empty()) {
        let listed: BTreeSet<u64> = intents.iter().flat_map(|(_, intent)| intent.listed.iter().copied()).collect();
        let shown: BTreeSet<u64> = list.iter().filter_map(|item| item.as_i64()).map(|item| item as u64).collect();
        let unlisted = taken_out(oracle, &intents, &shown, |intent| &intent.unlisted);
        assert_eq!(shown, listed.difference(&unlisted).copied().collect(), "S5: the list is not what was put into it");
        assert_eq!(shown.len(), list.len(), "S5: the list holds something twice");
    }
    if let (Some(Value::Counter(count)), false) = (root.get("count"), oracle.tampered || !oracle.doubled.is_empty()) {
        let counted: i64 = intents.iter().map(|(_, intent)| intent.counted).sum();
        assert_eq!(*count, counted, "S5: the counter did not count every increment once");
    }
}

/// What edits have taken out. Who makes an edit again, because someone was shut out, may not have heard yet of what it takes out, where that was
/// made again by its writer, too: then it stays.
fn taken_out(
    oracle: &Oracle,
    intents: &[(u64, &Intent)],
    shown: &BTreeSet<u64>,
    taken: impl Fn(&Intent) -> &BTreeSet<u64>,
) -> BTreeSet<u64> {
    let by = |again: bool| {
        let edits = intents.iter().filter(move |(number, _)| oracle.remade.contains(number) == again);
        edits.flat_map(|(_, intent)| taken(intent).iter().copied()).collect::<BTreeSet<u64>>()
    };
    let is_spared = |token: &u64| oracle.remade.contains(token) && shown.contains(token);
    let again = by(true).into_iter().filter(|token| !is_spared(token));
    by(false).into_iter().chain(again).collect()
}

/// What automerge shows, as the core's value: written here again, so that it does not share the core's mistakes.
pub fn from_hydrated(value: &Hydrated) -> Value {
    match value {
        Hydrated::Scalar(scalar) => match scalar {
            ScalarValue::Null | ScalarValue::Unknown { .. } => Value::Null,
            ScalarValue::Boolean(value) => Value::Bool(*value),
            ScalarValue::Int(value) => Value::Int(*value),
            ScalarValue::Uint(value) => i64::try_from(*value).map_or(Value::Uint(*value), Value::Int),
            ScalarValue::F64(value) => Value::Float(*value),
            ScalarValue::Str(text) => Value::String(text.to_string()),
            ScalarValue::Bytes(bytes) => Value::Bytes(bytes.clone()),
            ScalarValue::Timestamp(ms) => Value::Timestamp(*ms),
            ScalarValue::Counter(counter) => Value::Counter(counter.into()),
        },
        Hydrated::Map(map) => Value::Map(map.iter().map(|(key, inner)| (key.to_string(), from_hydrated(&inner.value))).collect()),
        Hydrated::List(list) => Value::List(list.iter().map(|inner| from_hydrated(&inner.value)).collect()),
        Hydrated::Text(text) => Value::Text(text.to_string()),
    }
}
