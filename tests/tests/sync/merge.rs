//! The laws of merging, of documents: in whatever order and in whatever portions entries arrive, what they make is one.

use super::document;
use driftline_core::base::id::ActorId;
use driftline_core::doc::document::Document;
use driftline_core::doc::value::{TextUnit, Value};
use driftline_core::log::entry::Entry;
use driftline_tests::harness::dice::Dice;
use driftline_tests::harness::workload;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

fn empty(actor: u8) -> Document {
    Document::new(document(1), ActorId::new(&[actor; 16]).expect("16 bytes are few enough"), TextUnit::CodePoint)
}

/// Three replicas that write, and now and then hear from each other; every entry in the order it was made.
fn history(seed: u64, edits: u64) -> Vec<Arc<Entry>> {
    let mut dice = Dice::new(seed, "history");
    let mut replicas: Vec<_> = (1..=3).map(empty).collect();
    let mut all: Vec<Arc<Entry>> = Vec::new();
    let mut heard = [0; 3];
    for number in 1..=edits {
        let at = dice.index(3);
        if dice.percent(40) || number == 2 {
            replicas[at].apply(all[heard[at]..].iter().cloned()).expect("good entries apply");
            heard[at] = all.len();
        }
        let edit = if number == 1 {
            driftline_core::doc::edit::Edit { ops: workload::beginning(), message: None }
        } else {
            let value = replicas[at].value(()).expect("a document has a root");
            workload::draw(&mut dice, &value, number, TextUnit::CodePoint).0
        };
        let made = replicas[at].edit(None, &edit, 0).expect("the workload's edits are good");
        all.extend(made.map(Arc::new));
    }
    all
}

/// The entries in another order that still puts everything after what it depends on.
fn another_order(entries: &[Arc<Entry>], dice: &mut Dice) -> Vec<Arc<Entry>> {
    let mut left: Vec<_> = entries.to_vec();
    let mut there = BTreeSet::new();
    let mut order = Vec::new();
    while !left.is_empty() {
        let ready: Vec<_> = (0..left.len()).filter(|at| left[*at].deps.iter().all(|dep| there.contains(dep))).collect();
        let entry = left.remove(*dice.pick(&ready));
        there.insert(entry.hash);
        order.push(entry);
    }
    order
}

fn shown(document: &Document) -> (BTreeSet<[u8; 32]>, Value) {
    (document.heads().into_iter().map(|head| head.0).collect(), document.value(()).expect("a document has a root"))
}

fn made_of(entries: &[Arc<Entry>]) -> Document {
    let mut document = empty(9);
    document.apply(entries.iter().cloned()).expect("good entries apply");
    document
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_any_portions_and_any_repetition_make_one_document(seed: u64, edits in 2u64..40) {
        let entries = history(seed, edits);
        let expected = shown(&made_of(&entries));
        let mut dice = Dice::new(seed, "delivery");
        for _ in 0..4 {
            let order = another_order(&entries, &mut dice);
            let mut document = empty(8);
            let mut rest = &order[..];
            while !rest.is_empty() {
                let (portion, left) = rest.split_at(1 + dice.index(rest.len()));
                document.apply(portion.iter().cloned()).expect("good entries apply");
                if dice.percent(30) {
                    document.apply(portion.iter().cloned()).expect("entries that are held are no trouble");
                }
                rest = left;
            }
            prop_assert_eq!(shown(&document), expected.clone());
        }
    }

    #[test]
    fn merging_commutes_associates_and_is_idempotent(seed: u64, edits in 3u64..30) {
        let entries = history(seed, edits);
        let mut dice = Dice::new(seed, "parts");
        // Three replicas, each of which holds a beginning of some order.
        let parts: Vec<Vec<_>> = (0..3)
            .map(|_| {
                let mut order = another_order(&entries, &mut dice);
                order.truncate(1 + dice.index(entries.len()));
                order
            })
            .collect();
        let merge = |parts: &[&[Arc<Entry>]]| {
            let mut document = empty(7);
            for part in parts {
                document.apply(part.iter().cloned()).expect("good entries apply");
            }
            shown(&document)
        };
        let (a, b, c) = (&parts[0][..], &parts[1][..], &parts[2][..]);
        prop_assert_eq!(merge(&[a, b]), merge(&[b, a]));
        prop_assert_eq!(merge(&[a, a]), merge(&[a]));
        prop_assert_eq!(merge(&[a, b, c]), merge(&[c, a, b]));
        let mut left = empty(1);
        left.apply(a.iter().chain(b).cloned()).expect("good entries apply");
        left.apply(c.iter().cloned()).expect("good entries apply");
        prop_assert_eq!(shown(&left), merge(&[b, c, a]));
    }

    #[test]
    fn what_is_saved_loads_as_the_same_document_in_automerge_itself(seed: u64, edits in 2u64..30) {
        let document = made_of(&history(seed, edits));
        let loaded = automerge::Automerge::load(&document.save()).expect("a saved document loads");
        let value = driftline_tests::harness::verdict::from_hydrated(&loaded.hydrate(None));
        prop_assert_eq!(document.value(()), Some(value));
    }
}
