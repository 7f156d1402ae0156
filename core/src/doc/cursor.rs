//! Cursors: places in a text or list that move with what is written around them.
//!
//! A cursor is shown as text, in Automerge's form, and travels between replicas in an app's own messages. So it is checked
//! here before Automerge sees it: Automerge trusts cursors to be its own, and ends the program at some that are not.

use super::crdt::{self, Found};
use super::document::Document;
use super::value::IntoPath;
use crate::base::id::{ActorId, ChangeHash, from_hex};
use automerge::{Cursor, CursorPosition, ObjType, ReadDoc as _};

/// The longest cursor there is: a sign, a number, `@` and an actor.
const CURSOR_TEXT_MAX: usize = 1 + 10 + 1 + 2 * crate::base::limits::ACTOR_BYTES_MAX;

impl Document {
    /// A cursor for a position of the text or list at `path`, as they were at `heads`; from the end on, the cursor stays at
    /// the end. Nothing when the heads are not held or there is no text or list.
    pub fn cursor(&self, heads: &[ChangeHash], path: impl IntoPath, position: usize) -> Option<String> {
        let (object, heads) = self.sequence(heads, path)?;
        let position =
            if position < self.crdt.length_at(&object, &heads) { CursorPosition::Index(position) } else { CursorPosition::End };
        Some(self.crdt.get_cursor(&object, position, Some(&heads)).ok()?.to_string())
    }

    /// Where a cursor stood at `heads`; where what it points at was deleted, at what came after it. Nothing when it is no cursor of
    /// the text or list at `path`, or belongs to changes that are not part of it. Takes time in proportion to the text.
    pub fn position(&self, heads: &[ChangeHash], path: impl IntoPath, cursor: &str) -> Option<usize> {
        let (object, mut heads) = self.sequence(heads, path)?;
        let cursor = parse(cursor)?;
        // At the current heads, Automerge looks the cursor up in an index of all objects, and ends the program where it is in
        // another than this one. A head that nobody has keeps it from noticing that these are the current ones.
        heads.push(automerge::ChangeHash([0; 32]));
        self.crdt.get_cursor_position(&object, &cursor, Some(&heads)).ok()
    }

    fn sequence(&self, heads: &[ChangeHash], path: impl IntoPath) -> Option<(automerge::ObjId, Vec<automerge::ChangeHash>)> {
        if !self.holds(heads) {
            return None;
        }
        let heads = crdt::to_hashes(heads);
        match crdt::find(&self.crdt, Some(&heads), &path.into_path())? {
            Found::Object(object, ObjType::Text | ObjType::List) => Some((object, heads)),
            _ => None,
        }
    }
}

/// The cursor, when it has the form of one and its number is one that Automerge can hold.
fn parse(text: &str) -> Option<Cursor> {
    if text != "s" && text != "e" {
        let (number, actor) = text.strip_prefix('-').unwrap_or(text).split_once('@')?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let fits = text.len() <= CURSOR_TEXT_MAX && is_number && number.parse::<u32>().is_ok();
        if !fits || ActorId::new(&from_hex(actor).ok()?).is_none() {
            return None;
        }
    }
    Cursor::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::DocumentId;
    use crate::doc::value::TextUnit;

    fn document() -> Document {
        let actor = ActorId::new(&[7; 16]).expect("16 bytes are an actor");
        let mut document = Document::new(DocumentId([1; 16]), actor, TextUnit::Utf16);
        let made = document.change(None, 0, |tx| {
            tx.put("text", "one two")?;
            tx.put("other", "else")
        });
        made.expect("the change can be made");
        document
    }

    #[test]
    fn a_cursor_moves_with_what_is_written_before_it_and_stays_where_it_was_in_the_past() {
        let mut document = document();
        let before = document.heads();
        let cursor = document.cursor(&before, "text", 4).expect("there is such a place");
        let end = document.cursor(&before, "text", 7).expect("there is an end");
        document.change(None, 0, |tx| tx.splice("text", 0, 0, "zero ")).expect("the change can be made");
        let after = document.heads();
        assert_eq!(document.position(&after, "text", &cursor), Some(9));
        assert_eq!(document.position(&before, "text", &cursor), Some(4));
        assert_eq!(document.position(&after, "text", &end), Some(12));
        document.change(None, 0, |tx| tx.splice("text", 8, 3, "")).expect("the change can be made");
        assert_eq!(document.position(&document.heads(), "text", &cursor), Some(8), "what it points at is gone");
    }

    #[test]
    fn what_is_no_cursor_of_this_text_has_no_position_and_does_no_harm() {
        let document = document();
        let heads = document.heads();
        let elsewhere = document.cursor(&heads, "other", 1).expect("there is such a place");
        let actor = "07".repeat(16);
        let strange = [
            String::new(),
            "-".to_owned(),
            "@".to_owned(),
            "-@".to_owned(),
            "é".to_owned(),
            "2@".to_owned(),
            elsewhere,
            format!("@{actor}"),
            format!("--2@{actor}"),
            format!("+2@{actor}"),
            format!("99@{actor}"),
            format!("4294967296@{actor}"),
            format!("18446744073709551616@{actor}"),
            format!("2@{}", "08".repeat(16)),
            format!("2@{}", "07".repeat(32)),
            format!("{}2@{actor}", "0".repeat(1_000)),
        ];
        for cursor in strange {
            assert_eq!(document.position(&heads, "text", &cursor), None, "{cursor}");
        }
        assert_eq!(document.position(&[ChangeHash([0; 32])], "text", "s"), None);
        assert_eq!(document.position(&heads, "missing", "s"), None);
        assert_eq!(document.cursor(&heads, (), 0), None, "a map has no positions");
    }
}
