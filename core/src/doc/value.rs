//! Plain values: what a document looks like to an app.

use super::edit::OPERATION_BYTES;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use super::path::{IntoPath, Path, Prop};

/// A value in a document.
///
/// In JSON: null, booleans, numbers, strings (collaborative text), objects and arrays are themselves. What JSON has no
/// word for is an object with one key: `{"$string": "…"}` text that is replaced as a whole, `{"$counter": n}`,
/// `{"$timestamp": ms}`, `{"$bytes": "base64"}`, `{"$uint": n}` for integers that are never negative, `{"$float": "NaN"}`
/// (or `"Infinity"`, `"-Infinity"`), and `{"$map": {…}}` around a map that would be mistaken for one of these. A number
/// that JSON writes without a fraction is a whole number. Every value reads back from its JSON as it was.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above `i64::MAX`.
    Uint(u64),
    /// A number with a fraction.
    Float(f64),
    /// Collaborative text: concurrent edits of it merge letter by letter.
    Text(String),
    /// Text that is replaced as a whole.
    String(String),
    /// Bytes, replaced as a whole.
    Bytes(Vec<u8>),
    /// Milliseconds since the Unix epoch.
    Timestamp(i64),
    /// A number whose concurrent increments add up.
    Counter(i64),
    /// Keys and values.
    Map(BTreeMap<String, Value>),
    /// Values in order.
    List(Vec<Value>),
}

/// How positions in text are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextUnit {
    /// Unicode code points: native programs.
    CodePoint,
    /// UTF-16 code units: JavaScript.
    Utf16,
}

impl TextUnit {
    /// How long `text` is.
    pub fn length(self, text: &str) -> usize {
        match self {
            Self::CodePoint => text.chars().count(),
            Self::Utf16 => text.encode_utf16().count(),
        }
    }

    /// The byte of `text` at `position`, which may be its end; nothing beyond it, and nothing between the halves of a
    /// surrogate pair.
    pub fn byte_at(self, text: &str, position: usize) -> Option<usize> {
        let mut at = 0;
        for (byte, letter) in text.char_indices() {
            if at >= position {
                return (at == position).then_some(byte);
            }
            at += match self {
                Self::CodePoint => 1,
                Self::Utf16 => letter.len_utf16(),
            };
        }
        (at == position).then_some(text.len())
    }
}

impl Value {
    /// A map of these keys and values.
    pub fn map<K: Into<String>, V: Into<Self>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }

    /// A list of these values.
    pub fn list<V: Into<Self>>(values: impl IntoIterator<Item = V>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }

    /// The empty document.
    pub fn empty() -> Self {
        Self::Map(BTreeMap::new())
    }

    /// The value at `path` in this one; letters of a text have no place of their own.
    pub fn at(&self, path: impl IntoPath) -> Option<&Self> {
        path.into_path().iter().try_fold(self, |value, prop| match (value, prop) {
            (Self::Map(map), Prop::Key(key)) => map.get(key),
            (Self::List(list), Prop::Index(index)) => list.get(*index),
            _ => None,
        })
    }

    /// The text, when it is one, of either kind.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, when it is one; a counter and a timestamp are.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) | Self::Timestamp(value) | Self::Counter(value) => Some(*value),
            Self::Uint(value) => i64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The keys and values, when it is a map.
    pub fn as_map(&self) -> Option<&BTreeMap<String, Self>> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The values, when it is a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// How deep it nests: a scalar not at all, a text or an empty map once.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Text(_) => 1,
            Self::Map(map) => 1 + map.values().map(Self::depth).max().unwrap_or(0),
            Self::List(list) => 1 + list.iter().map(Self::depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// About how many bytes a change that writes it has, never too few: for bounds.
    pub(super) fn weight(&self) -> usize {
        OPERATION_BYTES
            + match self {
                Self::Null | Self::Bool(_) | Self::Int(_) | Self::Uint(_) | Self::Float(_) => 0,
                Self::Timestamp(_) | Self::Counter(_) => 0,
                Self::Text(text) => text_weight(text),
                Self::String(text) => text.len(),
                Self::Bytes(bytes) => bytes.len(),
                Self::Map(map) => map.iter().map(|(key, value)| key.len() + value.weight()).sum(),
                Self::List(list) => list.iter().map(Self::weight).sum(),
            }
    }

    /// The value as JSON, with the one-key objects described above.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::{Value as Json, json};
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => json!(value),
            Self::Uint(value) => json!({ "$uint": value }),
            Self::Float(value) if value.is_finite() => json!(value),
            Self::Float(value) if value.is_nan() => json!({ "$float": "NaN" }),
            Self::Float(value) => json!({ "$float": if *value > 0.0 { "Infinity" } else { "-Infinity" } }),
            Self::Text(text) => json!(text),
            Self::String(text) => json!({ "$string": text }),
            Self::Bytes(bytes) => json!({ "$bytes": BASE64.encode(bytes) }),
            Self::Timestamp(ms) => json!({ "$timestamp": ms }),
            Self::Counter(value) => json!({ "$counter": value }),
            Self::Map(map) => {
                let json = Json::Object(map.iter().map(|(key, value)| (key.clone(), value.to_json())).collect());
                match map.first_key_value() {
                    Some((key, _)) if map.len() == 1 && WORDS.contains(&key.as_str()) => json!({ "$map": json }),
                    _ => json,
                }
            }
            Self::List(list) => Json::Array(list.iter().map(Self::to_json).collect()),
        }
    }

    /// The value that JSON stands for.
    ///
    /// # Errors
    ///
    /// A one-key object that says it is one of those above and is not.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, &'static str> {
        use serde_json::Value as Json;
        Ok(match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Self::Int(value),
                (None, Some(value)) => Self::Uint(value),
                (None, None) => Self::Float(number.as_f64().ok_or("a number is out of range")?),
            },
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(list) => Self::List(list.iter().map(Self::from_json).collect::<Result<_, _>>()?),
            Json::Object(map) => match map.iter().next() {
                Some((key, inner)) if map.len() == 1 && WORDS.contains(&key.as_str()) => Self::from_tagged(key, inner)?,
                _ => Self::map_from_json(map)?,
            },
        })
    }

    fn map_from_json(map: &serde_json::Map<String, serde_json::Value>) -> Result<Self, &'static str> {
        let entries = map.iter().map(|(key, value)| Ok((key.clone(), Self::from_json(value)?)));
        entries.collect::<Result<_, &'static str>>().map(Self::Map)
    }

    fn from_tagged(key: &str, inner: &serde_json::Value) -> Result<Self, &'static str> {
        let whole = || inner.as_i64().ok_or("a whole number is expected");
        let text = || inner.as_str().ok_or("a string is expected");
        Ok(match key {
            "$uint" => Self::Uint(inner.as_u64().ok_or("a whole number that is not negative is expected")?),
            "$string" => Self::String(text()?.to_owned()),
            "$bytes" => Self::Bytes(BASE64.decode(text()?).map_err(|_| "bytes are not base64")?),
            "$timestamp" => Self::Timestamp(whole()?),
            "$counter" => Self::Counter(whole()?),
            "$float" => Self::Float(match text()? {
                "NaN" => f64::NAN,
                "Infinity" => f64::INFINITY,
                "-Infinity" => f64::NEG_INFINITY,
                _ => return Err("$float is NaN, Infinity or -Infinity"),
            }),
            _ => Self::map_from_json(inner.as_object().ok_or("an object is expected in $map")?)?,
        })
    }
}

/// The keys that, alone in an object, say what a value is.
const WORDS: [&str; 7] = ["$bytes", "$counter", "$float", "$map", "$string", "$timestamp", "$uint"];

/// About how many bytes inserting `text` takes in a change, never too few: its letters, and the length of each.
pub(super) fn text_weight(text: &str) -> usize {
    3 * text.len()
}

/// A plain Rust value as a document's.
macro_rules! value_from {
    ($($from:ty, $name:ident => $to:expr;)+) => {
        $(impl From<$from> for Value {
            fn from($name: $from) -> Self {
                $to
            }
        })+
    };
}

value_from! {
    (), _nothing => Self::Null;
    bool, value => Self::Bool(value);
    i32, value => Self::Int(value.into());
    i64, value => Self::Int(value);
    u32, value => Self::Int(value.into());
    f64, value => Self::Float(value);
    &str, text => Self::Text(text.to_owned());
    String, text => Self::Text(text);
    Vec<Value>, list => Self::List(list);
    BTreeMap<String, Value>, map => Self::Map(map);
}

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(&serde_json::Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc::chance::dice;
    use proptest::prelude::*;
    use serde_json::json;

    fn again(value: &Value) -> Value {
        serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn a_value_reads_back_from_its_json(mut dice in dice(60), float: f64, whole: i64) {
            for value in [dice.value(4), Value::Float(float), Value::Int(whole), Value::Counter(whole)] {
                prop_assert_eq!(&again(&value), &value);
            }
        }

        #[test]
        fn positions_are_counted_in_both_units(text: String) {
            let units: Vec<u16> = text.encode_utf16().collect();
            prop_assert_eq!(TextUnit::Utf16.length(&text), units.len());
            for at in 0..=units.len() + 1 {
                let byte = units.get(..at).and_then(|before| String::from_utf16(before).ok()).map(|before| before.len());
                prop_assert_eq!(TextUnit::Utf16.byte_at(&text, at), byte);
            }
            for (at, (byte, _)) in text.char_indices().enumerate() {
                prop_assert_eq!(TextUnit::CodePoint.byte_at(&text, at), Some(byte));
            }
        }
    }

    #[test]
    fn what_json_has_no_word_for_is_an_object_with_one_key() {
        let value = Value::map([
            ("bytes", Value::Bytes(vec![1, 2])),
            ("counter", Value::Counter(3)),
            ("string", Value::String("s".to_owned())),
            ("text", Value::from("t")),
            ("time", Value::Timestamp(5)),
            ("uint", Value::Uint(6)),
        ]);
        let json = json!({ "bytes": { "$bytes": "AQI=" }, "counter": { "$counter": 3 }, "string": { "$string": "s" },
            "text": "t", "time": { "$timestamp": 5 }, "uint": { "$uint": 6 } });
        assert_eq!(value.to_json(), json);
        for value in [value, Value::Float(f64::INFINITY), Value::Float(f64::NEG_INFINITY), Value::Float(1.0), Value::Float(-0.0)]
        {
            assert_eq!(again(&value), value);
        }
        assert!(matches!(again(&Value::Float(f64::NAN)), Value::Float(value) if value.is_nan()));
    }

    #[test]
    fn a_map_that_looks_like_something_else_is_still_a_map() {
        for key in WORDS {
            let value = Value::map([(key, Value::map([(key, 1)]))]);
            assert_eq!(again(&value), value);
        }
        assert_eq!(Value::from_json(&json!({ "$ref": 1 })), Ok(Value::map([("$ref", 1)])));
        assert_eq!(Value::from_json(&json!({ "$counter": 1, "b": 2 })), Ok(Value::map([("$counter", 1), ("b", 2)])));
        assert!(Value::from_json(&json!({ "$counter": "x" })).is_err());
        assert!(Value::from_json(&json!({ "$bytes": "?" })).is_err());
    }
}
