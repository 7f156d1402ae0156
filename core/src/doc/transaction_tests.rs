//! What a change may do, and what it may not.

use super::chance::{DOCUMENT, Replica, actor, dice, units};
use super::document::{ChangeError, Document};
use super::edit::{Edit, Expand, Op};
use super::path::IntoPath;
use super::value::{TextUnit, Value};
use crate::base::limits::{ACTOR_BYTES_MAX, DOCUMENT_DEPTH_MAX};
use proptest::prelude::*;

fn document(unit: TextUnit) -> Document {
    Document::new(DOCUMENT, actor(1), unit)
}

/// A document with one of each.
fn one_of_each() -> Document {
    let mut document = document(TextUnit::Utf16);
    let made = document.change(Some("begin"), 1_999, |tx| {
        tx.put("title", "Tides")?;
        tx.put("tags", Value::list(["a", "b"]))?;
        tx.put("visits", Value::Counter(1))?;
        tx.put("place", Value::map([("name", Value::String("pier".to_owned()))]))
    });
    assert!(made.unwrap().0.is_some());
    document
}

#[test]
fn a_program_writes_by_path_and_reads_what_it_wrote() {
    let mut document = one_of_each();
    let (entry, length) = document
        .change(None, 0, |tx| {
            tx.splice("title", 0, 1, "t")?;
            tx.insert(("tags", 1), ["x", "y"])?;
            tx.delete(("tags", 0))?;
            tx.increment("visits", 4)?;
            tx.put(["place", "depth"], 2.5)?;
            tx.delete(["place", "name"])?;
            tx.update_text("title", "tidal")?;
            assert_eq!(tx.text("title").as_deref(), Some("tidal"));
            tx.length("tags").ok_or(ChangeError::Given("no tags".to_owned()))
        })
        .unwrap();
    assert_eq!((entry.unwrap().seq, length), (2, 3));
    let expected = Value::map([
        ("place", Value::map([("depth", 2.5)])),
        ("tags", Value::list(["x", "y", "b"])),
        ("title", "tidal".into()),
        ("visits", Value::Counter(5)),
    ]);
    assert_eq!(document.value(()), Some(expected));
    assert_eq!(document.keys(()), ["place", "tags", "title", "visits"]);
    assert_eq!((document.length("title"), document.length("visits")), (Some(5), None));
}

#[test]
fn a_change_that_does_nothing_is_none() {
    let mut document = one_of_each();
    let heads = document.heads();
    for edit in [
        Edit::default(),
        Edit { ops: vec![Op::UpdateText { path: "title".into_path(), text: "Tides".to_owned() }], message: None },
        Edit { ops: vec![Op::Delete { path: "none".into_path(), length: 1 }], message: Some("nothing".to_owned()) },
        Edit {
            ops: vec![Op::Put { path: ["place", "name"].into_path(), value: Value::String("pier".to_owned()) }],
            message: None,
        },
    ] {
        assert_eq!(document.edit(None, &edit, 0), Ok(None), "{edit:?}");
        assert_eq!(document.edit(Some(&[]), &Edit::default(), 0), Ok(None));
    }
    assert_eq!(document.heads(), heads);
}

#[test]
fn what_cannot_be_done_is_said_and_nothing_of_the_change_is_done() {
    let mut document = one_of_each();
    let before = (document.heads(), document.value(()), document.save());
    let mut refuses = |op: Op, expected: ChangeError| {
        let first = Op::Put { path: "first".into_path(), value: 1.into() };
        let edit = Edit { ops: vec![first, op.clone()], message: None };
        assert_eq!(document.edit(None, &edit, 0), Err(expected), "{op:?}");
        assert_eq!((document.heads(), document.value(()), document.save()), before);
    };
    let missing = |path: &str| ChangeError::Missing { path: path.to_owned() };
    let wrong = |path: &str, expected| ChangeError::WrongKind { path: path.to_owned(), expected };
    let past = |path: &str, index, length| ChangeError::OutOfBounds { path: path.to_owned(), index, length };
    let put = |path| Op::Put { path, value: Value::Null };
    let splice = |path: &str, index, delete| Op::Splice { path: path.into_path(), index, delete, insert: String::new() };

    refuses(put(().into_path()), wrong("the root", "a key or an index"));
    refuses(put(["none", "a"].into_path()), missing("none"));
    refuses(put(["visits", "a"].into_path()), wrong("visits", "a map, list or text"));
    refuses(put(["tags", "a"].into_path()), wrong("tags", "a map"));
    refuses(put(vec![0.into()]), wrong("the root", "a list or text"));
    refuses(put(("title", 0).into_path()), wrong("title[0]", "a list"));
    refuses(put(("tags", 2).into_path()), past("tags[2]", 2, 2));
    refuses(Op::Insert { path: ("tags", 3).into_path(), values: vec![] }, past("tags[3]", 3, 2));
    refuses(Op::Insert { path: ("title", 0).into_path(), values: vec![] }, wrong("title[0]", "an index of a list"));
    refuses(Op::Delete { path: ("tags", 1).into_path(), length: 2 }, past("tags[1]", 1, 2));
    refuses(Op::Delete { path: ("title", 4).into_path(), length: 2 }, past("title", 6, 5));
    refuses(splice("title", 6, 0), past("title", 6, 5));
    refuses(splice("title", 5, usize::MAX), past("title", usize::MAX, 5));
    refuses(splice("tags", 0, 0), wrong("tags", "a text"));
    refuses(splice("none", 0, 0), missing("none"));
    refuses(Op::Increment { path: "title".into_path(), by: 1 }, wrong("title", "a counter"));
    refuses(Op::Increment { path: "visits".into_path(), by: i64::MAX }, ChangeError::OutOfRange { path: "visits".to_owned() });
    let mark = |start, end| {
        let (path, name) = ("title".into_path(), "bold".to_owned());
        Op::Mark { path, start, end, name, value: true.into(), expand: Expand::None }
    };
    refuses(mark(2, 2), past("title", 2, 5));
    refuses(mark(0, 6), past("title", 6, 5));
}

#[test]
fn a_failure_that_a_program_passes_over_still_gives_up_the_change() {
    let mut document = one_of_each();
    let heads = document.heads();
    let made = document.change(None, 0, |tx| {
        let _ = tx.put(["none", "a"], 1);
        tx.put("b", 2)
    });
    assert_eq!(made.map(|_| ()), Err(ChangeError::Missing { path: "none".to_owned() }));
    let given: Result<((), _), _> = document
        .change(None, 0, |tx| {
            tx.put("b", 2)?;
            Err::<(), _>(ChangeError::Given("changed my mind".to_owned()))
        })
        .map(|(entry, ())| ((), entry));
    assert_eq!(given.map(|_| ()), Err(ChangeError::Given("changed my mind".to_owned())));
    assert_eq!((document.heads(), document.value("b")), (heads, None));
}

#[test]
fn no_position_is_inside_a_letter() {
    let mut document = document(TextUnit::Utf16);
    document.change(None, 0, |tx| tx.put("t", "a😀b")).unwrap();
    for (index, delete) in [(2, 0), (1, 1), (2, 1)] {
        let splice = document.change(None, 0, |tx| tx.splice("t", index, delete, "x"));
        assert!(matches!(splice.map(|_| ()), Err(ChangeError::InsideLetter { index: 2, .. })), "{index} {delete}");
    }
    document.change(None, 0, |tx| tx.splice("t", 1, 2, "é")).unwrap();
    assert_eq!(document.text("t").as_deref(), Some("aéb"));
}

#[test]
fn values_are_nested_so_deep_and_no_deeper() {
    let nested = |depth: usize| (1..depth).fold(Value::list([0; 0]), |value, _| Value::List(vec![value]));
    let mut document = document(TextUnit::CodePoint);
    let put = |document: &mut Document, value| document.change(None, 0, |tx| tx.put("a", value)).map(|_| ());
    assert_eq!(put(&mut document, nested(DOCUMENT_DEPTH_MAX)), Err(ChangeError::TooDeep { path: "a".to_owned() }));
    assert_eq!(put(&mut document, nested(DOCUMENT_DEPTH_MAX - 1)), Ok(()));
    assert!(document.value("a").is_some());
}

#[test]
fn a_change_is_bounded_by_what_it_packs_into() {
    let mut document = document(TextUnit::CodePoint).with_entry_bytes_max(2_000);
    let mut put = |text: String| {
        let edit = Edit { ops: vec![Op::Put { path: "t".into_path(), value: text.into() }], message: None };
        document.edit(None, &edit, 0).map(|entry| entry.unwrap().payload.len())
    };
    assert!(put("x".repeat(100_000)).unwrap() < 2_000);
    let varied = (0u32..3_000).map(|number| char::from_u32(0x4e00 + number * 7_919 % 20_011).unwrap()).collect();
    assert_eq!(put(varied), Err(ChangeError::TooLarge { path: "the root".to_owned() }));
    assert_eq!(document.text("t"), Some("x".repeat(100_000)));
    let put = document.change(None, 0, |tx| tx.put("t", "x".repeat(100_000)));
    assert_eq!(put.map(|_| ()), Err(ChangeError::TooLarge { path: "t".to_owned() }), "a program is told while it writes");
    assert_eq!(document.change(None, 0, |tx| tx.put("u", 1)).unwrap().0.unwrap().seq, 2);
}

#[test]
fn an_edit_on_a_version_that_is_not_held_is_refused() {
    let mut document = one_of_each();
    let elsewhere =
        one_of_each().edit(None, &Edit { ops: vec![Op::Put { path: "z".into_path(), value: 1.into() }], message: None }, 0);
    let heads = [elsewhere.unwrap().unwrap().hash];
    assert_eq!(document.edit(Some(&heads), &Edit::default(), 0), Err(ChangeError::UnknownVersion));
    assert_eq!((document.value_at(&heads, ()), document.holds(&heads)), (None, false));
}

#[test]
fn time_is_kept_in_whole_seconds_also_before_1970() {
    let mut document = one_of_each();
    document.change(None, -1, |tx| tx.put("a", 1)).unwrap();
    let times: Vec<_> = document.history(9).into_iter().map(|entry| entry.time_ms).collect();
    assert_eq!(times, [1_000, -1_000]);
}

#[test]
fn values_written_at_the_same_time_are_all_there() {
    let (mut one, mut two) = (Replica::new(1, TextUnit::Utf16), Replica::new(2, TextUnit::Utf16));
    one.edit(&Edit { ops: vec![Op::Put { path: "text".into_path(), value: "tide".into() }], message: None });
    two.take_from(&one, 1);
    for (replica, value) in [(&mut one, 1), (&mut two, 2)] {
        let (entry, ()) = replica.document.change(None, 0, |tx| tx.put("n", value)).unwrap();
        replica.keep(entry);
    }
    one.take_from(&two, 9);
    two.take_from(&one, 9);
    assert_eq!(one.document.conflicts("n"), [Value::Int(1), Value::Int(2)]);
    assert_eq!(two.document.conflicts("n"), one.document.conflicts("n"));
    assert_eq!(one.document.value("n"), one.document.conflicts("n").pop());
    assert_eq!(one.document.conflicts("text"), [Value::from("tide")]);
    assert_eq!(one.document.conflicts("none"), []);
}

/// Automerge keeps edits made on different versions apart by writing each as an actor of its own, whose id begins with four
/// bytes and a number and ends with the document's actor. What we count on: the id stays within its bound; each such actor's
/// changes are numbered without gaps and each depends on the one before; and when the versions have met, the first actor goes on.
#[test]
fn edits_beside_each_other_are_written_by_actors_of_their_own() {
    let mut home = Replica::new(1, TextUnit::Utf16);
    let put = |key: String| Edit { ops: vec![Op::Put { path: key.as_str().into_path(), value: 1.into() }], message: None };
    let mut actors = std::collections::BTreeMap::new();
    for number in 0..300 {
        let entry = home.document.edit(Some(&[]), &put(format!("{number}")), 0).unwrap().unwrap();
        assert!(entry.deps.is_empty());
        assert!(entry.actor.as_bytes().len() <= ACTOR_BYTES_MAX, "{} bytes", entry.actor.as_bytes().len());
        assert!(entry.actor.as_bytes().ends_with(actor(1).as_bytes()));
        assert_eq!((entry.seq, actors.insert(entry.actor, entry.hash)), (1, None));
        home.keep(Some(entry));
    }
    let first = home.entries[0].clone();
    let (again, beside) = (home.document.edit(Some(&[first.hash]), &put("again".to_owned()), 0), &home.entries[1]);
    let again = again.unwrap().unwrap();
    assert_eq!((again.actor, again.seq, again.deps.clone()), (actor(1), 2, vec![first.hash]));
    let other = home.document.edit(Some(&[beside.hash]), &put("other".to_owned()), 0).unwrap().unwrap();
    assert_eq!((other.actor, other.seq), (beside.actor, 2));
    let last = home.document.edit(None, &put("last".to_owned()), 0).unwrap().unwrap();
    assert_eq!((last.actor, last.seq), (actor(1), 3));
    let mut copy = Replica::new(2, TextUnit::Utf16);
    home.keep(Some(again));
    home.keep(Some(other));
    home.keep(Some(last));
    copy.take_from(&home, usize::MAX);
    assert_eq!(copy.value(), home.value());
}

proptest! {
    /// An edit that fails half way leaves the document as it was, on any version.
    #[test]
    fn a_failed_edit_leaves_no_trace(mut dice in dice(120), unit in units()) {
        let mut replica = Replica::new(1, unit);
        let mut seen = vec![(Vec::new(), Value::empty())];
        while !dice.is_over() {
            let (heads, value) = dice.pick(&seen).clone();
            let mut edit = dice.edit(&value, unit);
            let before = (replica.document.heads(), replica.value(), replica.document.save());
            edit.ops.push(Op::Put { path: ["none", "none"].into_path(), value: Value::Null });
            prop_assert!(replica.document.edit(Some(&heads), &edit, 0).is_err());
            prop_assert_eq!((replica.document.heads(), replica.value(), replica.document.save()), before);
            edit.ops.pop();
            let entry = replica.document.edit(Some(&heads), &edit, 0).unwrap();
            seen.extend(entry.as_ref().map(|entry| (vec![entry.hash], replica.document.value_at(&[entry.hash], ()).unwrap())));
            seen.push((replica.document.heads(), replica.value()));
            replica.keep(entry);
        }
        let mut copy = Replica::new(2, unit);
        copy.take_from(&replica, usize::MAX);
        prop_assert_eq!(copy.value(), replica.value());
    }
}
