//! Automerge's types and ours: ids, values, patches.
//!
//! A document may have been written by any program that speaks Automerge. What our values have no word for is shown as
//! the nearest thing: a value of a later version of Automerge as its bytes, a block inside a text (a map that stands
//! where a letter would) as U+FFFC and nothing of what is in it.

use super::patch::Patch;
use super::path::{Path, Prop};
use super::value::{TextUnit, Value};
use crate::base::id::ChangeHash;
use automerge::transaction::Transactable;
use automerge::{AutomergeError, ObjId, ObjType, PatchAction, ROOT, ReadDoc, ScalarValue, TextEncoding, ValueRef};
use std::collections::BTreeMap;

/// What stands in a text where something is that is not text.
const BLOCK: &str = "\u{fffc}";

/// The hashes as Automerge has them.
pub(super) fn to_hashes(heads: &[ChangeHash]) -> Vec<automerge::ChangeHash> {
    heads.iter().map(|hash| automerge::ChangeHash(hash.0)).collect()
}

/// The hashes as we have them, in order.
pub(super) fn from_hashes(heads: &[automerge::ChangeHash]) -> Vec<ChangeHash> {
    let mut heads: Vec<_> = heads.iter().map(|hash| ChangeHash(hash.0)).collect();
    heads.sort_unstable();
    heads
}

/// How Automerge calls the unit.
pub(super) fn to_encoding(unit: TextUnit) -> TextEncoding {
    match unit {
        TextUnit::CodePoint => TextEncoding::UnicodeCodePoint,
        TextUnit::Utf16 => TextEncoding::Utf16CodeUnit,
    }
}

/// The scalar that `value` is; nothing when it is a text, a map or a list.
pub(super) fn to_scalar(value: &Value) -> Option<ScalarValue> {
    Some(match value {
        Value::Null => ScalarValue::Null,
        Value::Bool(value) => ScalarValue::Boolean(*value),
        Value::Int(value) => ScalarValue::Int(*value),
        Value::Uint(value) => ScalarValue::Uint(*value),
        Value::Float(value) => ScalarValue::F64(*value),
        Value::String(text) => ScalarValue::Str(text.as_str().into()),
        Value::Bytes(bytes) => ScalarValue::Bytes(bytes.clone()),
        Value::Timestamp(ms) => ScalarValue::Timestamp(*ms),
        Value::Counter(value) => ScalarValue::counter(*value),
        Value::Text(_) | Value::Map(_) | Value::List(_) => return None,
    })
}

/// The kind of object that `value` is; nothing when it is a scalar.
pub(super) fn to_kind(value: &Value) -> Option<ObjType> {
    match value {
        Value::Text(_) => Some(ObjType::Text),
        Value::Map(_) => Some(ObjType::Map),
        Value::List(_) => Some(ObjType::List),
        _ => None,
    }
}

/// Puts `value` at a key or index of `object`, and all that is in it.
pub(super) fn put<T: Transactable>(
    tx: &mut T,
    object: &ObjId,
    prop: automerge::Prop,
    value: &Value,
) -> Result<(), AutomergeError> {
    match (to_kind(value), to_scalar(value)) {
        (Some(kind), _) => {
            let made = tx.put_object(object, prop, kind)?;
            fill(tx, &made, value)
        }
        (None, Some(scalar)) => tx.put(object, prop, scalar),
        (None, None) => unreachable!("a value is an object or a scalar"),
    }
}

/// Inserts `values` into the list `object`, and all that is in them.
pub(super) fn insert<T: Transactable>(tx: &mut T, object: &ObjId, index: usize, values: &[Value]) -> Result<(), AutomergeError> {
    let scalars: Option<Vec<ScalarValue>> = values.iter().map(to_scalar).collect();
    if let Some(scalars) = scalars {
        return tx.splice(object, index, 0, scalars);
    }
    for (index, value) in (index..).zip(values) {
        match (to_kind(value), to_scalar(value)) {
            (Some(kind), _) => {
                let made = tx.insert_object(object, index, kind)?;
                fill(tx, &made, value)?;
            }
            (None, Some(scalar)) => tx.insert(object, index, scalar)?,
            (None, None) => unreachable!("a value is an object or a scalar"),
        }
    }
    Ok(())
}

/// Fills an object that was just made with what is in `value`.
fn fill<T: Transactable>(tx: &mut T, object: &ObjId, value: &Value) -> Result<(), AutomergeError> {
    match value {
        Value::Text(text) => tx.splice_text(object, 0, 0, text),
        Value::List(list) => insert(tx, object, 0, list),
        Value::Map(map) => map.iter().try_for_each(|(key, value)| put(tx, object, automerge::Prop::Map(key.clone()), value)),
        _ => Ok(()),
    }
}

/// Our value of a scalar.
pub(super) fn from_scalar(scalar: &ScalarValue) -> Value {
    match scalar {
        ScalarValue::Null => Value::Null,
        ScalarValue::Boolean(value) => Value::Bool(*value),
        ScalarValue::Int(value) => Value::Int(*value),
        ScalarValue::Uint(value) => Value::Uint(*value),
        ScalarValue::F64(value) => Value::Float(*value),
        ScalarValue::Str(text) => Value::String(text.to_string()),
        ScalarValue::Bytes(bytes) | ScalarValue::Unknown { bytes, .. } => Value::Bytes(bytes.clone()),
        ScalarValue::Timestamp(ms) => Value::Timestamp(*ms),
        ScalarValue::Counter(counter) => Value::Counter(counter.into()),
    }
}

/// Where something is: an object, or a value in one.
pub(super) enum Found {
    /// An object and its kind.
    Object(ObjId, ObjType),
    /// A scalar.
    Scalar(Value),
}

/// What is at `path`, now or at these heads.
pub(super) fn find<R: ReadDoc>(doc: &R, heads: Option<&[automerge::ChangeHash]>, path: &[Prop]) -> Option<Found> {
    let mut found = Found::Object(ROOT, ObjType::Map);
    for prop in path {
        let Found::Object(object, _) = found else { return None };
        let prop = to_prop(prop);
        let (value, id) = match heads {
            None => doc.get(&object, prop),
            Some(heads) => doc.get_at(&object, prop, heads),
        }
        .ok()
        .flatten()?;
        found = match value {
            automerge::Value::Object(kind) => Found::Object(id, kind),
            automerge::Value::Scalar(scalar) => Found::Scalar(from_scalar(&scalar)),
        };
    }
    Some(found)
}

/// The whole value of what was found, now or at these heads.
///
/// It calls itself as deep as the document nests, which is bounded before a change is taken in.
pub(super) fn read<R: ReadDoc>(doc: &R, heads: Option<&[automerge::ChangeHash]>, found: Found) -> Value {
    let (object, kind) = match found {
        Found::Scalar(value) => return value,
        Found::Object(object, kind) => (object, kind),
    };
    let inner = |value: ValueRef<'_>, id: &dyn Fn() -> ObjId| match value {
        ValueRef::Object(kind) => read(doc, heads, Found::Object(id(), kind)),
        ValueRef::Scalar(scalar) => from_scalar(&ScalarValue::from(scalar)),
    };
    match kind {
        ObjType::Text => {
            let text = match heads {
                None => doc.text(&object),
                Some(heads) => doc.text_at(&object, heads),
            };
            Value::Text(text.unwrap_or_default())
        }
        ObjType::List => {
            let items = match heads {
                None => doc.list_range(&object, ..),
                Some(heads) => doc.list_range_at(&object, .., heads),
            };
            Value::List(items.map(|item| inner(item.value.clone(), &|| item.id())).collect())
        }
        ObjType::Map | ObjType::Table => {
            let items = match heads {
                None => doc.map_range(&object, ..),
                Some(heads) => doc.map_range_at(&object, .., heads),
            };
            let entries = items.map(|item| (item.key.to_string(), inner(item.value.clone(), &|| item.id())));
            Value::Map(entries.collect::<BTreeMap<_, _>>())
        }
    }
}

/// A step as Automerge has it.
pub(super) fn to_prop(prop: &Prop) -> automerge::Prop {
    match prop {
        Prop::Key(key) => automerge::Prop::Map(key.clone()),
        Prop::Index(index) => automerge::Prop::Seq(*index),
    }
}

fn from_prop(prop: &automerge::Prop) -> Prop {
    match prop {
        automerge::Prop::Map(key) => Prop::Key(key.clone()),
        automerge::Prop::Seq(index) => Prop::Index(*index),
    }
}

/// The value that a patch of Automerge's puts: an object comes empty.
fn from_put(value: &automerge::Value<'_>) -> Value {
    match value {
        automerge::Value::Object(ObjType::Map | ObjType::Table) => Value::empty(),
        automerge::Value::Object(ObjType::List) => Value::List(Vec::new()),
        automerge::Value::Object(ObjType::Text) => Value::Text(String::new()),
        automerge::Value::Scalar(scalar) => from_scalar(scalar),
    }
}

/// What a value that stands in a text reads as.
fn letters(value: &automerge::Value<'_>) -> String {
    value.as_str().unwrap_or(BLOCK).to_owned()
}

/// Automerge's patches as ours.
pub(super) fn from_patches<R: ReadDoc>(doc: &R, unit: TextUnit, patches: Vec<automerge::Patch>) -> Vec<Patch> {
    let mut ours = Vec::with_capacity(patches.len());
    for patch in patches {
        let is_text = |object: &ObjId| matches!(doc.object_type(object), Ok(ObjType::Text));
        if patch.path.iter().any(|(parent, prop)| matches!(prop, automerge::Prop::Seq(_)) && is_text(parent)) {
            continue; // inside a block of a text
        }
        let path: Path = patch.path.iter().map(|(_, prop)| from_prop(prop)).collect();
        let below = |prop: Prop| path.iter().cloned().chain([prop]).collect::<Path>();
        match patch.action {
            PatchAction::PutMap { key, value, .. } => {
                ours.push(Patch::Put { path: below(Prop::Key(key)), value: from_put(&value.0) });
            }
            PatchAction::PutSeq { index, value, .. } if is_text(&patch.obj) => {
                ours.push(Patch::Delete { path: below(Prop::Index(index)), length: 1 });
                ours.push(Patch::Splice { path: below(Prop::Index(index)), insert: letters(&value.0) });
            }
            PatchAction::PutSeq { index, value, .. } => {
                ours.push(Patch::Put { path: below(Prop::Index(index)), value: from_put(&value.0) });
            }
            PatchAction::Insert { index, values } if is_text(&patch.obj) => {
                let insert = values.iter().map(|(value, _, _)| letters(value)).collect();
                ours.push(Patch::Splice { path: below(Prop::Index(index)), insert });
            }
            PatchAction::Insert { index, values } => {
                let values = values.iter().map(|(value, _, _)| from_put(value)).collect();
                ours.push(Patch::Insert { path: below(Prop::Index(index)), values });
            }
            PatchAction::SpliceText { index, value, marks } => {
                let insert = value.make_string();
                let end = index + unit.length(&insert);
                ours.push(Patch::Splice { path: below(Prop::Index(index)), insert });
                for (name, value) in marks.iter().flat_map(|marks| marks.iter()) {
                    let (name, value) = (name.to_owned(), from_scalar(value));
                    ours.push(Patch::Mark { path: path.clone(), start: index, end, name, value });
                }
            }
            PatchAction::Increment { prop, value } => {
                ours.push(Patch::Increment { path: below(from_prop(&prop)), by: value });
            }
            PatchAction::DeleteMap { key } => ours.push(Patch::Delete { path: below(Prop::Key(key)), length: 1 }),
            PatchAction::DeleteSeq { index, length } => {
                ours.push(Patch::Delete { path: below(Prop::Index(index)), length });
            }
            PatchAction::Mark { marks } => ours.extend(marks.into_iter().map(|mark| Patch::Mark {
                path: path.clone(),
                start: mark.start,
                end: mark.end,
                name: mark.name().to_owned(),
                value: from_scalar(&mark.value),
            })),
            PatchAction::Conflict { .. } => {} // the value that is shown is the same
        }
    }
    ours
}
