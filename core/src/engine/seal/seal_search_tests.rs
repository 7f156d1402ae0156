//! An hour of writing in a sealed notebook, and a search of all that its relay came to see: its store, what was sent to and by it, and
//! what it told. The same search of an owned notebook that is not sealed finds everything, or it would mean nothing.

use super::seal_tests::{BEN, CAT, OWNER, RELAY, keys, peer, world};
use crate::base::id::{DocumentId, SpaceId, to_hex};
use crate::base::time::Now;
use crate::doc::value::Value;
use crate::engine::input::{Command, Input};
use crate::engine::tests::World;
use crate::engine::trust::owned::Offer;
use crate::trust::owned::is_sealed;
use crate::trust::statement::Level;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

const TITLES: [&str; 3] = ["Harbour minutes of the third of May", "Letters to Wilhelmina", "Sluice gate readings"];
const NAMES: [&str; 4] = ["Leocadia Winterbottom", "Ferdinand Quackenbush", "Ottoline Abernathy", "the accountant's link"];
const MINUTES: u64 = 60;

fn document(number: usize) -> DocumentId {
    DocumentId([number as u8 + 40; 16])
}

/// What someone writes in a minute: found nowhere else.
fn token(node: usize, minute: u64) -> String {
    format!("tok{node}x{minute}quinquereme")
}

/// What a file of bytes is full of.
fn blob(minute: u64) -> Vec<u8> {
    format!("blob {minute} of a photograph;").into_bytes().repeat(200)
}

/// An hour in a space: three who write, in documents with titles, with files and under their names; one is shut out after half of it.
fn live(world: &mut World, space: SpaceId, seen: &mut Vec<u8>) {
    let offer = |note: &str| Offer { level: Level::Write, expires: 0, note: note.to_owned(), relays: Vec::new() };
    for (node, name) in [(BEN, NAMES[1]), (CAT, NAMES[2])] {
        let invitation = world.nodes[OWNER].engine.invite(Now::at(world.now), space, offer(NAMES[3])).unwrap();
        world.drain(OWNER);
        world.nodes[node].engine.join(Now::at(world.now), &invitation, name.to_owned()).unwrap();
        world.drain(node);
    }
    for node in [OWNER, BEN, CAT] {
        for number in 0..TITLES.len() {
            world.input(node, Input::Command(Command::OpenDocument { space, document: document(number) }));
        }
        world.connect(node, RELAY);
        let state = format!("{{\"name\":\"{}\"}}", NAMES[node - 1]);
        world.input(node, Input::Command(Command::SetPresence { space, instance: 1, state: Some(state) }));
    }
    watch(world, seen);
    for minute in 0..MINUTES {
        for node in [OWNER, BEN, CAT] {
            let (number, token) = ((minute as usize + node) % TITLES.len(), token(node, minute));
            let now = Now::at(world.now);
            let written = world.nodes[node].engine.change(now, document(number), None, |note| {
                if note.text("body").is_none() {
                    note.put("title", TITLES[number])?;
                    note.put("body", Value::Text(String::new()))?;
                }
                let length = note.length("body").unwrap_or(0);
                note.splice("body", length, 0, &format!("{token} "))?;
                if minute % 20 == 7 {
                    note.put("file", Value::Bytes(blob(minute)))?;
                }
                Ok(())
            });
            written.unwrap();
            world.drain(node);
        }
        watch(world, seen);
        if minute == MINUTES / 2 {
            world.nodes[OWNER].engine.revoke(Now::at(world.now), space, peer(CAT)).unwrap();
            world.drain(OWNER);
            watch(world, seen);
        }
        world.now += 60_000;
        for node in 0..world.nodes.len() {
            world.input(node, Input::Tick);
            watch(world, seen);
        }
    }
}

/// Delivers everything that is on its way, and keeps it.
fn watch(world: &mut World, seen: &mut Vec<u8>) {
    while let Some((_, _, frame)) = world.frames.front() {
        seen.extend_from_slice(frame);
        world.step();
    }
}

/// Everything that the relay came to see: what was sent to it and by it, its store, and what it told.
fn all_of(world: &mut World, mut seen: Vec<u8>) -> Vec<u8> {
    for area in world.nodes[RELAY].store.medium_mut().areas() {
        seen.extend_from_slice(area);
    }
    seen.extend_from_slice(format!("{:?}", world.nodes[RELAY].events).as_bytes());
    seen
}

/// What nobody but the members may come to see, in whatever it may be written.
fn secrets(world: &World, space: SpaceId) -> Vec<(String, Vec<u8>)> {
    let mut secrets: Vec<(String, Vec<u8>)> = Vec::new();
    let texts = TITLES.iter().chain(&NAMES).map(|text| (*text).to_owned());
    let tokens = (0..MINUTES).flat_map(|minute| [token(OWNER, minute), token(BEN, minute)]);
    secrets.extend(texts.chain(tokens).map(|text| (text.clone(), text.into_bytes())));
    secrets.extend([7, 27, 47].map(|minute| (format!("blob {minute}"), blob(minute)[..40].to_vec())));
    if is_sealed(&space) {
        let keys = keys(world, OWNER, space);
        for epoch in keys.epochs() {
            let key = *keys.key(&epoch).unwrap().bytes();
            secrets.push(("a key".to_owned(), key.to_vec()));
        }
    }
    // As a program might write it down: whatever is next to it, base64 of it has one of three forms.
    let written = secrets.clone().into_iter().flat_map(|(what, bytes)| {
        let hex = to_hex(&bytes).into_bytes();
        let base64 = (0..3usize).flat_map(|skip| {
            let bytes = &bytes[skip.min(bytes.len())..];
            let whole = &bytes[..bytes.len() / 3 * 3];
            [STANDARD_NO_PAD.encode(whole).into_bytes(), URL_SAFE_NO_PAD.encode(whole).into_bytes()]
        });
        std::iter::once(hex).chain(base64).map(|form| (format!("{what}, written down"), form)).collect::<Vec<_>>()
    });
    secrets.extend(written.collect::<Vec<_>>());
    secrets
}

/// Which of the secrets stand in what was seen.
fn found(seen: &[u8], secrets: &[(String, Vec<u8>)]) -> Vec<String> {
    // Every secret is looked for by its first eight bytes at each place.
    let mut of_start: std::collections::BTreeMap<[u8; 8], Vec<&(String, Vec<u8>)>> = std::collections::BTreeMap::new();
    for secret in secrets {
        of_start.entry(*secret.1.first_chunk().expect("all are longer")).or_default().push(secret);
    }
    let mut found = std::collections::BTreeSet::new();
    for at in 0..seen.len().saturating_sub(8) {
        let start: [u8; 8] = *seen[at..].first_chunk().expect("there are eight");
        for (what, bytes) in of_start.get(&start).into_iter().flatten() {
            if seen[at..].starts_with(bytes) {
                found.insert(what.clone());
            }
        }
    }
    found.into_iter().collect()
}

#[test]
fn a_search_of_all_that_a_relay_came_to_see_of_a_sealed_notebook_finds_no_word_title_name_or_key() {
    let mut world = world();
    let space = world.nodes[OWNER].engine.found_sealed_space(Now::at(world.now)).unwrap();
    world.drain(OWNER);
    let mut seen = Vec::new();
    live(&mut world, space, &mut seen);
    // It was lived: the two who stayed hold the same, the relay has all of it, and its logs begin with what a member made.
    for number in 0..TITLES.len() {
        let version = |world: &World, node: usize| world.nodes[node].engine.log(&document(number)).unwrap().version().clone();
        assert_eq!(version(&world, OWNER), version(&world, RELAY), "document {number}");
        assert_eq!(version(&world, BEN), version(&world, RELAY), "document {number}");
        let text = world.nodes[BEN].engine.document(&document(number)).unwrap().text("body").unwrap();
        assert!(text.contains("tok1x") && text.contains("tok2x") && text.contains("tok3x"), "{text}");
        assert!(
            world.nodes[RELAY].engine.log(&document(number)).unwrap().snapshot().is_some(),
            "document {number} was compacted"
        );
    }
    assert_eq!(keys(&world, OWNER, space).epochs().count(), 2);
    let secrets = secrets(&world, space);
    let seen = all_of(&mut world, seen);
    assert!(seen.len() > 200_000 && secrets.len() > 500);
    assert_eq!(found(&seen, &secrets), Vec::<String>::new());
}

#[test]
fn the_same_search_of_a_notebook_that_is_not_sealed_finds_nearly_all() {
    let mut world = world();
    let space = world.nodes[OWNER].engine.found_space(Now::at(world.now)).unwrap();
    world.drain(OWNER);
    let mut seen = Vec::new();
    live(&mut world, space, &mut seen);
    let secrets = secrets(&world, space);
    let seen = all_of(&mut world, seen);
    let found = found(&seen, &secrets);
    for text in TITLES.iter().chain(&NAMES[1..]) {
        assert!(found.contains(&(*text).to_owned()), "{text} is not found");
    }
    let tokens = found.iter().filter(|what| what.starts_with("tok") && !what.contains(',')).count();
    assert!(tokens > 80, "{tokens} of {} words", 2 * MINUTES);
}
