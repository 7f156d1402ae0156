use super::*;
use crate::doc::chance::{DOCUMENT, Replica, actor, dice, units};
use crate::doc::change::entry_from_payload;
use crate::doc::document::{ChangeError, Document, Transaction};
use crate::doc::edit::Expand;
use crate::doc::value::{TextUnit, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that was sent so far, by strand: here an actor's strand is its first byte.
#[derive(Default)]
struct Told {
    changes: BTreeMap<(u64, u64), ChangeHash>,
    actors: BTreeMap<u64, ActorId>,
}

impl Told {
    fn tell(&mut self, entry: &Entry) {
        self.changes.insert((strand(&entry.actor), entry.seq), entry.hash);
        self.actors.insert(strand(&entry.actor), entry.actor);
    }
}

fn strand(actor: &ActorId) -> u64 {
    u64::from(actor.as_bytes()[0])
}

impl Names for Told {
    fn of_hash(&mut self, hash: &ChangeHash) -> Option<(u64, u64)> {
        self.changes.iter().find(|(_, told)| *told == hash).map(|(name, _)| *name)
    }

    fn of_actor(&mut self, actor: &ActorId) -> Option<u64> {
        self.actors.get(&strand(actor)).filter(|told| *told == actor).map(|_| strand(actor))
    }
}

impl Meanings for Told {
    fn hash(&self, strand: u64, seq: u64) -> Option<ChangeHash> {
        self.changes.get(&(strand, seq)).copied()
    }

    fn actor(&self, strand: u64) -> Option<ActorId> {
        self.actors.get(&strand).copied()
    }
}

/// Sends entries one after the other; answers what each cost, abridged where it was, and checks that each arrives as it was.
fn sizes(entries: &[Arc<Entry>]) -> Vec<usize> {
    let mut told = Told::default();
    let mut last: BTreeMap<ActorId, LastChange> = BTreeMap::new();
    let mut sizes = Vec::new();
    for entry in entries {
        let abridged = last.get(&entry.actor).and_then(|last| abridge(last, &entry.payload, &mut told));
        if let Some(abridged) = &abridged {
            let restored = restore(&last[&entry.actor], abridged, &told).expect("what was abridged is restored");
            assert_eq!(restored, *entry.payload);
            let again = entry_from_payload(DOCUMENT, Arc::from(restored)).expect("a sound change");
            assert_eq!(again, **entry);
        }
        sizes.push(abridged.map_or(entry.payload.len(), |abridged| abridged.len()));
        told.tell(entry);
        last.insert(entry.actor, LastChange::of(entry).expect("a change is remembered"));
    }
    sizes
}

/// Makes changes of one document, a second apart.
fn changes(many: usize, change: impl Fn(usize, &mut Transaction<'_>) -> Result<(), ChangeError>) -> Vec<Arc<Entry>> {
    let mut document = Document::new(DOCUMENT, actor(1), TextUnit::CodePoint);
    let begin = document.change(None, 1_700_000_000_000, |tx| tx.put("text", Value::Text("tide ".repeat(400)))).unwrap();
    let mut entries = vec![Arc::new(begin.0.unwrap())];
    for at in 0..many {
        let made = document.change(None, 1_700_000_000_000 + 1_000 * at as i64, |tx| change(at, tx));
        entries.extend(made.unwrap().0.map(Arc::new));
    }
    entries
}

#[test]
fn a_letter_costs_a_tenth_of_its_change() {
    let letter = |at: usize| &"the tide comes in twice a day "[at % 30..][..1];
    let entries = changes(200, |at, tx| tx.splice("text", 700 + at, 0, letter(at)));
    let sizes = sizes(&entries);
    assert!(entries[100].payload.len() > 100);
    assert!(sizes[2..].iter().all(|size| *size <= 10), "{sizes:?}");
}

#[test]
fn deleting_letters_and_typing_somewhere_else_cost_little_more() {
    let back = sizes(&changes(200, |at, tx| tx.splice("text", 1_000 - at, 1, "")));
    let forth = sizes(&changes(200, |_, tx| tx.splice("text", 1_000, 1, "")));
    let elsewhere = sizes(&changes(200, |at, tx| tx.splice("text", (at * 97) % 1_500, 0, "é")));
    let moody =
        sizes(&changes(200, |at, tx| if at % 3 == 2 { tx.splice("text", 900, 1, "") } else { tx.splice("text", 900, 0, "m") }));
    for (name, sizes, most) in [("back", back, 16), ("forth", forth, 16), ("elsewhere", elsewhere, 18), ("moody", moody, 22)] {
        assert!(sizes[2..].iter().all(|size| *size <= most), "{name}: {sizes:?}");
    }
}

#[test]
fn two_who_write_at_once_name_each_others_changes_by_number() {
    let (mut ada, mut bob) = (Replica::new(1, TextUnit::CodePoint), Replica::new(2, TextUnit::CodePoint));
    let made = ada.document.change(None, 0, |tx| tx.put("text", Value::Text("a shared note".to_owned()))).unwrap().0;
    ada.keep(made);
    bob.take_from(&ada, 1);
    for at in 0..60 {
        let made = ada.document.change(None, 0, |tx| tx.splice("text", at, 0, "a")).unwrap().0;
        ada.keep(made);
        let length = bob.document.length("text").unwrap();
        let made = bob.document.change(None, 0, |tx| tx.splice("text", length, 0, "b")).unwrap().0;
        bob.keep(made);
        if at % 2 == 0 {
            bob.take_from(&ada, 9);
            ada.take_from(&bob, 9);
        }
    }
    ada.take_from(&bob, 9);
    let sizes = sizes(&ada.entries);
    assert!(sizes[6..].iter().all(|size| *size <= 24), "{sizes:?}");
}

#[test]
fn what_no_forecast_fits_arrives_as_it_was_too() {
    let mut document = Document::new(DOCUMENT, actor(1), TextUnit::CodePoint);
    let mut entries = Vec::new();
    let mut change = |message: Option<&str>, change: &dyn Fn(&mut Transaction<'_>) -> Result<(), ChangeError>| {
        entries.extend(document.change(message, 5_000, change).unwrap().0.map(Arc::new));
    };
    change(None, &|tx| tx.put("text", Value::Text("the quick brown fox".to_owned())));
    change(Some("a message"), &|tx| tx.mark("text", 4..9, "bold", true, Expand::After));
    change(None, &|tx| tx.put("list", Value::list(["a", "b"])));
    change(None, &|tx| tx.insert(("list", 1), ["x", "y", "z"]));
    change(None, &|tx| tx.put("visits", Value::Counter(1)));
    change(Some("another"), &|tx| tx.increment("visits", 3));
    change(None, &|tx| tx.splice("text", 0, 0, &"all sorts of letters, é and 😀; ".repeat(100)));
    change(None, &|tx| tx.splice("text", 5, 900, ""));
    change(None, &|tx| tx.delete("list"));
    let sizes = sizes(&entries);
    let whole: Vec<_> = entries.iter().map(|entry| entry.payload.len()).collect();
    assert_eq!(sizes[6], whole[6], "what is deflated travels as it is");
    assert!(sizes.iter().sum::<usize>() < whole.iter().sum::<usize>());
}

#[test]
fn a_change_on_another_history_is_not_restored_to_something_else() {
    let entries = changes(3, |at, tx| tx.splice("text", at, 0, "x"));
    let mut told = Told::default();
    let last = LastChange::of(&entries[1]).unwrap();
    let abridged = abridge(&last, &entries[2].payload, &mut told).unwrap();
    let mut forked = last.clone();
    forked.hash = ChangeHash([9; 32]);
    let restored = restore(&forked, &abridged, &told).unwrap();
    assert!(entry_from_payload(DOCUMENT, Arc::from(restored)).is_err(), "the checksum tells");
    assert_eq!(abridge(&forked, &entries[2].payload, &mut told).map(|whole| whole.len() > 40), Some(true));
}

#[test]
fn names_that_were_never_told_are_refused() {
    let entries = changes(2, |at, tx| tx.splice("text", at, 0, "x"));
    let last = LastChange::of(&entries[1]).unwrap();
    // Listed dependencies, one of them change 3 of strand 7.
    let deps = [flag::FOLLOWS | flag::SAME_OTHERS, 0, 0, 0, 0, 0, 1, 9, 3, 0];
    assert_eq!(restore(&last, &deps, &Told::default()), Err(UNKNOWN_NAME));
    // Listed actors: of strand 7, and the last change's hundredth.
    assert_eq!(restore(&last, &[flag::ALONE | flag::FOLLOWS, 0, 0, 0, 0, 0, 1, 9, 0], &Told::default()), Err(UNKNOWN_NAME));
    assert_eq!(restore(&last, &[flag::ALONE | flag::FOLLOWS, 0, 0, 0, 0, 0, 1, 1, 100, 0], &Told::default()), Err(UNKNOWN_NAME));
    assert!(restore(&last, &[0xf0, 0, 0, 0, 0, 0, 0], &Told::default()).is_err(), "there is no such forecast");
}

proptest! {
    #[test]
    fn whatever_three_write_at_random_arrives_as_it_was(mut dice in dice(400), unit in units()) {
        let mut replicas: Vec<_> = (1..=3).map(|number| Replica::new(number, unit)).collect();
        while !dice.is_over() {
            let number = dice.roll(3);
            if dice.roll(3) == 0 {
                let other = (number + 1 + dice.roll(2)) % 3;
                let [to, from] = replicas.get_disjoint_mut([number, other]).unwrap();
                to.take_from(from, 1 + dice.roll(4));
            } else {
                let edit = dice.edit(&replicas[number].value(), unit);
                replicas[number].edit(&edit);
            }
        }
        for replica in &replicas {
            sizes(&replica.entries);
        }
    }

    #[test]
    fn garbage_is_refused_or_restored_to_something_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let entries = changes(2, |at, tx| tx.splice("text", at, 0, "x"));
        let mut told = Told::default();
        entries.iter().for_each(|entry| told.tell(entry));
        let last = LastChange::of(&entries[2]).unwrap();
        if let Ok(restored) = restore(&last, &bytes, &told) {
            prop_assert!(restored.len() <= 32 * bytes.len() + 400);
            let _ = entry_from_payload(DOCUMENT, Arc::from(restored));
        }
    }

    #[test]
    fn a_damaged_change_is_refused_or_unharmed(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let entries = changes(2, |at, tx| tx.splice("text", at, 0, "x"));
        let last = LastChange::of(&entries[1]).unwrap();
        let good = abridge(&last, &entries[2].payload, &mut Told::default()).unwrap();
        let mut bytes = good.clone();
        bytes[at.index(good.len())] ^= 1 << bit;
        if let Ok(restored) = restore(&last, &bytes, &Told::default()) {
            let entry = entry_from_payload(DOCUMENT, Arc::from(restored));
            prop_assert!(entry.is_err() || entry.unwrap().payload == entries[2].payload);
        }
    }
}
