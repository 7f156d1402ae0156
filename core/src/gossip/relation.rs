//! Why a peer is a neighbour, or is none: what people ask who look at the network.

use super::book::Standing;
use super::membership::Membership;
use crate::base::id::PeerId;

/// How one peer stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// A neighbour.
    Neighbour {
        /// Whether this side dialled; otherwise the other did.
        dialled: bool,
        /// Whether someone configured it.
        configured: bool,
    },
    /// It is being dialled.
    Dialling,
    /// It does not answer.
    Unreachable {
        /// How often in a row it did not.
        failures: u8,
        /// It is dialled again in so many milliseconds at the earliest.
        retry_ms: u64,
    },
    /// It is left alone for a while: the two parted on purpose, or it is the other's turn to dial.
    Resting {
        /// For so many milliseconds.
        rest_ms: u64,
    },
    /// It is known, and there are neighbours enough without it.
    Spare,
    /// It is not known where it is.
    Unknown,
}

impl Membership {
    /// How a peer stands to this one now.
    pub fn relation(&self, now_ms: u64, peer: &PeerId) -> Relation {
        if let Some(neighbour) = self.neighbours.values().find(|neighbour| neighbour.peer == *peer) {
            let configured = self.book.standing(peer) == Some(Standing::Configured);
            return Relation::Neighbour { dialled: neighbour.dialled, configured };
        }
        if self.dialling.contains_key(peer) {
            return Relation::Dialling;
        }
        let Some((failures, not_before_ms)) = self.book.patience(peer) else { return Relation::Unknown };
        match not_before_ms.saturating_sub(now_ms) {
            retry_ms if failures > 0 => Relation::Unreachable { failures, retry_ms },
            0 => Relation::Spare,
            rest_ms => Relation::Resting { rest_ms },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::ConnectionId;
    use crate::gossip::membership::MembershipConfig;

    fn peer(number: u8) -> PeerId {
        PeerId([number; 32])
    }

    fn relation(membership: &Membership, number: u8) -> Relation {
        membership.relation(0, &peer(number))
    }

    #[test]
    fn each_peer_has_a_reason_to_be_a_neighbour_or_not_to_be_one() {
        let mut membership = Membership::new(peer(5), MembershipConfig::default(), [7; 32], 0);
        assert_eq!(relation(&membership, 1), Relation::Unknown);
        membership.handle_found(0, peer(1), ["here".to_owned()], Standing::Found);
        assert!(matches!(relation(&membership, 1), Relation::Resting { .. }), "it is the other's turn");
        membership.handle_connected(0, ConnectionId(1), peer(1), false);
        assert_eq!(relation(&membership, 1), Relation::Neighbour { dialled: false, configured: false });
        membership.handle_found(0, peer(6), ["there".to_owned()], Standing::Configured);
        assert_eq!(relation(&membership, 6), Relation::Dialling);
        membership.handle_dial_failed(0, &peer(6));
        assert!(matches!(relation(&membership, 6), Relation::Unreachable { failures: 1, .. }));
        membership.handle_connected(0, ConnectionId(2), peer(6), true);
        assert_eq!(relation(&membership, 6), Relation::Neighbour { dialled: true, configured: true });
        for number in 7..40 {
            membership.handle_connected(0, ConnectionId(number.into()), peer(number), true);
        }
        membership.handle_found(0, peer(41), ["far".to_owned()], Standing::Found);
        assert_eq!(relation(&membership, 41), Relation::Spare);
    }
}
