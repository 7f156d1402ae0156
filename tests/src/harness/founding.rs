//! The founding of an owned space, by somebody who is no replica.

use super::dice::Dice;
use driftline_core::trust::invitation::Invitation;
use driftline_core::trust::key::{SecretKey, Signer as _};
use driftline_core::trust::owned::space_of;
use driftline_core::trust::statement::{Claim, Grant, Level, Statement};

/// A space of someone who made it, and links to it.
pub struct Founding {
    /// The owner's secret key.
    pub owner: [u8; 32],
    /// Links, by which whoever has one may write there, each until its time in seconds of Unix time.
    pub links: Vec<Invitation>,
}

/// Founds a space, and makes a link for each of these ends; 0 is none.
pub fn found(dice: &mut Dice, ends: &[u64]) -> Founding {
    let (owner, first) = (dice.bytes(), dice.bytes());
    let nonce = dice.bytes();
    let mut links = Vec::new();
    for (at, expires) in ends.iter().enumerate() {
        let secret = if at == 0 { first } else { dice.bytes() };
        links.push(link(dice, &SecretKey::new(&owner), nonce, secret, *expires));
    }
    Founding { owner, links }
}

fn link(dice: &mut Dice, owner: &SecretKey, nonce: [u8; 16], secret: [u8; 32], expires: u64) -> Invitation {
    let space = space_of(&owner.peer(), &nonce);
    let grant = Grant {
        issuer: owner.peer(),
        parent: None,
        subject: SecretKey::new(&secret).peer(),
        level: Level::Write,
        depth: 1,
        expires,
        is_link: true,
        serial: dice.bytes(),
        note: Vec::new(),
    };
    let claims = [Claim::Founding { owner: owner.peer(), nonce }, Claim::Grant(grant)];
    let chain = claims.map(|claim| Statement::sign(&space, claim, owner).bytes().to_vec());
    Invitation { space, secret, chain: chain.to_vec(), relays: Vec::new(), key: None }
}
