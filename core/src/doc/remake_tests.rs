use super::remake;
use crate::base::id::{ActorId, ChangeHash, DocumentId};
use crate::doc::document::Document;
use crate::doc::path::Prop;
use crate::doc::value::{TextUnit, Value};
use crate::log::entry::Entry;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

const ID: DocumentId = DocumentId([1; 16]);
const OWNER: usize = 0;
const BEN: usize = 1;
const CAT: usize = 2;

fn actor(of: usize) -> ActorId {
    ActorId::new(&[of as u8 + 1; 16]).unwrap()
}

/// Three people, and all that was written, in an order in which each comes after what it depends on.
struct Room {
    documents: Vec<Document>,
    all: Vec<Arc<Entry>>,
}

impl Room {
    fn new() -> Self {
        let documents = (0..3).map(|of| Document::new(ID, actor(of), TextUnit::CodePoint)).collect();
        let mut room = Self { documents, all: Vec::new() };
        room.write(OWNER, |tx| {
            tx.put("text", "")?;
            tx.put("list", Value::List(Vec::new()))?;
            tx.put("count", Value::Counter(0))
        });
        room.meet();
        room
    }

    fn write(
        &mut self,
        who: usize,
        f: impl FnOnce(&mut crate::doc::document::Transaction<'_>) -> Result<(), crate::doc::document::ChangeError>,
    ) {
        if let (Some(entry), ()) = self.documents[who].change(Some("by"), 7_000, f).unwrap() {
            self.all.push(Arc::new(entry));
        }
    }

    /// Everyone is told everything.
    fn meet(&mut self) {
        for document in &mut self.documents {
            document.apply(self.all.iter().cloned()).unwrap();
        }
    }

    /// What remains where nothing of Ben's is accepted after his first `last`, what Cat built on the rest, and her changes made again.
    fn shut_ben_out(&self, last: u64) -> (Document, Vec<Entry>) {
        let mut gone: BTreeSet<ChangeHash> = BTreeSet::new();
        let (mut kept, mut cats) = (Vec::new(), Vec::new());
        for entry in &self.all {
            let is_refused = entry.actor == actor(BEN) && entry.seq > last;
            if is_refused || entry.deps.iter().any(|dep| gone.contains(dep)) {
                gone.insert(entry.hash);
                if entry.actor == actor(CAT) {
                    cats.push(entry.clone());
                }
            } else {
                kept.push(entry.clone());
            }
        }
        let (again, _) = remake((ID, actor(9)), &kept, &self.all, &cats);
        let mut document = Document::new(ID, actor(8), TextUnit::CodePoint);
        document.apply(kept.into_iter().chain(again.iter().cloned().map(Arc::new))).unwrap();
        (document, again)
    }
}

fn place(list: &str, index: usize) -> Vec<Prop> {
    vec![Prop::Key(list.to_owned()), Prop::Index(index)]
}

fn text(document: &Document) -> String {
    document.text("text").unwrap_or_default()
}

#[test]
fn what_was_typed_behind_refused_words_stands_behind_what_is_left_before_them() {
    let mut room = Room::new();
    room.write(OWNER, |tx| tx.splice("text", 0, 0, "low tide."));
    room.meet();
    room.write(BEN, |tx| tx.splice("text", 8, 0, " today and here"));
    room.meet();
    room.write(CAT, |tx| tx.splice("text", 23, 0, " at noon"));
    room.write(CAT, |tx| tx.splice("text", 31, 0, ", or so"));
    room.write(CAT, |tx| tx.splice("text", 0, 3, "high"));
    room.meet();
    assert_eq!(text(&room.documents[OWNER]), "high tide today and here at noon, or so.");
    let (document, again) = room.shut_ben_out(0);
    assert_eq!(text(&document), "high tide at noon, or so.");
    assert_eq!(again.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3], "each is a change of its own");
    let history = document.history(10);
    assert!(history.iter().filter(|change| change.actor == actor(9)).all(|change| change.message.as_deref() == Some("by")));
}

#[test]
fn keys_counters_lists_and_whole_notes_are_made_again_where_they_can_be() {
    let mut room = Room::new();
    room.write(BEN, |tx| {
        tx.put("bens", Value::Map([("text".to_owned(), Value::Text("ben".to_owned()))].into_iter().collect()))?;
        tx.insert(place("list", 0), ["ben"])
    });
    room.meet();
    room.write(CAT, |tx| {
        tx.put("title", "cat")?;
        tx.increment("count", 2)?;
        tx.splice(["bens", "text"], 3, 0, " and cat")?;
        tx.insert(place("list", 1), ["cat"])
    });
    room.write(CAT, |tx| {
        tx.put("mine", Value::Map([("deep".to_owned(), Value::List(vec![Value::Int(1)]))].into_iter().collect()))
    });
    room.write(CAT, |tx| tx.insert(vec![Prop::Key("mine".to_owned()), Prop::Key("deep".to_owned()), Prop::Index(1)], [2_i64]));
    let (document, _) = room.shut_ben_out(0);
    assert_eq!(document.value("title"), Some(Value::from("cat")));
    assert_eq!(document.value("count"), Some(Value::Counter(2)));
    assert_eq!(document.text(["bens", "text"]).as_deref(), Some(" and cat"), "her words in his note, in a note of hers");
    assert_eq!(document.length("list"), Some(1));
    assert_eq!(document.value(["mine", "deep"]), Some(Value::List(vec![Value::Int(1), Value::Int(2)])));
}

#[test]
fn what_only_touched_what_is_gone_makes_nothing() {
    let mut room = Room::new();
    room.write(BEN, |tx| tx.splice("text", 0, 0, "ben"));
    room.meet();
    room.write(CAT, |tx| tx.splice("text", 0, 3, ""));
    let (document, again) = room.shut_ben_out(0);
    assert_eq!((text(&document).as_str(), again.len()), ("", 0));
}

#[derive(Clone, Debug)]
enum Act {
    Type { who: usize, at: usize, letters: usize },
    Erase { at: usize, letters: usize },
    Push { who: usize, at: usize },
    Meet,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..3_usize, any::<prop::sample::Index>(), 1..4_usize).prop_map(|(who, at, letters)| Act::Type { who, at: at.index(1_000), letters }),
        1 => (any::<prop::sample::Index>(), 1..3_usize).prop_map(|(at, letters)| Act::Erase { at: at.index(1_000), letters }),
        1 => (0..3_usize, any::<prop::sample::Index>()).prop_map(|(who, at)| Act::Push { who, at: at.index(1_000) }),
        2 => Just(Act::Meet),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Each letter is one of its own, so that it can be told whose it is and whether it is there twice.
    #[test]
    fn nothing_that_others_wrote_is_lost_or_doubled_and_nothing_refused_remains(
        acts in prop::collection::vec(act(), 1..40),
        last in 0..6_u64,
    ) {
        let mut room = Room::new();
        let mut next = 0xE000_u32;
        let (mut cats, mut refused, mut pushed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for act in acts {
            match act {
                Act::Type { who, at, letters } => {
                    let word: String = (next..next + letters as u32).filter_map(char::from_u32).collect();
                    next += letters as u32;
                    let at = at % (room.documents[who].length("text").unwrap() + 1);
                    room.write(who, |tx| tx.splice("text", at, 0, &word));
                    let is_refused = who == BEN && room.all.last().is_some_and(|entry| entry.seq > last);
                    match who {
                        CAT => cats.extend(word.chars()),
                        _ if is_refused => refused.extend(word.chars()),
                        _ => {}
                    }
                }
                Act::Erase { at, letters } => {
                    let length = room.documents[CAT].length("text").unwrap();
                    let at = at % (length + 1);
                    room.write(CAT, |tx| tx.splice("text", at, letters.min(length - at), ""));
                }
                Act::Push { who, at } => {
                    next += 1;
                    let at = at % (room.documents[who].length("list").unwrap() + 1);
                    room.write(who, |tx| tx.insert(place("list", at), [i64::from(next)]));
                    if who == CAT {
                        pushed.insert(i64::from(next));
                    }
                }
                Act::Meet => room.meet(),
            }
        }
        room.meet();
        let (document, again) = room.shut_ben_out(last);
        let (before, after) = (text(&room.documents[CAT]), text(&document));
        let mut seen = BTreeSet::new();
        for letter in after.chars() {
            prop_assert!(seen.insert(letter), "a letter is there twice");
            prop_assert!(!refused.contains(&letter), "a refused letter remains");
        }
        for letter in before.chars().filter(|letter| cats.contains(letter)) {
            prop_assert!(seen.contains(&letter), "a letter of hers is lost");
        }
        let Some(Value::List(list)) = document.value("list") else { panic!("there is a list") };
        let numbers: Vec<i64> = list.iter().filter_map(|value| if let Value::Int(number) = value { Some(*number) } else { None }).collect();
        let once: BTreeSet<i64> = numbers.iter().copied().collect();
        prop_assert_eq!(once.len(), numbers.len());
        prop_assert!(pushed.is_subset(&once), "an element of hers is lost");
        // Whoever makes them again gets the same.
        prop_assert_eq!(room.shut_ben_out(last).1, again);
    }
}
