//! Mirrors and their views, with delays both ways and others writing meanwhile.

use super::chance::{DOCUMENT, Dice, Replica, actor, dice, units};
use super::document::{ChangeError, Document};
use super::edit::{Edit, Op};
use super::path::IntoPath;
use super::value::{TextUnit, Value};
use super::view::{Answer, View};
use crate::base::id::ChangeHash;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a mirror tells its view: an edit, and what the mirror then shows.
#[derive(Clone)]
struct Told {
    number: u64,
    seen: u64,
    edit: Edit,
    shown: Value,
}

/// A mirror as it lives elsewhere, and the two lines to its view.
struct Mirror {
    shown: Value,
    edits: u64,
    seen: u64,
    /// What it shows, but for its edits after these: the state it can go on from with another view.
    resume: (u64, Vec<ChangeHash>),
    /// Its edits after that.
    uncovered: Vec<Told>,
    told: VecDeque<Told>,
    answers: VecDeque<Answer>,
    taken: usize,
    dropped: usize,
    resets: usize,
}

impl Mirror {
    fn new() -> Self {
        Self {
            shown: Value::Null,
            edits: 0,
            seen: 0,
            resume: (0, Vec::new()),
            uncovered: Vec::new(),
            told: VecDeque::new(),
            answers: VecDeque::new(),
            taken: 0,
            dropped: 0,
            resets: 0,
        }
    }

    /// Makes an edit on what it shows, exactly as the document will, and tells of it.
    fn edit(&mut self, edit: Edit, unit: TextUnit) {
        self.shown = edited(&self.shown, &edit, unit);
        self.edits += 1;
        let told = Told { number: self.edits, seen: self.seen, edit, shown: self.shown.clone() };
        self.uncovered.push(told.clone());
        self.told.push_back(told);
    }

    /// Takes or drops the next answer that arrives.
    fn hear(&mut self, unit: TextUnit) {
        let Some(answer) = self.answers.pop_front() else { return };
        if self.edits > answer.covers && answer.reset.is_none() {
            self.dropped += 1;
            if answer.covers > self.resume.0 {
                self.remember(answer.covers, answer.base);
            }
            return;
        }
        let mut covers = answer.covers;
        if let Some(value) = answer.reset {
            self.shown = value;
            self.resets += 1;
            covers = self.edits;
        }
        for patch in &answer.patches {
            patch.apply(&mut self.shown, unit).unwrap();
        }
        self.seen = answer.number;
        self.remember(covers, answer.heads);
        self.taken += 1;
    }

    fn remember(&mut self, covers: u64, heads: Vec<ChangeHash>) {
        self.uncovered.retain(|told| told.number > covers);
        self.resume = (covers, heads);
    }
}

/// What `value` reads after `edit`, by the document's own rules, in a document that holds nothing else.
fn edited(value: &Value, edit: &Edit, unit: TextUnit) -> Value {
    let mut document = Document::new(DOCUMENT, actor(99), unit);
    let Value::Map(map) = value else { panic!("a document is a map") };
    let filled = document.change(None, 0, |tx| map.iter().try_for_each(|(key, value)| tx.put(key.as_str(), value.clone())));
    filled.unwrap();
    document.edit(None, edit, 0).unwrap();
    document.value(()).unwrap()
}

/// Largest change in these tests: no edit of chance comes near it.
const BYTES_MAX: usize = 2_000;

/// Text that does not pack into so much.
fn too_much() -> String {
    (0u32..1_500).map(|number| char::from_u32(0x4e00 + number * 7_919 % 20_011).unwrap()).collect()
}

/// An engine's document with mirrors, and somebody elsewhere.
struct World {
    unit: TextUnit,
    home: Replica,
    away: Replica,
    views: Vec<(View, Mirror)>,
    /// Edits that were not committed on the document as it stood.
    behind: usize,
    /// Edits that were refused.
    refused: usize,
    /// Views that others took the place of.
    reopened: usize,
}

impl World {
    fn new(unit: TextUnit, mirrors: usize) -> Self {
        let (mut home, mut away) = (Replica::new(1, unit), Replica::new(2, unit));
        home.edit(&Edit { ops: vec![Op::Put { path: "text".into_path(), value: "".into() }], message: None });
        away.take_from(&home, 1);
        home.document = home.document.with_entry_bytes_max(BYTES_MAX);
        let mut world = Self { unit, home, away, views: Vec::new(), behind: 0, refused: 0, reopened: 0 };
        for _ in 0..mirrors {
            let (view, answer) = View::open(&world.home.document, &[]);
            let mut mirror = Mirror::new();
            mirror.answers.push_back(answer);
            mirror.hear(unit);
            world.views.push((view, mirror));
        }
        world
    }

    /// The view hears the next thing its mirror told.
    fn deliver(&mut self, number: usize) {
        let (view, mirror) = &mut self.views[number];
        let Some(told) = mirror.told.pop_front() else { return };
        let before = self.home.document.heads();
        match view.edit(&mut self.home.document, told.number, told.seen, &told.edit, 5_000) {
            Ok(Some(entry)) => {
                self.behind += usize::from(entry.deps != before);
                let there = self.home.document.value_at(&[entry.hash], ()).unwrap();
                assert_eq!(there, told.shown, "the edit was committed on what the mirror showed");
                self.home.keep(Some(entry));
            }
            Ok(None) => {}
            Err(ChangeError::TooLarge { .. } | ChangeError::Superseded) => {
                self.refused += 1;
                assert_eq!(self.home.document.heads(), before, "of a refused edit nothing is made");
            }
            Err(error) => panic!("{error}: {:?}", told.edit),
        }
    }

    /// The view is closed once all it said has arrived, and the mirror goes on with another. What it told and the view had not heard
    /// is told again.
    fn reopen(&mut self, number: usize) {
        self.answer(number);
        let (view, mirror) = &mut self.views[number];
        while !mirror.answers.is_empty() {
            mirror.hear(self.unit);
        }
        let answer;
        (*view, answer) = View::open(&self.home.document, std::slice::from_ref(&mirror.resume));
        assert!(answer.reset.is_none());
        mirror.answers.push_back(answer);
        mirror.seen = 0;
        mirror.told = mirror.uncovered.iter().cloned().map(|told| Told { seen: 0, ..told }).collect();
        self.reopened += 1;
    }

    fn answer(&mut self, number: usize) {
        let (view, mirror) = &mut self.views[number];
        mirror.answers.extend(view.answer(&self.home.document));
    }

    /// Everything that is under way arrives.
    fn settle(&mut self) {
        self.home.take_from(&self.away, usize::MAX);
        for number in 0..self.views.len() {
            while !self.views[number].1.told.is_empty() {
                self.deliver(number);
            }
        }
        for number in 0..self.views.len() {
            self.answer(number);
            while !self.views[number].1.answers.is_empty() {
                self.views[number].1.hear(self.unit);
            }
        }
        self.away.take_from(&self.home, usize::MAX);
    }

    fn assert_settled(&self) {
        let value = self.home.value();
        assert_eq!(self.away.value(), value);
        for (_, mirror) in &self.views {
            assert_eq!(mirror.shown, value, "every mirror shows the document");
            assert_eq!(mirror.resume, (mirror.edits, self.home.document.heads()));
        }
    }

    /// One random thing happens: `write` makes an edit for whoever shows this value.
    fn step(&mut self, dice: &mut Dice, write: &mut impl FnMut(&mut Dice, &Value) -> Edit) {
        let number = dice.roll(self.views.len());
        match dice.roll(20) {
            18 => self.reopen(number),
            0..=3 => {
                let edit = write(dice, &self.views[number].1.shown);
                self.views[number].1.edit(edit, self.unit);
            }
            4..=7 => self.deliver(number),
            8 | 9 => self.answer(number),
            10..=13 => {
                let mirror = &mut self.views[number].1;
                let taken = mirror.taken;
                mirror.hear(self.unit);
                if mirror.taken > taken {
                    let there = self.home.document.value_at(&mirror.resume.1, ()).unwrap();
                    assert_eq!(mirror.shown, there, "a mirror that takes an answer shows a version of the document");
                }
            }
            14 | 15 => {
                let edit = write(dice, &self.away.value());
                self.away.edit(&edit);
            }
            _ => {
                self.home.take_from(&self.away, 1 + dice.roll(3));
                self.away.take_from(&self.home, dice.roll(3));
            }
        }
    }
}

/// Edits that insert tokens, each of its own kind, between tokens, and delete whole ones.
#[derive(Default)]
struct Tokens {
    made: u32,
    deleted: BTreeSet<String>,
}

impl Tokens {
    fn edit(&mut self, dice: &mut Dice, shown: &Value, unit: TextUnit) -> Edit {
        let text = shown.at("text").unwrap().as_str().unwrap();
        let tokens: Vec<&str> = text.split_inclusive('>').collect();
        let at = dice.roll(tokens.len() + 1);
        let index = unit.length(&tokens[..at].concat());
        let mut delete = 0;
        if at < tokens.len() && dice.roll(4) == 0 {
            self.deleted.insert(tokens[at].to_owned());
            delete = unit.length(tokens[at]);
        }
        self.made += 1;
        let insert = format!("<{}😀>", self.made);
        Edit { ops: vec![Op::Splice { path: "text".into_path(), index, delete, insert }], message: None }
    }

    fn assert_all_there(&self, value: &Value) {
        let text = value.at("text").unwrap().as_str().unwrap();
        let mut there: BTreeMap<String, usize> = BTreeMap::new();
        for token in text.split_inclusive('>') {
            *there.entry(token.to_owned()).or_default() += 1;
        }
        for number in 1..=self.made {
            let token = format!("<{number}😀>");
            let expected = usize::from(!self.deleted.contains(&token));
            assert_eq!(there.remove(&token).unwrap_or(0), expected, "{token} in {text}");
        }
        assert!(there.is_empty(), "nothing is there that nobody wrote: {there:?}");
    }
}

proptest! {
    /// Two tabs and someone elsewhere write into one text; every word is there once, and everyone shows the same.
    #[test]
    fn no_word_is_lost_or_doubled_whatever_is_late(mut dice in dice(240), unit in units()) {
        let mut world = World::new(unit, 2);
        let mut tokens = Tokens::default();
        while !dice.is_over() {
            world.step(&mut dice, &mut |dice, shown| tokens.edit(dice, shown, unit));
        }
        world.settle();
        world.assert_settled();
        tokens.assert_all_there(&world.home.value());
    }

    /// The same with edits of every kind, and with some that are refused.
    #[test]
    fn mirrors_follow_documents_of_every_shape(mut dice in dice(240), unit in units()) {
        let world = lived(&mut dice, unit);
        world.assert_settled();
    }
}

fn lived(dice: &mut Dice, unit: TextUnit) -> World {
    let mut world = World::new(unit, 3);
    while !dice.is_over() {
        world.step(dice, &mut |dice, shown| match dice.roll(16) {
            1 => Edit { ops: vec![Op::Put { path: "a".into_path(), value: too_much().into() }], message: None },
            _ => dice.edit(shown, unit),
        });
    }
    world.settle();
    world
}

#[test]
fn chance_reaches_every_turn_that_a_mirror_can_take() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut behind, mut dropped, mut taken, mut resets, mut refused, mut reopened) = (0, 0, 0, 0, 0, 0);
    for _ in 0..64 {
        let mut dice = dice(400).new_tree(&mut runner).unwrap().current();
        let world = lived(&mut dice, TextUnit::Utf16);
        behind += world.behind;
        refused += world.refused;
        reopened += world.reopened;
        dropped += world.views.iter().map(|(_, mirror)| mirror.dropped).sum::<usize>();
        taken += world.views.iter().map(|(_, mirror)| mirror.taken).sum::<usize>();
        resets += world.views.iter().map(|(_, mirror)| mirror.resets).sum::<usize>();
    }
    let counts = [behind, dropped, taken, resets - 3 * 64, refused, reopened];
    assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
}

/// A text `ab` with a view, and its mirror.
fn small() -> (Replica, View) {
    let mut home = Replica::new(1, TextUnit::Utf16);
    home.edit(&Edit { ops: vec![Op::Put { path: "text".into_path(), value: "ab".into() }], message: None });
    let (view, answer) = View::open(&home.document, &[]);
    assert_eq!((answer.number, answer.covers, answer.reset), (1, 0, Some(Value::map([("text", "ab")]))));
    (home, view)
}

fn typed(index: usize, insert: &str) -> Edit {
    Edit { ops: vec![Op::Splice { path: "text".into_path(), index, delete: 0, insert: insert.to_owned() }], message: None }
}

#[test]
fn an_edit_made_alone_is_answered_with_nothing_to_do() {
    let (mut home, mut view) = small();
    assert_eq!(view.answer(&home.document), None);
    let entry = view.edit(&mut home.document, 1, 1, &typed(2, "c"), 0).unwrap().unwrap();
    let answer = view.answer(&home.document).unwrap();
    assert_eq!((answer.number, answer.covers, answer.patches.len(), answer.reset), (2, 1, 0, None));
    assert_eq!((answer.heads, answer.base), (vec![entry.hash], vec![entry.hash]));
    assert_eq!(view.answer(&home.document), None);
}

#[test]
fn an_edit_that_cannot_be_made_resets_the_mirror_and_voids_what_it_did_meanwhile() {
    let (mut home, mut view) = small();
    let wrong = view.edit(&mut home.document, 1, 1, &typed(9, "x"), 0);
    assert!(matches!(wrong, Err(ChangeError::OutOfBounds { .. })), "{wrong:?}");
    assert_eq!(view.edit(&mut home.document, 2, 1, &typed(0, "y"), 0), Err(ChangeError::Superseded));
    let reset = view.answer(&home.document).unwrap();
    assert_eq!((reset.number, reset.covers, &reset.reset), (2, 2, &Some(home.value())));
    // Made before the reset arrived, and after.
    assert_eq!(view.edit(&mut home.document, 3, 1, &typed(0, "y"), 0), Err(ChangeError::Superseded));
    assert!(view.edit(&mut home.document, 4, 2, &typed(0, "z"), 0).unwrap().is_some());
    let answer = view.answer(&home.document).unwrap();
    assert_eq!((answer.covers, answer.reset, answer.patches.len()), (4, None, 0));
    assert_eq!(home.document.text("text").as_deref(), Some("zab"));
}

#[test]
fn a_mirror_whose_version_is_not_held_starts_again() {
    let (mut home, _) = small();
    let (view, answer) = View::open(&home.document, &[(4, vec![ChangeHash([1; 32])]), (2, home.document.heads())]);
    assert_eq!((answer.covers, answer.reset), (2, None));
    drop(view);
    let (mut view, answer) = View::open(&home.document, &[(4, vec![ChangeHash([1; 32])])]);
    assert_eq!((answer.covers, answer.reset.is_some()), (4, true));
    assert_eq!(view.edit(&mut home.document, 5, 0, &typed(0, "y"), 0), Err(ChangeError::Superseded));
    assert!(view.edit(&mut home.document, 6, 1, &typed(0, "y"), 0).is_ok());
}

#[test]
fn an_edit_told_twice_is_made_once() {
    let (mut home, mut view) = small();
    assert!(view.edit(&mut home.document, 1, 1, &typed(0, "y"), 0).unwrap().is_some());
    assert_eq!(view.edit(&mut home.document, 1, 1, &typed(0, "y"), 0), Ok(None));
    assert_eq!(home.document.text("text").as_deref(), Some("yab"));
    // One is missing in between: nobody can say what the mirror shows.
    assert_eq!(view.edit(&mut home.document, 3, 1, &typed(0, "y"), 0), Err(ChangeError::UnknownVersion));
    assert!(view.answer(&home.document).unwrap().reset.is_some());
}

#[test]
fn answers_that_a_mirror_says_it_took_are_not_remembered() {
    let (mut home, mut view) = small();
    let mut numbers = Vec::new();
    for _ in 0..5 {
        home.edit(&typed(0, "r"));
        numbers.extend(view.answer(&home.document).map(|answer| answer.number));
    }
    assert_eq!(numbers, [2, 3, 4, 5, 6]);
    view.acknowledge(4);
    assert!(view.clone().edit(&mut home.document, 1, 4, &typed(0, "m"), 0).is_ok());
    assert!(view.clone().edit(&mut home.document, 1, 6, &typed(0, "m"), 0).is_ok());
    assert_eq!(view.edit(&mut home.document, 1, 3, &typed(0, "m"), 0), Err(ChangeError::UnknownVersion));
}
