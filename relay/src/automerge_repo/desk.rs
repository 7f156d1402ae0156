//! The desk of one document: takes what happens to it in order, has it worked on where work may take long, and carries out
//! what comes of it.

use super::desks::Desks;
use super::exchange::{Action, Asked, Exchange, Reading, Task};
use driftline_core::base::id::DocumentId;
use driftline_core::engine::following::OfferError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

/// Wait before what was handed in is handed in again, or what could not be read is read again.
const AGAIN: Duration = Duration::from_secs(2);
/// Wait before who asks for a document that nobody is known to have is told that there is none. A link to a new document may come
/// sooner than the document does.
const UNKNOWN: Duration = Duration::from_millis(300);
/// ... that some client says it has, and does not send.
const PROMISED: Duration = Duration::from_secs(5);
/// A document that nobody syncs is kept for so long.
const IDLE: Duration = Duration::from_secs(30);
/// Tasks dealt with together.
const BATCH_MAX: usize = 1_024;

/// Works on a document for as long as someone syncs it, and a while longer.
pub(super) async fn run(desks: Arc<Desks>, document: DocumentId, mut inbox: UnboundedReceiver<Task>) {
    let mut exchange = Exchange::new(document);
    loop {
        let (wait, late) = match exchange.asked() {
            Asked::OfAnyone => (UNKNOWN, Some(Task::Unanswered)),
            Asked::OfSomeone => (PROMISED, Some(Task::Unanswered)),
            Asked::Nothing if exchange.is_waiting() => (AGAIN, Some(Task::Again)),
            Asked::Nothing => (IDLE, None),
        };
        let mut tasks = match (timeout(wait, inbox.recv()).await, late) {
            (Ok(Some(task)), _) => vec![task],
            (Ok(None), _) => return,
            (Err(_), Some(late)) => vec![late],
            (Err(_), None) if desks.close(&document, &inbox) => return,
            (Err(_), None) => continue,
        };
        while tasks.len() < BATCH_MAX
            && let Ok(task) = inbox.try_recv()
        {
            tasks.push(task);
        }
        for task in &tasks {
            desks.on_taken(&document, task);
        }
        loop {
            let Some((worked, actions)) = work(&desks, exchange, std::mem::take(&mut tasks)).await else {
                tracing::error!(%document, "a bug ended the work on a document for automerge-repo clients; they are cut off and may come back");
                return desks.give_up(&document);
            };
            exchange = worked;
            let mut more = false;
            for action in actions {
                more |= carry_out(&desks, document, &mut exchange, action).await;
            }
            if !more {
                break;
            }
        }
        desks.weigh(document, exchange.weight());
    }
}

/// Works on a thread where it may take long, as soon as one is free; nothing when that panicked.
async fn work(desks: &Desks, mut exchange: Exchange, tasks: Vec<Task>) -> Option<(Exchange, Vec<Action>)> {
    let _worker = desks.workers().acquire().await.ok()?;
    let working = tokio::task::spawn_blocking(move || {
        let actions = exchange.work(tasks);
        (exchange, actions)
    });
    working.await.ok()
}

/// Does what is to be done next; answers whether there is more to work on because of it.
async fn carry_out(desks: &Desks, document: DocumentId, exchange: &mut Exchange, action: Action) -> bool {
    match action {
        Action::Read => {
            let space = desks.space();
            let reading = desks
                .host()
                .call(move |engine, now| match engine.space_of(&document) {
                    Some(held) if held != space => Reading::Elsewhere,
                    _ => engine.read_document(now, space, document).map_or(Reading::NotHeld, Reading::Begun),
                })
                .await;
            // An engine that has stopped takes everything with it.
            let Ok(reading) = reading else { return false };
            let more = matches!(reading, Reading::NotHeld);
            exchange.on_reading(reading);
            more
        }
        Action::Offer(entries) => {
            let (space, guest) = (desks.space(), desks.guest());
            let offered = desks.host().call(move |engine, now| engine.offer(now, space, document, entries, guest)).await;
            match offered {
                // Handed in again in a while.
                Ok(Ok(()) | Err(OfferError::Busy)) | Err(_) => {}
                Ok(Err(error)) => exchange.on_refused(&error.to_string()),
            }
            false
        }
    }
}
