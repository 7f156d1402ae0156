//! CBOR as automerge-repo's clients write it, read within bounds.
//!
//! They write map lengths in sixteen bits, numbers as floats, `undefined`, tags and items of indefinite length. All of that is
//! read; how deep and how many items is bounded before anything is kept.

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use serde_json::Value as Json;

/// How deep lists and maps may be nested: what reads them calls itself.
const DEPTH_MAX: usize = 16;
/// Most items, keys included.
const ITEMS_MAX: usize = 65_536;

/// A value. Byte strings are borrowed where they are in one piece.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing: `null`, `undefined` and what this program has no word for.
    Nothing,
    /// A truth value.
    Bool(bool),
    /// Any number.
    Number(f64),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A map with texts as keys, in the order written; entries with other keys are left out.
    Map(Vec<(String, Value)>),
}

/// Why bytes are not a value, in a few words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is not the CBOR that is understood here: {0}")]
pub(super) struct CborError(String);

impl Value {
    /// The one value that `bytes` are.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut reader = Reader { decoder: Decoder::new(bytes), items: 0 };
        let value = reader.value(0)?;
        if reader.decoder.position() < bytes.len() {
            return Err(CborError("something follows the value".to_owned()));
        }
        Ok(value)
    }

    /// The bytes of it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new());
        write(self, &mut encoder);
        encoder.into_writer()
    }

    /// What stands at `key` of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value).filter(|value| **value != Self::Nothing)
    }

    /// It as a text.
    pub(super) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// It as a list of texts; what is not a text is left out.
    pub(super) fn as_texts(&self) -> Vec<String> {
        let Self::List(list) = self else { return Vec::new() };
        list.iter().filter_map(|value| value.as_text().map(str::to_owned)).collect()
    }
}

impl Value {
    /// It as JSON; bytes have no word in it.
    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Nothing | Self::Bytes(_) => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => Json::from(*number as i64),
            Self::Number(number) => Json::from(*number),
            Self::Text(text) => Json::String(text.clone()),
            Self::List(list) => Json::Array(list.iter().map(Self::to_json).collect()),
            Self::Map(entries) => Json::Object(entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect()),
        }
    }

    /// The value that JSON stands for.
    pub(super) fn from_json(json: &Json) -> Self {
        match json {
            Json::Null => Self::Nothing,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => number.as_f64().map_or(Self::Nothing, Self::Number),
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(list) => Self::List(list.iter().map(Self::from_json).collect()),
            Json::Object(entries) => {
                Self::Map(entries.iter().map(|(key, value)| (key.clone(), Self::from_json(value))).collect())
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

struct Reader<'a> {
    decoder: Decoder<'a>,
    items: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, CborError> {
        self.items += 1;
        if self.items > ITEMS_MAX || depth > DEPTH_MAX {
            return Err(CborError("it has too many items, or nests them too deep".to_owned()));
        }
        let mut kind = self.decoder.datatype().map_err(wrong)?;
        // A tag says what the next item is meant as; what it is can be seen. Each takes its bytes, so this ends.
        while kind == Type::Tag {
            self.decoder.tag().map_err(wrong)?;
            kind = self.decoder.datatype().map_err(wrong)?;
        }
        Ok(match kind {
            Type::Bool => Value::Bool(self.decoder.bool().map_err(wrong)?),
            Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
                Value::Number(i128::from(self.decoder.int().map_err(wrong)?) as f64)
            }
            Type::F32 => Value::Number(self.decoder.f32().map_err(wrong)?.into()),
            Type::F64 => Value::Number(self.decoder.f64().map_err(wrong)?),
            Type::Bytes | Type::BytesIndef => {
                let mut bytes = Vec::new();
                for piece in self.decoder.bytes_iter().map_err(wrong)? {
                    bytes.extend_from_slice(piece.map_err(wrong)?);
                }
                Value::Bytes(bytes)
            }
            Type::String | Type::StringIndef => {
                let mut text = String::new();
                for piece in self.decoder.str_iter().map_err(wrong)? {
                    text.push_str(piece.map_err(wrong)?);
                }
                Value::Text(text)
            }
            Type::Array | Type::ArrayIndef => {
                let count = self.decoder.array().map_err(wrong)?;
                let mut list = Vec::new();
                while self.goes_on(count, list.len())? {
                    list.push(self.value(depth + 1)?);
                }
                Value::List(list)
            }
            Type::Map | Type::MapIndef => {
                let count = self.decoder.map().map_err(wrong)?;
                let (mut entries, mut read) = (Vec::new(), 0);
                while self.goes_on(count, read)? {
                    let (key, value) = (self.value(depth + 1)?, self.value(depth + 1)?);
                    read += 1;
                    if let Value::Text(key) = key {
                        entries.push((key, value));
                    }
                }
                Value::Map(entries)
            }
            _ => {
                self.decoder.skip().map_err(wrong)?;
                Value::Nothing
            }
        })
    }

    /// Whether another item follows, of so many or until a break.
    fn goes_on(&mut self, count: Option<u64>, read: usize) -> Result<bool, CborError> {
        match count {
            Some(count) => Ok((read as u64) < count),
            None if self.decoder.datatype().map_err(wrong)? == Type::Break => {
                self.decoder.set_position(self.decoder.position() + 1);
                Ok(false)
            }
            None => Ok(true),
        }
    }
}

fn wrong(error: minicbor::decode::Error) -> CborError {
    CborError(error.to_string())
}

/// Writes to memory, which cannot fail.
fn write(value: &Value, encoder: &mut Encoder<Vec<u8>>) {
    let written = match value {
        Value::Nothing => encoder.null().map(|_| ()),
        Value::Bool(value) => encoder.bool(*value).map(|_| ()),
        // Their reader makes a BigInt of an integer that needs more than 32 bits, which is not what they mean.
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 2e9 => encoder.i64(*number as i64).map(|_| ()),
        Value::Number(number) => encoder.f64(*number).map(|_| ()),
        Value::Bytes(bytes) => encoder.bytes(bytes).map(|_| ()),
        Value::Text(text) => encoder.str(text).map(|_| ()),
        Value::List(list) => encoder.array(list.len() as u64).map(|encoder| {
            for value in list {
                write(value, encoder);
            }
        }),
        Value::Map(entries) => encoder.map(entries.len() as u64).map(|encoder| {
            for (key, value) in entries {
                write(&Value::Text(key.clone()), encoder);
                write(value, encoder);
            }
        }),
    };
    debug_assert!(written.is_ok(), "memory takes what is written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_their_clients_write_is_read() {
        // A map of sixteen bits of length, a float for an integer, undefined, a tagged byte string and one in pieces.
        let mut bytes = vec![0xb9, 0x00, 0x04];
        bytes.extend([0x65, b'c', b'o', b'u', b'n', b't', 0xfb]);
        bytes.extend(3.0f64.to_be_bytes());
        bytes.extend([0x61, b'u', 0xf7]);
        bytes.extend([0x61, b't', 0xd8, 0x40, 0x42, 1, 2]);
        bytes.extend([0x61, b'p', 0x5f, 0x41, 1, 0x41, 2, 0xff]);
        let value = Value::decode(&bytes).unwrap();
        assert_eq!(value.get("count"), Some(&Value::Number(3.0)));
        assert_eq!(value.get("u"), None);
        assert_eq!(value.get("t"), Some(&Value::Bytes(vec![1, 2])));
        assert_eq!(value.get("p"), Some(&Value::Bytes(vec![1, 2])));
        // Lists and maps of indefinite length, within one another.
        let value = Value::decode(&[0xbf, 0x61, b'a', 0x9f, 1, 0x9f, 0xff, 0xff, 0xff]).unwrap();
        assert_eq!(value.get("a"), Some(&Value::List(vec![Value::Number(1.0), Value::List(Vec::new())])));
    }

    #[test]
    fn nesting_and_lengths_without_end_are_refused() {
        assert!(Value::decode(&[0x81; 1_000_000]).is_err());
        assert!(Value::decode(&[0x9f; 1_000_000]).is_err());
        assert!(Value::decode(&[0xa1; 1_000_000]).is_err());
        assert!(Value::decode(&[0xc0; 1_000_000]).is_err());
        assert!(Value::decode(&[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(Value::decode(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]).is_err());
        assert!(Value::decode(&[0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]).is_err());
        let mut wide = vec![0x9a, 0, 1, 0x00, 0x01];
        wide.extend([0; 65_537]);
        assert!(Value::decode(&wide).is_err());
        assert!(Value::decode(&[]).is_err());
        assert!(Value::decode(&[1, 1]).is_err());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let value = Value::Map(vec![
            ("a".to_owned(), Value::List(vec![Value::Number(-3.0), Value::Number(0.5), Value::Bool(true)])),
            ("b".to_owned(), Value::Bytes(vec![0; 300])),
            ("c".to_owned(), Value::Map(vec![("d".to_owned(), "e".into())])),
        ]);
        assert_eq!(Value::decode(&value.encode()), Ok(value));
    }
}
