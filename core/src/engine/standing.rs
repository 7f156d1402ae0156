//! How each connected peer stands with a space, for people who ask.

use super::Engine;
use crate::base::id::{PeerId, SpaceId};
use serde::Serialize;

/// How one connected peer stands with a space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Who.
    pub peer: PeerId,
    /// Whether it is a relay.
    pub relay: bool,
    /// Whether it is still being found out which documents differ.
    pub comparing: bool,
    /// Documents whose clock is ahead there: something of them has yet to come.
    pub ahead: usize,
    /// Documents whose clock is behind there: something of them has yet to be sent.
    pub behind: usize,
}

impl Engine {
    /// How every connected peer that syncs a space stands with it, as far as is known here, in the order they connected. Looks at each document that was exchanged.
    pub fn standings(&self, space: &SpaceId) -> Vec<Standing> {
        let Some(held) = self.spaces.get(space) else { return Vec::new() };
        let stands = |connection| {
            let session = self.sessions.get(connection).filter(|session| !session.closing)?;
            let (peer, subscription) = (session.peer.as_ref()?, session.subscriptions.get(space)?);
            let (mut ahead, mut behind) = (0, 0);
            for (document, delta) in &subscription.deltas {
                let (is_ahead, is_behind) = match held.space.log(document) {
                    Some(log) => (!delta.target.is_within(&log.version().clock), delta.cursor() < log.end()),
                    None => (!delta.target.is_empty(), false),
                };
                ahead += usize::from(is_ahead);
                behind += usize::from(is_behind);
            }
            Some(Standing { peer: peer.id, relay: peer.relay, comparing: subscription.comparing, ahead, behind })
        };
        held.sessions.iter().filter_map(stands).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::config::Role;
    use crate::engine::tests::{SPACE, World};

    #[test]
    fn a_newcomer_sees_its_peer_ahead_and_the_peer_sees_it_behind_until_all_has_come() {
        let mut world = World::new(&[Role::Relay, Role::Client, Role::Client]);
        world.open(1);
        world.connect(1, 0);
        world.write(1, "tide");
        world.run();
        world.open(2);
        world.connect(2, 0);
        let (mut ahead, mut behind) = (0, 0);
        while world.step() {
            let newcomer = world.nodes[0].engine.peer_id().expect("it is at work");
            for standing in world.nodes[2].engine.standings(&SPACE) {
                assert_eq!((standing.peer, standing.relay), (newcomer, true));
                ahead = ahead.max(standing.ahead);
            }
            behind = behind.max(world.nodes[0].engine.standings(&SPACE).iter().map(|standing| standing.behind).sum());
        }
        assert!(ahead + behind > 0, "the difference was seen on its way");
        for node in [0, 2] {
            let standings = world.nodes[node].engine.standings(&SPACE);
            assert!(
                !standings.is_empty() && standings.iter().all(|standing| standing.ahead + standing.behind == 0),
                "{standings:?}"
            );
        }
    }
}
