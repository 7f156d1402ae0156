//! What names by themselves say: that a space is owned and by whom, and which key an actor belongs to.
//!
//! Both are hashes under a label. A replica that has never heard of a space sees by its id that it is owned, and lets nobody in
//! who does not show that its owner lets them in. It finds by an actor's id which member an entry is by, and no member can write
//! under another's.

use crate::base::id::{ActorId, PeerId, SpaceId};
use sha2::{Digest as _, Sha256};

/// What the id of every owned space begins with. One id in four thousand million that is drawn at random, or made from a name, does too.
pub const OWNED_MARK: [u8; 4] = *b"ownd";
/// What the id of every sealed space begins with, which is owned, and whose relays see nothing of what is written there.
pub const SEALED_MARK: [u8; 4] = *b"seal";
/// Random bytes of an actor's id in an owned space: a replica draws them anew at each start.
pub const ACTOR_NONCE_BYTES: usize = 8;
/// Bytes of such an id; Automerge puts up to seven before them for what one replica writes side by side.
pub const OWNED_ACTOR_BYTES: usize = ACTOR_NONCE_BYTES + 16;

const SPACE_LABEL: &[u8] = b"driftline owned space 1\0";
const SEALED_LABEL: &[u8] = b"driftline sealed space 1\0";
const ACTOR_LABEL: &[u8] = b"driftline actor 1\0";

/// Whether a space is owned, by its id: sealed ones are, too.
pub fn is_owned(space: &SpaceId) -> bool {
    space.0.starts_with(&OWNED_MARK) || is_sealed(space)
}

/// Whether a space is sealed, by its id.
pub fn is_sealed(space: &SpaceId) -> bool {
    space.0.starts_with(&SEALED_MARK)
}

/// The space of an owner and a nonce that is not sealed: the mark, and the first 12 bytes of a SHA-256 of both.
pub fn space_of(owner: &PeerId, nonce: &[u8; 16]) -> SpaceId {
    marked(OWNED_MARK, SPACE_LABEL, owner, nonce)
}

/// The sealed space of an owner and a nonce.
pub fn sealed_space_of(owner: &PeerId, nonce: &[u8; 16]) -> SpaceId {
    marked(SEALED_MARK, SEALED_LABEL, owner, nonce)
}

/// Whether a space is the one of an owner and a nonce, of the kind that its id says.
pub fn is_founded_by(space: &SpaceId, owner: &PeerId, nonce: &[u8; 16]) -> bool {
    *space == if is_sealed(space) { sealed_space_of(owner, nonce) } else { space_of(owner, nonce) }
}

fn marked(mark: [u8; 4], label: &[u8], owner: &PeerId, nonce: &[u8; 16]) -> SpaceId {
    let digest = Sha256::new().chain_update(label).chain_update(owner.0).chain_update(nonce).finalize();
    let mut id = [0; 16];
    id[..4].copy_from_slice(&mark);
    id[4..].copy_from_slice(&digest[..12]);
    SpaceId(id)
}

/// The actor under which a key writes in owned spaces: a nonce, and the first 16 bytes of a SHA-256 of key and nonce.
pub fn actor_of(peer: &PeerId, nonce: &[u8; ACTOR_NONCE_BYTES]) -> ActorId {
    let mut id = [0; OWNED_ACTOR_BYTES];
    id[..ACTOR_NONCE_BYTES].copy_from_slice(nonce);
    id[ACTOR_NONCE_BYTES..].copy_from_slice(&bound(peer, nonce));
    ActorId::new(&id).expect("24 bytes are few enough")
}

/// Whether an actor is a key's: its last 24 bytes are one that [`actor_of`] makes.
pub fn is_actor_of(actor: &ActorId, peer: &PeerId) -> bool {
    let bytes = actor.as_bytes();
    let Some(at) = bytes.len().checked_sub(OWNED_ACTOR_BYTES) else { return false };
    let (nonce, claimed) = bytes[at..].split_at(ACTOR_NONCE_BYTES);
    claimed == bound(peer, nonce)
}

fn bound(peer: &PeerId, nonce: &[u8]) -> [u8; 16] {
    let digest = Sha256::new().chain_update(ACTOR_LABEL).chain_update(peer.0).chain_update(nonce).finalize();
    let mut bound = [0; 16];
    bound.copy_from_slice(&digest[..16]);
    bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::to_hex;

    const OWNER: PeerId = PeerId([7; 32]);

    #[test]
    fn known_answers() {
        // Computed with Python's hashlib from the same bytes.
        assert_eq!(to_hex(&space_of(&OWNER, &[9; 16]).0), KNOWN_SPACE);
        assert_eq!(actor_of(&OWNER, &[1, 2, 3, 4, 5, 6, 7, 8]).to_string(), KNOWN_ACTOR);
    }

    const KNOWN_SPACE: &str = "6f776e6406824f539ab2be57900c90cb";
    const KNOWN_ACTOR: &str = "010203040506070808b174885f105bdc9435f6e50ff3674a";

    #[test]
    fn a_space_is_its_owners_and_an_actor_its_writers_and_nobody_elses() {
        let space = space_of(&OWNER, &[9; 16]);
        assert!(is_owned(&space) && !is_owned(&SpaceId::from_name("harbour")));
        assert_ne!(space, space_of(&PeerId([8; 32]), &[9; 16]));
        assert_ne!(space, space_of(&OWNER, &[8; 16]));
        let actor = actor_of(&OWNER, &[3; 8]);
        assert!(is_actor_of(&actor, &OWNER) && !is_actor_of(&actor, &PeerId([8; 32])));
        for at in 0..OWNED_ACTOR_BYTES {
            let mut other = actor.as_bytes().to_vec();
            other[at] ^= 1;
            assert!(!is_actor_of(&ActorId::new(&other).unwrap(), &OWNER), "byte {at} counts");
        }
    }

    #[test]
    fn what_automerge_puts_before_an_actor_leaves_it_the_same_writers() {
        let own = actor_of(&OWNER, &[3; 8]);
        let beside = [&[1u8, 2, 3, 4, 5][..], own.as_bytes()].concat();
        assert!(is_actor_of(&ActorId::new(&beside).unwrap(), &OWNER));
        assert!(!is_actor_of(&ActorId::new(&own.as_bytes()[1..]).unwrap(), &OWNER), "a part of it is not it");
        assert!(!is_actor_of(&ActorId::new(&[]).unwrap(), &OWNER));
    }
}
