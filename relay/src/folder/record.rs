//! How a file is a document.
//!
//! A text file is a note as the web demo makes them: `title` and `body` are collaborative texts, `created`, `edited` and
//! `deleted` are times. `path` says where the file is. A file of bytes has `blob` instead of a body. What is made here
//! may be read by anyone and what is read here may have been made by anyone.

use super::blob::Blob;
use super::limits::PATH_BYTES_MAX;
use super::names;
use super::shelf::plain_name;
use super::text::Splice;
use driftline_core::base::id::{ActorId, ChangeHash, DocumentId, PeerId, to_hex};
use driftline_core::doc::document::{ChangeError, Document};
use driftline_core::doc::edit::{Edit, Op};
use driftline_core::doc::path::IntoPath as _;
use driftline_core::doc::value::{TextUnit, Value};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What a file holds, in 32 bytes: the SHA-256 of it, in hexadecimal.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

/// What a document says of its file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// The version that says so.
    pub heads: Vec<ChangeHash>,
    /// Where the file is to be; nothing for a note that has no path yet.
    pub path: Option<String>,
    /// The note's title.
    pub title: String,
    /// When it was made, by its maker's clock.
    pub created: i64,
    /// Whether there is to be a file.
    pub is_live: bool,
    /// What the file holds.
    pub content: Content,
    /// Other files of bytes that were written at the same time, and did not stay.
    pub beaten: Vec<Blob>,
    /// What it was made of, where a member made it.
    pub origin: Option<Origin>,
}

/// The file that a member made a document of. Two who did so of the same file are known by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// Where it was.
    pub path: String,
    /// What it held.
    pub sha256: String,
    /// Who made the document.
    pub by: String,
}

impl Origin {
    fn read(value: &Value) -> Option<Self> {
        let map = value.as_map()?;
        let text = |key: &str, bytes_max: usize| Some(map.get(key)?.as_str()?.to_owned()).filter(|text| text.len() <= bytes_max);
        Some(Self { path: text("path", PATH_BYTES_MAX)?, sha256: text("sha256", 64)?, by: text("by", 64)? })
    }

    fn to_value(&self) -> Value {
        let text = |text: &str| Value::String(text.to_owned());
        Value::map([("path", text(&self.path)), ("sha256", text(&self.sha256)), ("by", text(&self.by))])
    }
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// Text.
    Text(String),
    /// Bytes, in documents of their own.
    Blob(Blob),
}

impl Content {
    /// The fingerprint of the file's bytes.
    pub(crate) fn fingerprint(&self) -> String {
        match self {
            Self::Text(text) => fingerprint(text.as_bytes()),
            Self::Blob(blob) => blob.sha256.clone(),
        }
    }
}

impl Record {
    /// What a document says of its file; nothing when it is none.
    pub(crate) fn read(document: &Document) -> Option<Self> {
        let content = content_of(document, None)?;
        let text = |key: &str| document.value(key).and_then(|value| value.as_str().map(str::to_owned));
        let blobs = document.conflicts("blob");
        let is_it = |blob: &Blob| matches!(&content, Content::Blob(held) if held.sha256 == blob.sha256);
        let beaten = blobs.iter().rev().skip(1).filter_map(Blob::read).filter(|blob| !is_it(blob)).collect();
        Some(Self {
            heads: document.heads(),
            path: text("path").filter(|path| !path.is_empty()).map(|path| names::safe_path(&path)),
            title: text("title").unwrap_or_default(),
            created: time(document.value("created")).unwrap_or(i64::MAX),
            is_live: is_live(document, &content),
            content,
            beaten,
            origin: document.value("origin").as_ref().and_then(Origin::read),
        })
    }

    /// What the file held at an earlier version; nothing when that is not held, or it was no file then.
    pub(crate) fn content_at(document: &Document, heads: &[ChangeHash]) -> Option<Content> {
        document.holds(heads).then(|| content_of(document, Some(heads)))?
    }
}

fn content_of(document: &Document, heads: Option<&[ChangeHash]>) -> Option<Content> {
    let at = |key: &str| match heads {
        Some(heads) => document.value_at(heads, key),
        None => document.value(key),
    };
    if let Some(blob) = at("blob").as_ref().and_then(Blob::read) {
        return Some(Content::Blob(blob));
    }
    match at("body") {
        Some(Value::Text(text)) => Some(Content::Text(text)),
        _ => None,
    }
}

fn time(value: Option<Value>) -> Option<i64> {
    match value? {
        Value::Float(ms) if ms.is_finite() => Some(ms as i64),
        value => value.as_i64(),
    }
}

/// Whether there is to be a file: it was not deleted, or was changed by someone who did not know that it was.
fn is_live(document: &Document, content: &Content) -> bool {
    let deletions = document.conflicts("deleted");
    if deletions.is_empty() || deletions.iter().any(|deleted| time(Some(deleted.clone())).is_none()) {
        return true;
    }
    let of = document.conflicts("deletedOf");
    // A browser does not say what it deleted: it deleted what there was.
    let said: Vec<&str> = of.iter().filter_map(Value::as_str).filter(|of| !of.is_empty()).collect();
    !said.is_empty() && !said.contains(&content.fingerprint().as_str())
}

fn put(key: &str, value: impl Into<Value>) -> Op {
    Op::Put { path: key.into_path(), value: value.into() }
}

/// The file is there, whoever deletes it at the same time.
fn stays() -> Op {
    put("deleted", Value::Null)
}

/// The id of a document that is made of what a file is and holds, so that two who have the same file make one document.
/// `turn` tells apart those that one folder has of the same.
pub(crate) fn id_of_file(path: &str, fingerprint: &str, turn: u32) -> DocumentId {
    plain_name(&digest_of_file(path, fingerprint, turn))
}

fn digest_of_file(path: &str, fingerprint: &str, turn: u32) -> [u8; 32] {
    let digest = Sha256::new().chain_update(b"driftline file\0").chain_update(path).chain_update(b"\0").chain_update(fingerprint);
    digest.chain_update(turn.to_le_bytes()).finalize().into()
}

/// What the document of bytes is named by that were written beside others in a document, and did not stay.
pub(crate) fn digest_of_copy(document: DocumentId, fingerprint: &str) -> [u8; 32] {
    digest_of_file(&format!("copy of {document}"), fingerprint, 0)
}

/// The first change of a file's document, the same whoever makes it.
///
/// # Errors
///
/// When the file is too large for a change.
pub(crate) fn first_version(document: DocumentId, path: &str, content: &Content) -> Result<Document, ChangeError> {
    let actor = ActorId::new(&document.0).ok_or(ChangeError::NotOpen)?;
    let mut made = Document::new(document, actor, TextUnit::CodePoint);
    made.change(None, 0, |tx| {
        tx.put("title", Value::Text(names::title_of_path(path)))?;
        tx.put("path", Value::String(path.to_owned()))?;
        tx.put("body", Value::Text(String::new()))?;
        match content {
            Content::Text(text) => tx.splice("body", 0, 0, text),
            Content::Blob(blob) => tx.put("blob", blob.to_value()),
        }
    })?;
    Ok(made)
}

/// The edit by which a member makes a file's document: all of it is one change.
pub(crate) fn made_by(member: &PeerId, path: &str, content: &Content, now_ms: i64) -> Edit {
    let text = match content {
        Content::Text(text) => text.clone(),
        Content::Blob(_) => String::new(),
    };
    let origin = Origin { path: path.to_owned(), sha256: content.fingerprint(), by: member.to_string() };
    let mut edit = begun(now_ms);
    edit.ops.extend([
        put("title", Value::Text(names::title_of_path(path))),
        put("path", Value::String(path.to_owned())),
        put("body", Value::Text(text)),
        put("origin", origin.to_value()),
    ]);
    if let Content::Blob(blob) = content {
        edit.ops.push(put("blob", blob.to_value()));
    }
    edit
}

/// The version of a document that holds what it was made of: its first.
pub(crate) fn beginning(document: &Document, origin: &Origin) -> Option<ChangeHash> {
    let first = document.history(usize::MAX).into_iter().find(|change| change.deps.is_empty())?.hash;
    let content = Record::content_at(document, &[first])?;
    (content.fingerprint() == origin.sha256).then_some(first)
}

/// The edit that says when a file was first taken.
pub(crate) fn begun(now_ms: i64) -> Edit {
    Edit { ops: vec![put("created", Value::Int(now_ms)), put("edited", Value::Int(now_ms)), stays()], message: None }
}

/// The same for a file that has no path yet.
pub(crate) fn placed(path: &str, now_ms: i64) -> Edit {
    let mut edit = begun(now_ms);
    edit.ops.push(put("path", Value::String(path.to_owned())));
    edit.ops.push(put("title", Value::Text(names::title_of_path(path))));
    edit
}

/// The edit that gives a note a path.
pub(crate) fn named(path: &str) -> Edit {
    Edit { ops: vec![put("path", Value::String(path.to_owned()))], message: None }
}

/// The edit that takes over what an editor did to a text.
pub(crate) fn edited(splices: Vec<Splice>, was_blob: bool, now_ms: i64, stamp: &str) -> Edit {
    let mut ops = Vec::new();
    if was_blob {
        ops.push(put("blob", Value::Null));
    }
    ops.extend(splices.into_iter().map(|Splice { at, delete, insert }| Op::Splice {
        path: "body".into_path(),
        index: at,
        delete,
        insert,
    }));
    ops.push(put("edited", Value::Int(now_ms)));
    ops.push(stays());
    Edit { ops, message: Some(stamp.to_owned()) }
}

/// The edit that says that the file holds other bytes now.
pub(crate) fn replaced(blob: &Blob, now_ms: i64, stamp: &str) -> Edit {
    let ops = vec![put("blob", blob.to_value()), put("edited", Value::Int(now_ms)), stays()];
    Edit { ops, message: Some(stamp.to_owned()) }
}

/// The edit that says once more what the file holds, over everything that was written beside it.
pub(crate) fn affirmed(content: &Content) -> Edit {
    let blob = match content {
        Content::Blob(blob) => blob.to_value(),
        Content::Text(_) => Value::Null,
    };
    Edit { ops: vec![put("blob", blob)], message: None }
}

/// The edit that moves a file; a title that was its name goes with it.
pub(crate) fn moved(from: Option<&str>, title: &str, to: &str) -> Edit {
    let mut ops = vec![put("path", Value::String(to.to_owned())), stays()];
    let was_named = from.is_none_or(|from| names::title_of_path(from) == title);
    let named = names::title_of_path(to);
    if was_named && named != title {
        ops.push(Op::UpdateText { path: "title".into_path(), text: named });
    }
    Edit { ops, message: None }
}

/// The edit that deletes a file that held this.
pub(crate) fn deleted(fingerprint: &str, now_ms: i64) -> Edit {
    let ops = vec![put("deleted", Value::Int(now_ms)), put("deletedOf", Value::String(fingerprint.to_owned()))];
    Edit { ops, message: None }
}

/// The edit that brings a deleted file back.
pub(crate) fn revived() -> Edit {
    Edit { ops: vec![stays()], message: None }
}

/// What the change of an edit says of itself: what was made of what, so that it is known when it was made before.
pub(crate) fn stamp(before: &str, after: &str) -> String {
    let digest = Sha256::new().chain_update(before).chain_update(b"\0").chain_update(after).finalize();
    format!("file {}", to_hex(&digest[..8]))
}

/// The change on `heads` that says this of itself, if it was made already.
pub(crate) fn made_before(document: &Document, heads: &[ChangeHash], stamp: &str) -> Option<ChangeHash> {
    if document.heads() == heads {
        return None;
    }
    let mut history = document.history(usize::MAX).into_iter();
    history.find(|change| change.message.as_deref() == Some(stamp) && same(&change.deps, heads)).map(|change| change.hash)
}

fn same(a: &[ChangeHash], b: &[ChangeHash]) -> bool {
    a.len() == b.len() && a.iter().all(|hash| b.contains(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Document {
        first_version(DocumentId([1; 16]), "a.md", &Content::Text(text.to_owned())).unwrap()
    }

    fn other(document: &Document, number: u8) -> Document {
        let mut other = Document::new(document.id(), ActorId::new(&[number]).unwrap(), TextUnit::CodePoint);
        meet(&mut other, document);
        other
    }

    fn meet(into: &mut Document, from: &Document) {
        into.apply(from.entries().into_iter().map(std::sync::Arc::new)).unwrap();
    }

    fn is_live(document: &Document) -> bool {
        Record::read(document).unwrap().is_live
    }

    #[test]
    fn two_who_have_the_same_file_make_the_same_document() {
        assert_eq!(file("x").heads(), file("x").heads());
        assert_eq!(id_of_file("a", "f", 0), id_of_file("a", "f", 0));
        assert_ne!(id_of_file("a", "f", 0), id_of_file("a", "f", 1));
        let record = Record::read(&file("x")).unwrap();
        assert_eq!((record.path.as_deref(), record.title.as_str()), (Some("a.md"), "a"));
        assert_eq!(record.content, Content::Text("x".to_owned()));
    }

    #[test]
    fn a_document_of_another_kind_is_no_file() {
        let mut document = Document::new(DocumentId([1; 16]), ActorId::new(&[1]).unwrap(), TextUnit::CodePoint);
        document.change(None, 0, |tx| tx.put("notebook", "Harbour")).unwrap();
        assert_eq!(Record::read(&document), None);
    }

    #[test]
    fn an_edit_beside_a_deletion_wins_and_a_deletion_after_it_does_not_lose() {
        let (mut anna, mut ben) = (other(&file("x"), 1), other(&file("x"), 2));
        anna.edit(None, &deleted(&fingerprint(b"x"), 5), 5).unwrap();
        assert!(!is_live(&anna));
        let edit = edited(vec![Splice { at: 1, delete: 0, insert: "y".to_owned() }], false, 5, "s");
        ben.edit(None, &edit, 5).unwrap();
        meet(&mut anna, &ben);
        meet(&mut ben, &anna);
        assert!(is_live(&anna) && is_live(&ben));
        anna.edit(None, &deleted(&fingerprint(b"xy"), 6), 6).unwrap();
        meet(&mut ben, &anna);
        assert!(!is_live(&ben));
        ben.edit(None, &revived(), 7).unwrap();
        assert!(is_live(&ben));
    }

    #[test]
    fn what_a_browser_deletes_is_deleted_unless_a_folder_edits_it_at_the_same_time() {
        let (mut anna, mut ben) = (other(&file("x"), 1), other(&file("x"), 2));
        anna.change(None, 5, |tx| tx.put("deleted", 5)).unwrap();
        assert!(!is_live(&anna));
        ben.change(None, 5, |tx| tx.splice("body", 1, 0, "y")).unwrap();
        meet(&mut anna, &ben);
        assert!(!is_live(&anna), "the browser says nothing of what it deleted");
        ben.edit(None, &edited(Vec::new(), false, 5, "s"), 5).unwrap();
        meet(&mut anna, &ben);
        assert!(is_live(&anna));
    }

    #[test]
    fn an_edit_that_was_made_before_is_known() {
        let mut document = other(&file("x"), 1);
        let heads = document.heads();
        assert_eq!(made_before(&document, &heads, "s"), None);
        let made = document.edit(None, &edited(Vec::new(), false, 5, "s"), 5).unwrap().unwrap();
        document.change(None, 5, |tx| tx.splice("body", 1, 0, "y")).unwrap();
        assert_eq!(made_before(&document, &heads, "s"), Some(made.hash));
        assert_eq!(made_before(&document, &heads, "t"), None);
    }

    #[test]
    fn a_title_that_is_the_files_name_goes_with_it_and_another_stays() {
        let mut document = other(&file("x"), 1);
        document.edit(None, &moved(Some("a.md"), "a", "b.md"), 5).unwrap();
        assert_eq!(document.text("title").as_deref(), Some("b"));
        document.edit(None, &moved(Some("b.md"), "Own words", "c.md"), 5).unwrap();
        assert_eq!(document.text("title").as_deref(), Some("b"));
        assert_eq!(Record::read(&document).unwrap().path.as_deref(), Some("c.md"));
    }
}
