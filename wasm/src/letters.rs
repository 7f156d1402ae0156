//! Letters, as a page writes and reads them. Contents cross as hexadecimal digits: they are bytes, and JSON has none.

use crate::query::Unanswered;
use driftline_core::base::id::{LetterId, PeerId, from_hex, to_hex};
use driftline_core::base::time::Now;
use driftline_core::engine::Engine;
use driftline_core::engine::post::letters::{Received, SendLetterError};
use driftline_core::trust::introduction::INTRODUCTION;
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// Something that a person does about letters.
#[derive(Deserialize)]
#[serde(tag = "post", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Post {
    /// Write one.
    Send {
        /// To whom.
        to: PeerId,
        /// What it is, by agreement among apps.
        kind: String,
        /// The content, in hexadecimal.
        content: String,
        /// When it ends, in seconds of Unix time.
        ends: u64,
        /// 32 random bytes that were drawn for it alone, in hexadecimal.
        drawn: String,
    },
    /// Forget one that was received.
    Forget {
        /// Which.
        letter: LetterId,
    },
    /// Have relays say, from now on, when they have handed over all that waited there; answers how many have.
    Fetch,
}

/// Does it.
pub(crate) fn act(engine: &mut Engine, now: Now, post: Post) -> Result<Json, Unanswered> {
    match post {
        Post::Send { to, kind, content, ends, drawn } => {
            if kind == INTRODUCTION {
                return Err(Unanswered(format!(
                    "letters of the kind `{INTRODUCTION}` are the engine's own: choose another word"
                )));
            }
            let bytes = |hex: &str| from_hex(hex).map_err(|error| Unanswered(error.to_string()));
            let drawn =
                bytes(&drawn)?.try_into().map_err(|_| Unanswered("a letter is sealed with 32 random bytes".to_owned()))?;
            let sent = engine.send_drawn_letter(now, to, &kind, &bytes(&content)?, ends, drawn);
            sent.map(|id| json!(id)).map_err(said)
        }
        Post::Forget { letter } => Ok(engine.forget_letter(now, letter).into()),
        Post::Fetch => {
            engine.fetch_letters(now);
            Ok(engine.emptied_letterboxes().into())
        }
    }
}

/// Those that were received and not forgotten.
pub(crate) fn received(engine: &Engine) -> Json {
    engine.letters().iter().map(as_json).collect()
}

/// The ids of these.
pub(crate) fn ids(engine: &Engine) -> Json {
    engine.letters().iter().map(|letter| json!(letter.id)).collect()
}

/// One of them; nothing where it is not there.
pub(crate) fn letter(engine: &Engine, id: &LetterId) -> Json {
    engine.letters().iter().find(|letter| letter.id == *id).map_or(Json::Null, as_json)
}

/// The ids of those that no relay keeps yet.
pub(crate) fn unsent(engine: &Engine) -> Json {
    engine.unsent_letters().iter().map(|id| json!(id)).collect()
}

fn as_json(letter: &Received) -> Json {
    let Received { id, sender, kind, content, expires } = letter;
    json!({ "id": id, "sender": sender, "kind": kind, "content": to_hex(content), "ends": expires })
}

/// The sentence for people who have a page before them and no command line.
fn said(error: SendLetterError) -> Unanswered {
    Unanswered(error.to_string())
}
