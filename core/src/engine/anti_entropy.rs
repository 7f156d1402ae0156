//! Comparing a space with a peer once more, when somebody asks for it: anti-entropy.
//!
//! A subscription compares once, and from then on each side sends what is new. What was lost all the same, by a mistake or a disk that forgot, no push
//! would find. So gossiping peers compare with a neighbour now and then: one fingerprint where both hold the same, and otherwise what the first comparison does.

use super::Engine;
use crate::base::id::{ConnectionId, PeerId, SpaceId};
use crate::sync::message::Message;
use crate::sync::reconcile::Comparison;
use std::collections::BTreeSet;

impl Engine {
    pub(super) fn on_compare(&mut self, space: SpaceId, peer: PeerId) {
        let connection = self
            .spaces
            .get(&space)
            .and_then(|held| held.sessions.iter().copied().find(|connection| self.peer_of(*connection) == Some(peer)));
        if let Some(connection) = connection {
            self.compare(connection, space);
        }
    }

    /// Opens a comparison. Until the answer shows a difference the two count as in sync, as they most likely are.
    fn compare(&mut self, connection: ConnectionId, space: SpaceId) {
        let Some(held) = self.spaces.get(&space) else { return };
        let Some(session) = self.sessions.get(&connection).filter(|session| !session.closing) else { return };
        let Some(subscription) = session.subscriptions.get(&space) else { return };
        if subscription.comparing || subscription.prove_ms.is_some() {
            return;
        }
        // Both sides leave out the documents that were told by version when subscribing: of those, versions again.
        let (none, apart) = (BTreeSet::new(), subscription.eager.clone());
        let comparison = Comparison { space: &held.space, except: &apart, wanted: &none, bytes_max: usize::MAX };
        let ranges = comparison.opening();
        self.send(connection, &Message::Ranges { space, ranges });
        for document in apart {
            let version = self.log(&document).map(|log| log.durable().clone()).unwrap_or_default();
            self.send(connection, &Message::Have { space, document, version, answer: false });
        }
    }
}
