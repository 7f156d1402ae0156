//! What JavaScript may ask of an open document.

use crate::introductions;
use crate::letters;
use crate::owned;
use driftline_core::base::id::{ChangeHash, DocumentId, LetterId, SpaceId};
use driftline_core::doc::document::Document;
use driftline_core::doc::path::Path;
use driftline_core::engine::Engine;
use serde::Deserialize;
use serde_json::Value as Json;

/// A question.
#[derive(Deserialize)]
#[serde(tag = "ask", rename_all = "camelCase")]
pub(crate) enum Question {
    /// Its latest changes, the newest last.
    History { document: DocumentId, limit: usize },
    /// The document as it was.
    ValueAt { document: DocumentId, heads: Vec<ChangeHash> },
    /// The formatting of a text.
    Marks { document: DocumentId, path: Path },
    /// A cursor for a position, at these heads.
    Cursor { document: DocumentId, heads: Vec<ChangeHash>, path: Path, index: usize },
    /// What this replica may do in a space.
    Access { space: SpaceId },
    /// Who is or was let into an owned space.
    Members { space: SpaceId },
    /// Links for a single use, what became of asking by them, devices of the same person, and spaces that these told of.
    Introductions,
    /// Letters that were received and not forgotten.
    Letters,
    /// The ids of these.
    LetterIds,
    /// One of them.
    Letter { letter: LetterId },
    /// The ids of letters that no relay keeps yet.
    UnsentLetters,
    /// Who wrote what in a document, and how much of that they have vouched for.
    Authorship { document: DocumentId },
    /// Where a cursor stood, at these heads.
    Position { document: DocumentId, heads: Vec<ChangeHash>, path: Path, cursor: String },
}

/// Why a question has no answer: a sentence.
#[derive(Debug)]
pub(crate) struct Unanswered(pub(crate) String);

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unanswered {}

/// The answer, as JSON.
pub(crate) fn answer(engine: &Engine, question: Question) -> Result<Json, Unanswered> {
    match question {
        Question::History { document, limit } => {
            let history = open_document(engine, &document)?.history(limit);
            to_json(&history)
        }
        Question::Marks { document, path } => to_json(&open_document(engine, &document)?.marks(path)),
        Question::Access { space } => to_json(&owned::access(engine, &space)),
        Question::Members { space } => to_json(&owned::members(engine, &space)?),
        Question::Introductions => introductions::all(engine),
        Question::Letters => Ok(letters::received(engine)),
        Question::LetterIds => Ok(letters::ids(engine)),
        Question::Letter { letter } => Ok(letters::letter(engine, &letter)),
        Question::UnsentLetters => Ok(letters::unsent(engine)),
        Question::Authorship { document } => to_json(&engine.authorship(&document)),
        Question::ValueAt { document, heads } => {
            let value = open_document(engine, &document)?.value_at(&heads, ()).ok_or_else(unheld)?;
            Ok(value.to_json())
        }
        Question::Cursor { document, heads, path, index } => {
            let cursor = open_document(engine, &document)?.cursor(&heads, path, index);
            cursor.map(Json::from).ok_or_else(|| Unanswered("there is no text or list at this path".to_owned()))
        }
        Question::Position { document, heads, path, cursor } => {
            let position = open_document(engine, &document)?.position(&heads, path, &cursor);
            position.map(Json::from).ok_or_else(|| Unanswered("this is not a cursor of the text or list at this path".to_owned()))
        }
    }
}

/// A document that is in memory.
pub(crate) fn open_document<'a>(engine: &'a Engine, document: &DocumentId) -> Result<&'a Document, Unanswered> {
    engine.document(document).ok_or_else(|| Unanswered(format!("document {document} is not open")))
}

fn to_json(answer: &impl serde::Serialize) -> Result<Json, Unanswered> {
    serde_json::to_value(answer).map_err(|error| Unanswered(error.to_string()))
}

fn unheld() -> Unanswered {
    Unanswered("this version is not held here".to_owned())
}
