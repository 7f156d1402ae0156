//! The founding of an owned space, by somebody who is no replica.

use super::dice::Dice;
use driftline_core::trust::invitation::Invitation;
use driftline_core::trust::key::{SecretKey, Signer as _};
use driftline_core::trust::owned::space_of;
use driftline_core::trust::statement::{Claim, Grant, Level, Statement};

/// A link to a space of someone who made it and went away: whoever has it may write there.
pub fn invitation(dice: &mut Dice) -> Invitation {
    let (owner, secret) = (SecretKey::new(&dice.bytes()), dice.bytes());
    let nonce = dice.bytes();
    let space = space_of(&owner.peer(), &nonce);
    let grant = Grant {
        issuer: owner.peer(),
        parent: None,
        subject: SecretKey::new(&secret).peer(),
        level: Level::Write,
        depth: 1,
        expires: 0,
        is_link: true,
        serial: dice.bytes(),
        note: Vec::new(),
    };
    let claims = [Claim::Founding { owner: owner.peer(), nonce }, Claim::Grant(grant)];
    let chain = claims.map(|claim| Statement::sign(&space, claim, &owner).bytes().to_vec());
    Invitation { space, secret, chain: chain.to_vec(), relays: Vec::new(), key: None }
}
