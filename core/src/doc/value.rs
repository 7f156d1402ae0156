//! Plain values: what a document looks like to an app.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A value in a document.
///
/// In JSON: null, booleans, numbers, strings (collaborative text), objects and arrays are themselves. What JSON has no
/// word for is an object with one key: `{"$string": "…"}` text that is replaced as a whole, `{"$counter": n}`,
/// `{"$timestamp": ms}`, `{"$bytes": "base64"}`, `{"$uint": n}` for integers above 2^63.
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

/// One step of a path into a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Prop {
    /// A key of a map.
    Key(String),
    /// An index into a list or text, in the document's text unit (code points natively, UTF-16 units in a browser).
    Index(usize),
}

/// Where in a document: the root is the empty path.
pub type Path = Vec<Prop>;

impl Value {
    /// The value as JSON, with the one-key objects described above.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::{Value as Json, json};
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => json!(value),
            Self::Uint(value) => json!({ "$uint": value }),
            Self::Float(value) => json!(value),
            Self::Text(text) => json!(text),
            Self::String(text) => json!({ "$string": text }),
            Self::Bytes(bytes) => json!({ "$bytes": BASE64.encode(bytes) }),
            Self::Timestamp(ms) => json!({ "$timestamp": ms }),
            Self::Counter(value) => json!({ "$counter": value }),
            Self::Map(map) => Json::Object(map.iter().map(|(key, value)| (key.clone(), value.to_json())).collect()),
            Self::List(list) => Json::Array(list.iter().map(Self::to_json).collect()),
        }
    }

    /// The value that JSON stands for.
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
            Json::Object(map) => match map.iter().next().filter(|(key, _)| map.len() == 1 && key.starts_with('$')) {
                Some((key, inner)) => Self::from_tagged(key, inner)?,
                None => Self::Map(
                    map.iter()
                        .map(|(key, value)| Self::from_json(value).map(|value| (key.clone(), value)))
                        .collect::<Result<_, _>>()?,
                ),
            },
        })
    }

    fn from_tagged(key: &str, inner: &serde_json::Value) -> Result<Self, &'static str> {
        let whole = || inner.as_i64().ok_or("a whole number is expected");
        Ok(match key {
            "$uint" => Self::Uint(inner.as_u64().ok_or("a whole number is expected")?),
            "$string" => Self::String(inner.as_str().ok_or("a string is expected")?.to_owned()),
            "$bytes" => {
                let text = inner.as_str().ok_or("base64 text is expected")?;
                Self::Bytes(BASE64.decode(text).map_err(|_| "bytes are not base64")?)
            }
            "$timestamp" => Self::Timestamp(whole()?),
            "$counter" => Self::Counter(whole()?),
            _ => return Err("a key that begins with $ is not a value's"),
        })
    }
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
