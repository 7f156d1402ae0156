//! What an editor did to a text, from how it read before and after.
//!
//! First lines are compared, then the words of lines that differ, and of two words that are nearly the same the letters
//! that differ. Letters that two different words happen to share are not kept: someone who deletes the old word at the
//! same time would take them out of the new one.

use super::limits::PAIRS_MAX;
use similar::{Algorithm, DiffOp, capture_diff_slices};
use std::collections::BTreeSet;

/// Part of a text is replaced. Positions count code points, each in the text that those before it have left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Splice {
    /// Where.
    pub at: usize,
    /// How many letters go.
    pub delete: usize,
    /// What comes there.
    pub insert: String,
}

/// What turns `before` into `after`, from the left to the right.
pub(crate) fn splices(before: &str, after: &str) -> Vec<Splice> {
    let mut found = Splices::default();
    let lines = |text: &str| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
    compare(&lines(before), &lines(after), &mut found, |gone, come, found| {
        compare(&words(&gone.concat()), &words(&come.concat()), found, |gone, come, found| {
            replace_words(&gone.concat(), &come.concat(), found);
        });
    });
    found.splices
}

/// What puts into `before` all that only `after` has, and takes nothing out.
pub(crate) fn additions(before: &str, after: &str) -> Vec<Splice> {
    let mut kept = 0;
    let mut additions = Vec::new();
    for Splice { at, delete, insert } in splices(before, after) {
        if !insert.is_empty() {
            additions.push(Splice { at: at + kept, delete: 0, insert });
        }
        kept += delete;
    }
    additions
}

/// How much two texts have in common, from 0 to 1: the share of letters in lines that both have.
pub(crate) fn likeness(a: &str, b: &str) -> f64 {
    let total = a.len() + b.len();
    if total == 0 {
        return 1.0;
    }
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split_inclusive('\n').collect(), b.split_inclusive('\n').collect());
    if a.len().saturating_mul(b.len()) > PAIRS_MAX {
        return 0.0;
    }
    let same: usize = capture_diff_slices(Algorithm::Myers, &a, &b)
        .iter()
        .map(|op| match op {
            DiffOp::Equal { old_index, len, .. } => a[*old_index..old_index + len].iter().map(|line| line.len()).sum(),
            _ => 0,
        })
        .sum();
    2.0 * same as f64 / total as f64
}

/// The share of the words of `before` that `after` has too, from 0 to 1: how much of a text is left of it, however it was edited.
pub(crate) fn words_left(before: &str, after: &str) -> f64 {
    let (before, after) = (word_set(before), word_set(after));
    before.intersection(&after).count() as f64 / before.len().max(1) as f64
}

/// Whether an edited text was made of `second` and not of `first`: it has words that only `second` has, or where there are none,
/// none of those that only `first` has. In doubt it was not: then what only `second` has is at worst put in once more, and never taken out.
pub(crate) fn is_of_second(first: &str, second: &str, edited: &str) -> bool {
    let (first, second, edited) = (word_set(first), word_set(second), word_set(edited));
    let (only_first, only_second) = (&first - &second, &second - &first);
    match (only_first.is_empty(), only_second.is_empty()) {
        (_, false) => !edited.is_disjoint(&only_second),
        (false, true) => edited.is_disjoint(&only_first),
        (true, true) => false,
    }
}

fn word_set(text: &str) -> BTreeSet<String> {
    words(text).into_iter().filter(|word| word.chars().all(|letter| letter.is_alphanumeric() || letter == '_')).collect()
}

/// Splices in the making, and how far the text after them has come.
#[derive(Default)]
struct Splices {
    at: usize,
    splices: Vec<Splice>,
}

impl Splices {
    fn keep(&mut self, text: &str) {
        self.at += text.chars().count();
    }

    fn replace(&mut self, gone: &str, come: &str) {
        let (delete, length) = (gone.chars().count(), come.chars().count());
        match self.splices.last_mut() {
            _ if delete == 0 && length == 0 => {}
            Some(last) if last.at + last.insert.chars().count() == self.at => {
                last.delete += delete;
                last.insert.push_str(come);
            }
            _ => self.splices.push(Splice { at: self.at, delete, insert: come.to_owned() }),
        }
        self.at += length;
    }
}

/// Keeps the pieces that both sides have, and hands those that differ to `differing`.
fn compare(before: &[String], after: &[String], found: &mut Splices, differing: impl Fn(&[String], &[String], &mut Splices)) {
    let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let ends = before[start..].iter().rev().zip(after[start..].iter().rev()).take_while(|(a, b)| a == b).count();
    before[..start].iter().for_each(|piece| found.keep(piece));
    let (gone, come) = (&before[start..before.len() - ends], &after[start..after.len() - ends]);
    if gone.is_empty() || come.is_empty() || gone.len().saturating_mul(come.len()) > PAIRS_MAX {
        found.replace(&gone.concat(), &come.concat());
    } else {
        for op in capture_diff_slices(Algorithm::Myers, gone, come) {
            let (old, new) = (&gone[op.old_range()], &come[op.new_range()]);
            match op {
                DiffOp::Equal { .. } => new.iter().for_each(|piece| found.keep(piece)),
                DiffOp::Replace { .. } => differing(old, new, found),
                DiffOp::Delete { .. } | DiffOp::Insert { .. } => found.replace(&old.concat(), &new.concat()),
            }
        }
    }
    after[after.len() - ends..].iter().for_each(|piece| found.keep(piece));
}

/// A text in words, blanks between them, and other signs each alone.
fn words(text: &str) -> Vec<String> {
    #[derive(PartialEq)]
    enum Kind {
        Word,
        Blank,
        Sign,
    }
    let kind = |letter: char| match letter {
        _ if letter.is_alphanumeric() || letter == '_' => Kind::Word,
        _ if letter.is_whitespace() => Kind::Blank,
        _ => Kind::Sign,
    };
    let mut words: Vec<String> = Vec::new();
    let mut last = Kind::Sign;
    for letter in text.chars() {
        let this = kind(letter);
        match words.last_mut() {
            Some(word) if this == last && this != Kind::Sign => word.push(letter),
            _ => words.push(letter.to_string()),
        }
        last = this;
    }
    words
}

/// Replaces words; where they are nearly the same, only the letters that differ.
fn replace_words(gone: &str, come: &str, found: &mut Splices) {
    let start: usize = gone.chars().zip(come.chars()).take_while(|(a, b)| a == b).map(|(letter, _)| letter.len_utf8()).sum();
    let (gone_rest, come_rest) = (&gone[start..], &come[start..]);
    let end: usize = gone_rest
        .chars()
        .rev()
        .zip(come_rest.chars().rev())
        .take_while(|(a, b)| a == b)
        .map(|(letter, _)| letter.len_utf8())
        .sum();
    // A word that only grows or shrinks is the same word; of others, half must be the same.
    let is_same = start + end >= gone.len().min(come.len()) || 2 * (start + end) >= gone.len().max(come.len());
    if !is_same {
        return found.replace(gone, come);
    }
    found.keep(&gone[..start]);
    found.replace(&gone_rest[..gone_rest.len() - end], &come_rest[..come_rest.len() - end]);
    found.keep(&gone_rest[gone_rest.len() - end..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(before: &str, splices: &[Splice]) -> String {
        let mut letters: Vec<char> = before.chars().collect();
        for Splice { at, delete, insert } in splices {
            letters.splice(*at..at + delete, insert.chars());
        }
        letters.into_iter().collect()
    }

    fn splice(at: usize, delete: usize, insert: &str) -> Splice {
        Splice { at, delete, insert: insert.to_owned() }
    }

    #[test]
    fn a_letter_in_a_long_text_is_one_letter() {
        let before = "High water at six.\nSlack water at nine.\n".repeat(50);
        let after = before.replacen("six", "sixt", 1);
        assert_eq!(splices(&before, &after), [splice(17, 0, "t")]);
        assert_eq!(splices("the tide is hgih\n", "the tide is high\n"), [splice(13, 2, "ig")]);
        assert!(splices(&before, &before).is_empty());
    }

    #[test]
    fn letters_that_two_words_happen_to_share_are_not_kept() {
        assert_eq!(splices("an apple here", "an table here"), [splice(3, 5, "table")]);
    }

    #[test]
    fn line_ends_and_letters_of_any_width_stay_as_they_are() {
        for (before, after) in [
            ("a\r\nb\r\n", "a\r\nc\r\nb\r\n"),
            ("é\u{1F30A}x", "é\u{1F30A}\u{1F30A}y"),
            ("", "new"),
            ("old", ""),
            ("one\ntwo\nthree", "three\ntwo\none\n"),
            ("e\u{301}", "é"),
        ] {
            assert_eq!(applied(before, &splices(before, after)), after);
        }
    }

    #[test]
    fn whatever_two_texts_are_the_splices_lead_from_one_to_the_other() {
        let mut seed = 7_u64;
        let mut dice = move |sides: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % sides
        };
        for _ in 0..2_000 {
            let mut text = |_| -> String {
                let length = dice(24);
                (0..length).map(|_| ['a', 'b', ' ', '\n', 'é', '.', '\u{1F30A}', '\r'][dice(8) as usize]).collect()
            };
            let (before, after) = (text(0), text(1));
            assert_eq!(applied(&before, &splices(&before, &after)), after, "{before:?} to {after:?}");
        }
    }

    #[test]
    fn additions_take_nothing_out() {
        assert_eq!(applied("a b c\nx\n", &additions("a b c\nx\n", "a c\nx\nnew\n")), "a b c\nx\nnew\n");
        let both = applied("one\nthree\n", &additions("one\nthree\n", "two\nthree\nfour\n"));
        assert!(["one", "two", "three", "four"].iter().all(|word| both.contains(word)), "{both}");
    }

    #[test]
    fn likeness_is_of_lines() {
        assert_eq!(likeness("a\nb\n", "a\nb\n"), 1.0);
        assert_eq!(likeness("a\nb\n", "c\nd\n"), 0.0);
        assert!(likeness("a\nb\nc\nd\n", "a\nb\nc\ne\n") > 0.7);
        assert_eq!(words_left("one two, three four", "zero three\none else"), 0.5);
        assert_eq!(words_left("", "a"), 0.0);
    }

    #[test]
    fn a_text_is_taken_for_an_edit_of_the_later_version_only_where_that_shows() {
        assert!(is_of_second("one", "one theirs", "one theirs mine"));
        assert!(!is_of_second("one", "one theirs", "one mine"));
        assert!(!is_of_second("one", "one theirs", "mine"));
        assert!(is_of_second("one two", "one", "one mine"));
        assert!(!is_of_second("one two", "one", "one two mine"));
        assert!(!is_of_second("one two", "two one", "one mine"));
    }
}
