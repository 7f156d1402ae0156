//! A local change in the making.

use super::crdt::{self, Found};
use super::document::ChangeError;
use super::edit::{DELETE_BYTES, Edit, Expand, OPERATION_BYTES, Op};
use super::path::{IntoPath, Path, Prop, shown};
use super::value::{TextUnit, Value, text_weight};
use automerge::marks::{ExpandMark, Mark};
use automerge::transaction::{CommitOptions, Transactable as _};
use automerge::{AutomergeError, ObjId, ObjType, ReadDoc as _};

/// A local change in the making, inside [`super::document::Document::change`].
///
/// Everything is said by path (see [`IntoPath`]), and each path is resolved after what was done before. When anything
/// fails, the whole change is given up, also where the program goes on after the failure.
pub struct Transaction<'a> {
    inner: automerge::transaction::Transaction<'a>,
    unit: TextUnit,
    bounds: Bounds,
    failed: Option<ChangeError>,
}

/// What one change may still take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Most bytes.
    pub(super) bytes_max: usize,
    /// Most operations.
    pub(super) ops_max: usize,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(inner: automerge::transaction::Transaction<'a>, unit: TextUnit, bounds: Bounds) -> Self {
        Self { inner, unit, bounds, failed: None }
    }

    /// Sets a key of a map or replaces an element of a list; a map, list or text is made anew.
    ///
    /// # Errors
    ///
    /// What holds the key or element is not there or is of another kind; the index is past the end; the change is too large.
    pub fn put(&mut self, path: impl IntoPath, value: impl Into<Value>) -> Result<(), ChangeError> {
        let (path, value) = (path.into_path(), value.into());
        self.spend(&path, value.weight(), count(&value))?;
        self.check_depth(&path, &value)?;
        let (object, kind, prop) = self.place(&path)?;
        self.check_index(&path, &object, kind, prop, 1)?;
        let put = crdt::put(&mut self.inner, &object, crdt::to_prop(prop), &value);
        self.done(&path, put)
    }

    /// Inserts `values` into a list, the first of them at the index that `path` ends with.
    ///
    /// # Errors
    ///
    /// There is no such list; the index is past its end; the change is too large.
    pub fn insert<V: Into<Value>>(
        &mut self,
        path: impl IntoPath,
        values: impl IntoIterator<Item = V>,
    ) -> Result<(), ChangeError> {
        let path = path.into_path();
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        for value in &values {
            self.spend(&path, value.weight(), count(value))?;
            self.check_depth(&path, value)?;
        }
        let (object, kind, prop) = self.place(&path)?;
        let (ObjType::List, Prop::Index(index)) = (kind, prop) else { return self.wrong_kind(&path, "an index of a list") };
        self.check_index(&path, &object, kind, prop, 0)?;
        let inserted = crdt::insert(&mut self.inner, &object, *index, &values);
        self.done(&path, inserted)
    }

    /// Deletes a key of a map, if it is there, or one element of a list or letter of a text.
    ///
    /// # Errors
    ///
    /// What holds it is not there or is of another kind; the index is past the end.
    pub fn delete(&mut self, path: impl IntoPath) -> Result<(), ChangeError> {
        self.delete_range(path, 1)
    }

    /// Deletes `length` elements of a list or units of a text, from the index that `path` ends with; of a map, the key.
    ///
    /// # Errors
    ///
    /// As [`Self::delete`], or the range ends past the end, or begins or ends inside a surrogate pair.
    pub fn delete_range(&mut self, path: impl IntoPath, length: usize) -> Result<(), ChangeError> {
        let path = path.into_path();
        let (object, kind, prop) = self.place(&path)?;
        let deleted = match prop {
            Prop::Index(index) if kind == ObjType::Text => {
                return self.splice_at(&path[..path.len() - 1], &object, *index, length, "");
            }
            Prop::Index(index) => {
                self.spend(&path, DELETE_BYTES.saturating_mul(length), length)?;
                self.check_index(&path, &object, kind, prop, length)?;
                self.inner.splice(&object, *index, to_isize(length), std::iter::empty::<automerge::ScalarValue>())
            }
            Prop::Key(_) => {
                self.spend(&path, DELETE_BYTES, 1)?;
                self.inner.delete(&object, crdt::to_prop(prop))
            }
        };
        self.done(&path, deleted)
    }

    /// Replaces `delete` units of the text at `path`, from `index` on, with `insert`.
    ///
    /// # Errors
    ///
    /// There is no such text; the range ends past its end, or begins or ends inside a surrogate pair; the change is too large.
    pub fn splice(&mut self, path: impl IntoPath, index: usize, delete: usize, insert: &str) -> Result<(), ChangeError> {
        let path = path.into_path();
        let object = self.text_object(&path)?;
        self.splice_at(&path, &object, index, delete, insert)
    }

    /// Makes the text at `path` read `text`, by a small edit that keeps the letters that stay: a caret among them stays too.
    ///
    /// # Errors
    ///
    /// There is no such text; the change is too large.
    pub fn update_text(&mut self, path: impl IntoPath, text: &str) -> Result<(), ChangeError> {
        /// Above so many pairs of differing letters the difference is replaced as a whole: finding the smallest edit takes
        /// time in proportion to them.
        const PAIRS_MAX: usize = 4_000_000;
        let path = path.into_path();
        let object = self.text_object(&path)?;
        let old = self.inner.text(&object).unwrap_or_default();
        let (start, ends, new_ends) = differing(&old, text);
        let (gone, come) = (&old[start..ends], &text[start..new_ends]);
        if gone.len().saturating_mul(come.len()) <= PAIRS_MAX {
            self.spend(&path, text_weight(come) + DELETE_BYTES * gone.len(), gone.len() + come.len())?;
            let updated = self.inner.update_text(&object, text);
            return self.done(&path, updated);
        }
        let index = self.unit.length(&old[..start]);
        self.splice_at(&path, &object, index, self.unit.length(gone), come)
    }

    /// Adds to the counter at `path`; negative takes away.
    ///
    /// # Errors
    ///
    /// There is no counter.
    pub fn increment(&mut self, path: impl IntoPath, by: i64) -> Result<(), ChangeError> {
        let path = path.into_path();
        self.spend(&path, OPERATION_BYTES, 1)?;
        let (object, _, prop) = self.place(&path)?;
        match crdt::find(&self.inner, None, &path) {
            Some(Found::Scalar(Value::Counter(value))) => {
                if value.checked_add(by).is_none() {
                    return self.fail(ChangeError::OutOfRange { path: shown(&path) });
                }
            }
            _ => return self.wrong_kind(&path, "a counter"),
        }
        let incremented = self.inner.increment(&object, crdt::to_prop(prop), by);
        self.done(&path, incremented)
    }

    /// Formats the text at `path` from position `start` to before `end`; null takes the mark away.
    ///
    /// # Errors
    ///
    /// There is no such text; the range is not within it; the value is not a scalar.
    pub fn mark(
        &mut self,
        path: impl IntoPath,
        range: std::ops::Range<usize>,
        name: &str,
        value: impl Into<Value>,
        expand: Expand,
    ) -> Result<(), ChangeError> {
        let (path, value) = (path.into_path(), value.into());
        self.spend(&path, name.len() + value.weight() + OPERATION_BYTES, 2)?;
        let object = self.text_object(&path)?;
        let value = match value {
            Value::Text(text) => automerge::ScalarValue::Str(text.into()),
            value => match crdt::to_scalar(&value) {
                Some(scalar) => scalar,
                None => return self.wrong_kind(&path, "a mark with a plain value"),
            },
        };
        let length = self.inner.length(&object);
        if range.start >= range.end || range.end > length {
            return self.fail(ChangeError::OutOfBounds { path: shown(&path), index: range.end, length });
        }
        self.check_letter(&path, &object, range.start)?;
        self.check_letter(&path, &object, range.end)?;
        let expand = match expand {
            Expand::None => ExpandMark::None,
            Expand::Before => ExpandMark::Before,
            Expand::After => ExpandMark::After,
            Expand::Both => ExpandMark::Both,
        };
        let mark = Mark::new(name.to_owned(), value, range.start, range.end);
        let marked = self.inner.mark(&object, mark, expand);
        self.done(&path, marked)
    }

    /// Does what `op` says.
    ///
    /// # Errors
    ///
    /// As the method of the same name.
    pub fn apply(&mut self, op: &Op) -> Result<(), ChangeError> {
        match op {
            Op::Put { path, value } => self.put(path, value.clone()),
            Op::Insert { path, values } => self.insert(path, values.iter().cloned()),
            Op::Delete { path, length } => self.delete_range(path, *length),
            Op::Splice { path, index, delete, insert } => self.splice(path, *index, *delete, insert),
            Op::UpdateText { path, text } => self.update_text(path, text),
            Op::Increment { path, by } => self.increment(path, *by),
            Op::Mark { path, start, end, name, value, expand } => self.mark(path, *start..*end, name, value.clone(), *expand),
        }
    }

    /// Does all that `edit` says, in order.
    pub(super) fn apply_all(&mut self, edit: &Edit) -> Result<(), ChangeError> {
        edit.ops.iter().try_for_each(|op| self.apply(op))
    }

    /// The value at `path`, with what this change did so far.
    pub fn value(&self, path: impl IntoPath) -> Option<Value> {
        crdt::find(&self.inner, None, &path.into_path()).map(|found| crdt::read(&self.inner, None, found))
    }

    /// The text at `path`.
    pub fn text(&self, path: impl IntoPath) -> Option<String> {
        match crdt::find(&self.inner, None, &path.into_path())? {
            Found::Object(object, ObjType::Text) => self.inner.text(&object).ok(),
            _ => None,
        }
    }

    /// How many keys, elements or units of text what is at `path` has.
    pub fn length(&self, path: impl IntoPath) -> Option<usize> {
        match crdt::find(&self.inner, None, &path.into_path())? {
            Found::Object(object, _) => Some(self.inner.length(&object)),
            Found::Scalar(_) => None,
        }
    }

    /// Makes it a change, unless anything failed.
    pub(super) fn commit(self, options: CommitOptions) -> Result<Option<automerge::ChangeHash>, ChangeError> {
        match self.failed {
            Some(error) => {
                self.inner.rollback();
                Err(error)
            }
            None => Ok(self.inner.commit_with(options).0),
        }
    }

    /// Undoes all of it.
    pub(super) fn rollback(self) {
        self.inner.rollback();
    }

    fn splice_at(&mut self, path: &[Prop], object: &ObjId, index: usize, delete: usize, insert: &str) -> Result<(), ChangeError> {
        let length = self.inner.length(object);
        match index.checked_add(delete) {
            Some(end) if end <= length => {}
            _ => return self.fail(ChangeError::OutOfBounds { path: shown(path), index: index.saturating_add(delete), length }),
        }
        let letters = insert.chars().count();
        self.spend(
            path,
            text_weight(insert).saturating_add(DELETE_BYTES.saturating_mul(delete)),
            letters.saturating_add(delete),
        )?;
        self.check_letter(path, object, index)?;
        if delete > 0 {
            self.check_letter(path, object, index + delete)?;
        }
        let spliced = self.inner.splice_text(object, index, to_isize(delete), insert);
        self.done(path, spliced)
    }

    /// Refuses a position between the halves of a surrogate pair: no change can be made there, so a mirror that has
    /// made one would show what the document can never be.
    fn check_letter(&mut self, path: &[Prop], object: &ObjId, index: usize) -> Result<(), ChangeError> {
        if self.unit == TextUnit::CodePoint || index == 0 {
            return Ok(());
        }
        let wide = match self.inner.get(object, index) {
            Ok(Some((automerge::Value::Scalar(letter), _))) => letter.as_str().is_some_and(|text| self.unit.length(text) > 1),
            _ => false,
        };
        let starts = |transaction: &Self| {
            let cursor = transaction.inner.get_cursor(object, index, None)?;
            transaction.inner.get_cursor_position(object, &cursor, None)
        };
        if wide && starts(self) != Ok(index) {
            return self.fail(ChangeError::InsideLetter { path: shown(path), index });
        }
        Ok(())
    }

    /// The object that `path` is in, its kind, and the last step.
    fn place<'p>(&mut self, path: &'p Path) -> Result<(ObjId, ObjType, &'p Prop), ChangeError> {
        let Some((last, above)) = path.split_last() else { return self.wrong_kind(path, "a key or an index") };
        let found = crdt::find(&self.inner, None, above);
        let (object, kind) = match found {
            Some(Found::Object(object, kind)) => (object, kind),
            Some(Found::Scalar(_)) => return self.wrong_kind(above, "a map, list or text"),
            None => return self.fail(ChangeError::Missing { path: shown(above) }),
        };
        match (kind, last) {
            (ObjType::Map | ObjType::Table, Prop::Key(_)) | (ObjType::List | ObjType::Text, Prop::Index(_)) => {
                Ok((object, kind, last))
            }
            (ObjType::Map | ObjType::Table, Prop::Index(_)) => self.wrong_kind(above, "a list or text"),
            (ObjType::List | ObjType::Text, Prop::Key(_)) => self.wrong_kind(above, "a map"),
        }
    }

    fn text_object(&mut self, path: &[Prop]) -> Result<ObjId, ChangeError> {
        match crdt::find(&self.inner, None, path) {
            Some(Found::Object(object, ObjType::Text)) => Ok(object),
            Some(_) => self.wrong_kind(path, "a text"),
            None => self.fail(ChangeError::Missing { path: shown(path) }),
        }
    }

    /// Refuses a range of a list that ends past its end, and elements of a text. Looks for the element before the range's
    /// end, because counting a list takes time in proportion to it.
    fn check_index(
        &mut self,
        path: &[Prop],
        object: &ObjId,
        kind: ObjType,
        prop: &Prop,
        wanted: usize,
    ) -> Result<(), ChangeError> {
        let Prop::Index(index) = prop else { return Ok(()) };
        if kind == ObjType::Text {
            return self.wrong_kind(path, "a list");
        }
        let is_there = match index.checked_add(wanted) {
            Some(0) => true,
            Some(end) => matches!(self.inner.get(object, end - 1), Ok(Some(_))),
            None => false,
        };
        if !is_there {
            let length = self.inner.length(object);
            return self.fail(ChangeError::OutOfBounds { path: shown(path), index: *index, length });
        }
        Ok(())
    }

    fn check_depth(&mut self, path: &[Prop], value: &Value) -> Result<(), ChangeError> {
        if path.len() + value.depth() > crate::base::limits::DOCUMENT_DEPTH_MAX {
            return self.fail(ChangeError::TooDeep { path: shown(path) });
        }
        Ok(())
    }

    fn spend(&mut self, path: &[Prop], bytes: usize, ops: usize) -> Result<(), ChangeError> {
        match (self.bounds.bytes_max.checked_sub(bytes), self.bounds.ops_max.checked_sub(ops)) {
            (Some(bytes_max), Some(ops_max)) => {
                self.bounds = Bounds { bytes_max, ops_max };
                Ok(())
            }
            _ => self.fail(ChangeError::TooLarge { path: shown(path) }),
        }
    }

    fn wrong_kind<T>(&mut self, path: &[Prop], expected: &'static str) -> Result<T, ChangeError> {
        self.fail(ChangeError::WrongKind { path: shown(path), expected })
    }

    fn done(&mut self, path: &[Prop], result: Result<(), AutomergeError>) -> Result<(), ChangeError> {
        match result {
            Ok(()) => Ok(()),
            Err(error) => self.fail(ChangeError::Refused { path: shown(path), reason: error.to_string() }),
        }
    }

    fn fail<T>(&mut self, error: ChangeError) -> Result<T, ChangeError> {
        self.failed.get_or_insert_with(|| error.clone());
        Err(error)
    }
}

/// Operations that write `value`.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Text(text) => text.chars().count(),
        Value::Map(map) => map.values().map(count).sum(),
        Value::List(list) => list.iter().map(count).sum(),
        _ => 0,
    }
}

fn to_isize(length: usize) -> isize {
    isize::try_from(length).unwrap_or(isize::MAX)
}

/// Where two texts begin to differ, and where the difference ends in each, in bytes between letters.
fn differing(old: &str, new: &str) -> (usize, usize, usize) {
    let same = |(a, b): &(char, char)| a == b;
    let start: usize = old.chars().zip(new.chars()).take_while(same).map(|(letter, _)| letter.len_utf8()).sum();
    let (old_rest, new_rest) = (old[start..].chars().rev(), new[start..].chars().rev());
    let end: usize = old_rest.zip(new_rest).take_while(same).map(|(letter, _)| letter.len_utf8()).sum();
    (start, old.len() - end, new.len() - end)
}
