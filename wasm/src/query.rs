//! What JavaScript may ask of an open document.

use driftline_core::base::id::{ChangeHash, DocumentId};
use driftline_core::doc::document::Document;
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
}

/// Why a question has no answer: a sentence.
#[derive(Debug)]
pub(crate) struct Unanswered(String);

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
            serde_json::to_value(history).map_err(|error| Unanswered(error.to_string()))
        }
        Question::ValueAt { document, heads } => {
            let value = open_document(engine, &document)?.value_at(&heads, ()).ok_or_else(unheld)?;
            Ok(value.to_json())
        }
    }
}

/// A document that is in memory.
pub(crate) fn open_document<'a>(engine: &'a Engine, document: &DocumentId) -> Result<&'a Document, Unanswered> {
    engine.document(document).ok_or_else(|| Unanswered(format!("document {document} is not open")))
}

fn unheld() -> Unanswered {
    Unanswered("this version is not held here".to_owned())
}
