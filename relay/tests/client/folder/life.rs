//! Three folders in which everything is done at random, by editors, by the network and by whatever ends processes. In the
//! end they are equal, and every word is there that nobody deleted.
//!
//! The usual run is short; `DRIFTLINE_FOLDER_OPERATIONS` and `DRIFTLINE_FOLDER_SEED` say otherwise.

use super::shelf::{Place, converge};
use std::collections::{BTreeMap, BTreeSet};
use unicode_normalization::UnicodeNormalization as _;

/// Operations of one life in the usual run, and how many lives.
const OPERATIONS: usize = 250;
const LIVES: u64 = 3;

/// Names that files get: few, so that they clash.
const NAMES: &[&str] = &[
    "a.md",
    "b.md",
    "c.txt",
    "A.md",
    "sub/a.md",
    "sub/b.md",
    "sub/deep/c",
    "Sub/a.md",
    "b.md/x",
    "d",
    "d/e",
    "na\u{ef}ve.md",
    "nai\u{308}ve.md",
];

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }
}

/// Words that were written, and those that someone took out.
#[derive(Default)]
struct Words {
    written: BTreeSet<String>,
    deleted: BTreeSet<String>,
    /// Words of files that were moved over others or to where others were a moment ago, or moved and edited too: what is seen of
    /// it may be that one file was deleted and another made. Where someone else edited it meanwhile, it stays beside its copy.
    copied: BTreeSet<String>,
    /// Words of files that were made alike in several folders. Moved in one of them, such a file is no longer what it is in the others.
    alike: BTreeSet<String>,
    /// What was done in each folder since it was last looked at.
    unseen: [Unseen; 3],
}

/// Paths in a folder that has not been looked at since.
#[derive(Default)]
struct Unseen {
    vacated: BTreeSet<String>,
    moved: BTreeSet<String>,
    written: BTreeSet<String>,
    /// Made alike elsewhere: what is written in it before it is looked at makes another file of it.
    alike: BTreeSet<String>,
    /// The process ended in the middle of its work, and nothing was looked at since.
    is_cut: bool,
}

impl Words {
    /// A new word, unlike all others.
    fn new_word(&mut self, dice: &mut Dice) -> String {
        let word: String = (0..12).map(|_| char::from(b'a' + dice.roll(26) as u8)).collect();
        self.written.insert(word.clone());
        word
    }

    /// All words that stand in these bytes are deleted.
    fn delete_all_in(&mut self, bytes: &[u8]) {
        self.deleted.extend(self.all_in(bytes));
    }

    fn all_in(&self, bytes: &[u8]) -> Vec<String> {
        let text = String::from_utf8_lossy(bytes);
        self.written.iter().filter(|word| text.contains(word.as_str())).cloned().collect()
    }
}

#[derive(Default, Debug)]
struct Tally {
    edits: usize,
    cuts: usize,
    renames: usize,
    deletions: usize,
    clashes: usize,
    alike: usize,
}

/// Says what happens, where someone looks for why.
macro_rules! trace {
    ($($words:tt)*) => {
        if std::env::var_os("DRIFTLINE_FOLDER_TRACE").is_some() {
            eprintln!($($words)*);
        }
    };
}

fn live(seed: u64, operations: usize, is_sealed: bool) -> Tally {
    let mut dice = Dice(seed);
    let place = if is_sealed { Place::sealed } else { Place::new };
    let mut places = [place(1), place(2), place(3)];
    let (mut words, mut tally) = (Words::default(), Tally::default());
    for operation in 0..operations {
        if is_sealed {
            match dice.roll(40) {
                0 => places[dice.roll(3)].books.begin_epoch(),
                1 => make_alike(&places, &mut dice, &mut words, &mut tally),
                _ => {}
            }
        }
        let at = dice.roll(places.len());
        let what = dice.roll(20);
        trace!("{operation}: {what} at {at}: {:?}", places[at].texts());
        match what {
            0..=6 => write_in(at, &places[at], &mut dice, &mut words, &mut tally),
            7 => make(&places[at], &mut dice, &mut words),
            8 => rename(at, &places[at], &mut dice, &mut words, &mut tally),
            9 => delete(at, &places[at], &mut dice, &mut words, &mut tally),
            10 => write_bytes(at, &places[at], &mut dice, &mut words),
            11..=14 => {
                let report = places[at].pass();
                words.unseen[at] = Unseen::default();
                trace!("    {:?}", report.acts);
            }
            15..=17 => {
                let other = (at + 1 + dice.roll(places.len() - 1)) % places.len();
                places[at].meet(&places[other]);
            }
            18 => {
                places[at].cut_after(dice.roll(25) as u64);
                tally.cuts += usize::from((0..3).any(|_| places[at].try_pass().is_err()));
                places[at].restart();
                words.unseen[at].is_cut = true;
            }
            _ => {
                places[at].settle();
                words.unseen[at] = Unseen::default();
            }
        }
    }
    converge(&mut places);
    for place in &mut places {
        let report = place.pass();
        trace!("end: {report:?} {:?}", place.texts());
    }
    let files = shared(&places[0]);
    tally.clashes = files.keys().filter(|name| name.contains(" (")).count();
    for place in &places[1..] {
        let others = shared(place);
        assert_eq!(others.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(others, files, "seed {seed}");
    }
    let all = files.values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect::<Vec<_>>().join("\n");
    let lost: Vec<&String> = words.written.difference(&words.deleted).filter(|word| !all.contains(word.as_str())).collect();
    assert!(lost.is_empty(), "seed {seed}: of {} words nobody deleted these, and they are gone: {lost:?}", words.written.len());
    let once = words.written.difference(&words.copied);
    let twice: Vec<&String> = once.filter(|word| all.matches(word.as_str()).count() > 1).collect();
    assert!(twice.is_empty(), "seed {seed}: these stand twice: {twice:?}\n{all}");
    tally
}

/// The files by the names that others know them by: one that its editor called `nai\u{308}ve` stays called so where it did.
fn shared(place: &Place) -> BTreeMap<String, Vec<u8>> {
    place.files().into_iter().map(|(name, bytes)| (name.nfc().collect(), bytes)).collect()
}

fn any_file(place: &Place, dice: &mut Dice) -> Option<(String, Vec<u8>)> {
    let files = place.files();
    if files.is_empty() { None } else { files.into_iter().nth(dice.roll(usize::MAX) % place.files().len()) }
}

fn write_in(folder: usize, place: &Place, dice: &mut Dice, words: &mut Words, tally: &mut Tally) {
    let Some((path, bytes)) = any_file(place, dice).filter(|(_, bytes)| !bytes.contains(&0)) else { return };
    let text = String::from_utf8(bytes).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    tally.edits += 1;
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(lines.len() + 1);
        match dice.roll(4) {
            0 => lines.insert(at, words.new_word(dice)),
            1 | 2 if at < lines.len() => {
                let mut line: Vec<String> = lines[at].split(' ').map(str::to_owned).collect();
                line.insert(dice.roll(line.len() + 1), words.new_word(dice));
                lines[at] = line.join(" ");
            }
            3 if at < lines.len() && dice.roll(2) == 0 => {
                let mut line: Vec<String> = lines[at].split(' ').map(str::to_owned).collect();
                let gone = line.remove(dice.roll(line.len()));
                words.delete_all_in(gone.as_bytes());
                lines[at] = line.join(" ");
            }
            _ => lines.push(words.new_word(dice)),
        }
    }
    // What is rewritten that was being written when the process ended may not be known again.
    let unseen = &words.unseen[folder];
    if unseen.moved.contains(&path) || unseen.alike.contains(&path) || unseen.is_cut {
        words.copied.extend(words.all_in(lines.join("\n").as_bytes()));
    }
    words.unseen[folder].written.insert(path.clone());
    place.write(&path, lines.join("\n") + if dice.roll(4) == 0 { "" } else { "\n" });
}

fn make(place: &Place, dice: &mut Dice, words: &mut Words) {
    let path = NAMES[dice.roll(NAMES.len())];
    if place.folder.join(path).exists() || !has_room(place, path) {
        return;
    }
    let text: Vec<String> = (0..=dice.roll(4)).map(|_| words.new_word(dice)).collect();
    place.write(path, text.join("\n") + "\n");
}

/// Makes the same file in all folders that have nothing there.
fn make_alike(places: &[Place], dice: &mut Dice, words: &mut Words, tally: &mut Tally) {
    let path = NAMES[dice.roll(NAMES.len())];
    let text: Vec<String> = (0..=dice.roll(4)).map(|_| words.new_word(dice)).collect();
    let is_free = |at: &usize| !places[*at].folder.join(path).exists() && has_room(&places[*at], path);
    let free: Vec<usize> = (0..places.len()).filter(is_free).collect();
    for at in &free {
        places[*at].write(path, text.join("\n") + "\n");
        words.unseen[*at].alike.insert(path.to_owned());
        words.unseen[*at].written.insert(path.to_owned());
    }
    match free.len() {
        0 => text.iter().for_each(|word| _ = words.written.remove(word)),
        count => tally.alike += usize::from(count > 1),
    }
    words.alike.extend(text);
}

fn rename(at: usize, place: &Place, dice: &mut Dice, words: &mut Words, tally: &mut Tally) {
    let Some((from, bytes)) = any_file(place, dice) else { return };
    let to = NAMES[dice.roll(NAMES.len())];
    if from == to || !has_room(place, to) || place.folder.join(to).is_dir() {
        return;
    }
    if let Ok(over) = std::fs::read(place.folder.join(to)) {
        words.delete_all_in(&over);
        words.copied.extend(words.all_in(&bytes));
    }
    let unseen = &mut words.unseen[at];
    if unseen.vacated.contains(to) || unseen.written.contains(&from) || unseen.is_cut {
        words.copied.extend(words.all_in(&bytes));
    }
    let alike: Vec<String> = words.all_in(&bytes).into_iter().filter(|word| words.alike.contains(word)).collect();
    words.copied.extend(alike);
    let unseen = &mut words.unseen[at];
    unseen.moved.insert(to.to_owned());
    unseen.vacated.insert(from.clone());
    place.rename(&from, to);
    tally.renames += 1;
}

fn delete(at: usize, place: &Place, dice: &mut Dice, words: &mut Words, tally: &mut Tally) {
    // A folder that is suddenly empty is not believed.
    if place.names().len() < 4 {
        return;
    }
    let Some((path, bytes)) = any_file(place, dice) else { return };
    words.delete_all_in(&bytes);
    words.unseen[at].vacated.insert(path.clone());
    place.remove(&path);
    tally.deletions += 1;
}

fn write_bytes(at: usize, place: &Place, dice: &mut Dice, words: &mut Words) {
    let path = ["x.bin", "sub/y.bin"][dice.roll(2)];
    if !has_room(place, path) || place.folder.join(path).is_dir() {
        return;
    }
    if let Ok(over) = std::fs::read(place.folder.join(path)) {
        words.delete_all_in(&over);
    }
    let word = words.new_word(dice);
    if words.unseen[at].moved.contains(path) {
        words.copied.insert(word.clone());
    }
    words.unseen[at].written.insert(path.to_owned());
    place.write(path, [&[0][..], word.as_bytes()].concat());
}

/// Whether the folders above a path are folders, or can be made.
fn has_room(place: &Place, path: &str) -> bool {
    path.match_indices('/').all(|(at, _)| !place.folder.join(&path[..at]).is_file())
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Lives as often and as long as was asked for.
fn lives(is_sealed: bool) {
    let wanted = number("DRIFTLINE_FOLDER_OPERATIONS");
    let seed = number("DRIFTLINE_FOLDER_SEED");
    let lives = if wanted.is_some() || seed.is_some() { 1 } else { LIVES };
    let operations = wanted.map_or(OPERATIONS, |wanted| usize::try_from(wanted).unwrap());
    let first = seed.unwrap_or(1);
    let mut all = Tally::default();
    for seed in first..first + lives {
        let tally = live(seed, operations, is_sealed);
        println!("seed {seed}, {operations} operations, sealed: {is_sealed}: {tally:?}");
        all.cuts += tally.cuts;
        all.renames += tally.renames;
        all.deletions += tally.deletions;
        all.alike += tally.alike;
    }
    if wanted.is_none() && seed.is_some() {
        return;
    }
    assert!(all.cuts > 0 && all.renames > 0 && all.deletions > 0, "the life is too quiet: {all:?}");
    assert!(!is_sealed || all.alike > 0, "the life is too quiet: {all:?}");
}

#[test]
fn three_folders_in_which_anything_happens_end_equal_with_every_word_that_nobody_deleted() {
    lives(false);
}

#[test]
fn three_folders_in_a_sealed_space_do_as_well() {
    lives(true);
}
