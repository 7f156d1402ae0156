//! What people type: edits with tokens that occur nowhere else, so that afterwards each can be accounted for.
//!
//! A text is a row of tokens like `<17😀>`. Everyone inserts between tokens and deletes whole ones; so in every replica,
//! at every moment, a text must be a row of whole tokens (S5), and at the end exactly those inserted and not deleted.
//! Each edit's message names it, so that a change in a document leads back to the edit that made it (S3).

use super::dice::Dice;
use super::mirror::text_length;
use driftline_core::doc::edit::{Edit, Expand, Op};
use driftline_core::doc::value::TextUnit;
use driftline_core::doc::value::{Path, Prop, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What one edit does, for the account at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intent {
    /// Tokens put into the text.
    pub inserted: BTreeSet<u64>,
    /// Tokens taken out of the text.
    pub deleted: BTreeSet<u64>,
    /// Tokens put into the list.
    pub listed: BTreeSet<u64>,
    /// Tokens taken out of the list.
    pub unlisted: BTreeSet<u64>,
    /// What was added to the counter.
    pub counted: i64,
    /// Keys of the root that only this edit ever sets.
    pub noted: BTreeSet<u64>,
}

impl Intent {
    /// Whether it puts something there. What only takes away, or marks, what is gone comes to nothing when it is made again.
    pub fn adds(&self) -> bool {
        !(self.inserted.is_empty() && self.listed.is_empty() && self.noted.is_empty())
    }
}

/// The kinds of operations, drawn with equal chance.
const KINDS: u64 = 10;

/// The document as its first edit makes it.
pub fn beginning() -> Vec<Op> {
    vec![
        Op::Put { path: key("text"), value: Value::Text(String::new()) },
        Op::Put { path: key("list"), value: Value::List(Vec::new()) },
        Op::Put { path: key("map"), value: Value::Map(BTreeMap::new()) },
        Op::Put { path: key("count"), value: Value::Counter(0) },
    ]
}

/// One edit of a document that reads `value`; `number` becomes its message and its token.
pub fn draw(dice: &mut Dice, value: &Value, number: u64, unit: TextUnit) -> (Edit, Intent) {
    let mut intent = Intent::default();
    let mut ops = Vec::new();
    let Value::Map(root) = value else { panic!("a document's root is a map, not {value:?}") };
    match (root.get("text"), root.get("list"), root.get("map"), root.get("count")) {
        (Some(Value::Text(text)), Some(Value::List(list)), Some(Value::Map(map)), Some(Value::Counter(_))) => {
            draw_in_place(dice, (text, list, map), number, unit, &mut ops, &mut intent);
        }
        _ => {
            intent.noted.insert(number);
            ops.push(Op::Put { path: key(&note_key(number)), value: Value::Int(number as i64) });
        }
    }
    (Edit { ops, message: Some(message(number)) }, intent)
}

fn draw_in_place(
    dice: &mut Dice,
    (text, list, map): (&str, &[Value], &BTreeMap<String, Value>),
    number: u64,
    unit: TextUnit,
    ops: &mut Vec<Op>,
    intent: &mut Intent,
) {
    let tokens = tokens(text).unwrap_or_else(|why| panic!("S5: {why}"));
    match dice.below(KINDS) {
        0..=2 => {
            let at = if dice.percent(50) { tokens.len() } else { dice.index(tokens.len() + 1) };
            ops.push(splice(position(text, at, unit), 0, token(number)));
            intent.inserted.insert(number);
        }
        3 if !tokens.is_empty() => {
            let gone = dice.index(tokens.len());
            // Half of them replace: the deletion and the insertion are one change.
            let insert = if dice.percent(50) {
                intent.inserted.insert(number);
                token(number)
            } else {
                String::new()
            };
            ops.push(splice(position(text, gone, unit), text_length(&token(tokens[gone]), unit), insert));
            intent.deleted.insert(tokens[gone]);
        }
        4 => {
            let at = dice.index(list.len() + 1);
            ops.push(Op::Insert { path: within("list", Prop::Index(at)), values: vec![Value::Int(number as i64)] });
            intent.listed.insert(number);
        }
        5 if !list.is_empty() => {
            let at = dice.index(list.len());
            ops.push(Op::Delete { path: within("list", Prop::Index(at)), length: 1 });
            if let Value::Int(token) = list[at] {
                intent.unlisted.insert(token as u64);
            }
        }
        6 => {
            let nested = BTreeMap::from([
                ("who".to_owned(), Value::String(format!("e{number}"))),
                ("said".to_owned(), Value::Text(format!("näher 🛟 {number}"))),
                ("and".to_owned(), Value::List(vec![Value::Bool(true), Value::Null, Value::Float(0.5)])),
            ]);
            let value = if dice.percent(30) { Value::Map(nested) } else { Value::Int(number as i64) };
            ops.push(Op::Put { path: within("map", Prop::Key(format!("m{}", dice.below(4)))), value });
        }
        7 if !map.is_empty() => {
            let keys: Vec<_> = map.keys().collect();
            ops.push(Op::Delete { path: within("map", Prop::Key((*dice.pick(&keys)).clone())), length: 1 });
        }
        8 => {
            let by = if dice.percent(30) { -(dice.between(1, 3) as i64) } else { dice.between(1, 9) as i64 };
            ops.push(Op::Increment { path: key("count"), by });
            intent.counted += by;
        }
        9 if !tokens.is_empty() => {
            let start = position(text, dice.index(tokens.len()), unit);
            let end = text_length(text, unit);
            ops.push(Op::Mark {
                path: key("text"),
                start,
                end,
                name: "comment".into(),
                value: Value::Int(number as i64),
                expand: Expand::After,
            });
        }
        _ => {
            intent.noted.insert(number);
            ops.push(Op::Put { path: key(&note_key(number)), value: Value::Int(number as i64) });
        }
    }
}

/// The message of edit `number`.
pub fn message(number: u64) -> String {
    format!("e{number}")
}

/// The number of the edit a message names.
pub fn number_of(message: &str) -> Option<u64> {
    message.strip_prefix('e')?.parse().ok()
}

/// The key that only edit `number` sets.
pub fn note_key(number: u64) -> String {
    format!("n{number}")
}

/// A token as it stands in a text. Its letter is outside the basic plane, so that counting in the wrong unit shows.
pub fn token(number: u64) -> String {
    format!("<{number}😀>")
}

/// The tokens of a text, or why it is no row of whole tokens.
pub fn tokens(text: &str) -> Result<Vec<u64>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find('>').ok_or_else(|| format!("a token is cut off in {text:?}"))?;
        let number = rest[..end].strip_prefix('<').and_then(|inner| inner.strip_suffix('😀')).and_then(|n| n.parse().ok());
        found.push(number.ok_or_else(|| format!("{:?} is no token in {text:?}", &rest[..=end]))?);
        rest = &rest[end + 1..];
    }
    Ok(found)
}

/// Where token number `at` of a text begins, or where the text ends.
fn position(text: &str, at: usize, unit: TextUnit) -> usize {
    let byte = text.match_indices('<').nth(at).map_or(text.len(), |(byte, _)| byte);
    text_length(&text[..byte], unit)
}

fn splice(index: usize, delete: usize, insert: String) -> Op {
    Op::Splice { path: key("text"), index, delete, insert }
}

/// A key of the root.
pub fn key(name: &str) -> Path {
    vec![Prop::Key(name.to_owned())]
}

fn within(name: &str, last: Prop) -> Path {
    vec![Prop::Key(name.to_owned()), last]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_whole_tokens_reads_back_and_anything_else_is_refused() {
        assert_eq!(tokens(&(token(1) + &token(23))), Ok(vec![1, 23]));
        assert!(tokens("<1😀><2").is_err() && tokens("<1<2😀>😀>").is_err() && tokens("x").is_err());
    }

    #[test]
    fn a_position_is_counted_in_the_readers_unit() {
        let text = token(1) + &token(2);
        assert_eq!(position(&text, 1, TextUnit::CodePoint), 4);
        assert_eq!(position(&text, 1, TextUnit::Utf16), 5);
        assert_eq!(position(&text, 2, TextUnit::CodePoint), 8);
    }
}
