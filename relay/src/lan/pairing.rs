//! First contact: two peers prove to each other that they were given the same code, and agree on the space they will share.
//!
//! The connection below has proved already that each side holds the key of its peer id, and nobody reads or alters what it carries. What is left to show is
//! that the person who started one program started the other too. Each side answers the other's fresh nonce with an HMAC, under a key made from the code, of both
//! peer ids, both nonces and its own role; so a proof is good for this pair, this once and this direction. Someone between the two has an id of its own on
//! each side, and neither side's proof fits the other.
//!
//! ```text
//! opener     1 (version), 32 bytes nonce
//! answerer   1 (version), 32 bytes nonce
//! opener     32 bytes proof                    wrong: the stream is closed, without a word
//! answerer   32 bytes proof, offer             an offer: flag settled, 16 bytes space, length and UTF-8 of a name
//! opener     offer
//! both       1 when the other is on the own list durably; 0 when the spaces differ
//! ```
//!
//! The side that opened proves first: whoever calls here and does not know the code learns nothing but a nonce.

use super::code::PairingCode;
use super::limits::{NAME_BYTES_MAX, PAIRING_TIME_MAX};
use driftline_core::base::id::{PeerId, SpaceId};
use futures_util::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::io;

/// The version of this exchange, its first byte each way.
const VERSION: u8 = 1;
/// What keeps keys made from codes apart from all others.
const SALT: &[u8] = b"driftline pairing 1";
/// Bytes of a proof and of a nonce.
const PROOF_BYTES: usize = 32;

/// Which side of a pairing one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It opened the stream.
    Opener,
    /// The other did.
    Answerer,
}

/// The space that a peer brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// Whether it has this space already, and cannot take another.
    pub(super) settled: bool,
    /// The space; one that it made up and gives up for the other's, unless it is settled.
    pub(super) space: SpaceId,
}

/// What a pairing came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Paired {
    /// The space both share.
    pub(super) space: SpaceId,
    /// What the other calls itself.
    pub(super) name: String,
}

/// Why a pairing came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum PairingError {
    /// The other side is pairing with someone else, or left before it said anything.
    #[error("it was busy")]
    Busy,
    /// The other side was given another code. (Or it speaks another version.)
    #[error("it was given another code")]
    WrongCode,
    /// Both sides have a space already, and not the same.
    #[error("it shares another space already: start one of the two with a new --data folder")]
    OtherSpace,
    /// The list could not be written.
    #[error("the list of peers cannot be written: {0}")]
    List(io::Error),
    /// The stream broke, or took too long.
    #[error("{0}")]
    Broken(io::Error),
}

/// Pairs over `stream`. `enlist` is called once the other has proved that it knows the code and the space is agreed, and must make both durable.
///
/// Whoever is called back has the other's word that it is on its list too only when this returns `Ok`.
pub(super) async fn pair<S, E>(
    stream: S,
    role: Role,
    own: PeerId,
    other: PeerId,
    code: &PairingCode,
    offer: (Offer, &str),
    enlist: E,
) -> Result<Paired, PairingError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    E: AsyncFnOnce(&Paired) -> io::Result<()>,
{
    let exchange = exchange(stream, role, own, other, code, offer, enlist);
    match tokio::time::timeout(PAIRING_TIME_MAX, exchange).await {
        Ok(paired) => paired,
        Err(_) => Err(PairingError::Broken(io::ErrorKind::TimedOut.into())),
    }
}

async fn exchange<S, E>(
    mut stream: S,
    role: Role,
    own: PeerId,
    other: PeerId,
    code: &PairingCode,
    (offer, name): (Offer, &str),
    enlist: E,
) -> Result<Paired, PairingError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    E: AsyncFnOnce(&Paired) -> io::Result<()>,
{
    let nonce: [u8; PROOF_BYTES] = crate::repo::random();
    let mut hello = [VERSION; 1 + PROOF_BYTES];
    hello[1..].copy_from_slice(&nonce);
    let mut theirs = [0; 1 + PROOF_BYTES];
    if role == Role::Opener {
        send(&mut stream, &hello).await?;
        stream.read_exact(&mut theirs).await.map_err(|_| PairingError::Busy)?;
    } else {
        receive(&mut stream, &mut theirs).await?;
        send(&mut stream, &hello).await?;
    }
    if theirs[0] != VERSION {
        return Err(PairingError::WrongCode);
    }
    let their_nonce: [u8; PROOF_BYTES] = theirs[1..].try_into().expect("so many bytes were read");
    let proofs = match role {
        Role::Opener => Proofs { code, opener: own, answerer: other, nonces: [nonce, their_nonce] },
        Role::Answerer => Proofs { code, opener: other, answerer: own, nonces: [their_nonce, nonce] },
    };

    let own_offer = encode_offer(offer, name);
    let (their_offer, their_name) = if role == Role::Opener {
        send(&mut stream, &proofs.of(Role::Opener)).await?;
        let mut proof = [0; PROOF_BYTES];
        // Who closes here would not have the proof.
        stream.read_exact(&mut proof).await.map_err(|_| PairingError::WrongCode)?;
        proofs.check(Role::Answerer, &proof)?;
        send(&mut stream, &own_offer).await?;
        receive_offer(&mut stream).await?
    } else {
        let mut proof = [0; PROOF_BYTES];
        receive(&mut stream, &mut proof).await?;
        proofs.check(Role::Opener, &proof)?;
        let mut answer = proofs.of(Role::Answerer).to_vec();
        answer.extend_from_slice(&own_offer);
        send(&mut stream, &answer).await?;
        receive_offer(&mut stream).await?
    };

    let Some(space) = agree((own, offer), (other, their_offer)) else {
        drop(send(&mut stream, &[0]).await);
        return Err(PairingError::OtherSpace);
    };
    let paired = Paired { space, name: their_name };
    enlist(&paired).await.map_err(PairingError::List)?;
    send(&mut stream, &[1]).await?;
    let mut done = [0];
    receive(&mut stream, &mut done).await?;
    // Nothing more is said; who closes first does not matter.
    drop(stream.close().await);
    if done == [1] { Ok(paired) } else { Err(PairingError::OtherSpace) }
}

/// The space two offers come to: the one that is settled; of two that were made up, that of the lower peer.
fn agree(own: (PeerId, Offer), other: (PeerId, Offer)) -> Option<SpaceId> {
    let (left, right) = if own.0 < other.0 { (own.1, other.1) } else { (other.1, own.1) };
    match (left.settled, right.settled) {
        (true, true) => (left.space == right.space).then_some(left.space),
        (false, true) => Some(right.space),
        _ => Some(left.space),
    }
}

/// What the proofs of one pairing are made of.
struct Proofs<'a> {
    code: &'a PairingCode,
    opener: PeerId,
    answerer: PeerId,
    /// The opener's, then the answerer's.
    nonces: [[u8; PROOF_BYTES]; 2],
}

impl Proofs<'_> {
    fn mac(&self, role: Role) -> Hmac<Sha256> {
        let mut key = [0; PROOF_BYTES];
        Hkdf::<Sha256>::new(Some(SALT), self.code.bytes()).expand(b"proof", &mut key).expect("32 bytes can be had");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any key will do");
        let role = match role {
            Role::Opener => b'o',
            Role::Answerer => b'a',
        };
        mac.update(&[VERSION, role]);
        for part in [&self.opener.0, &self.answerer.0, &self.nonces[0], &self.nonces[1]] {
            mac.update(part);
        }
        mac
    }

    fn of(&self, role: Role) -> [u8; PROOF_BYTES] {
        self.mac(role).finalize().into_bytes().into()
    }

    /// Compares in constant time.
    fn check(&self, role: Role, proof: &[u8; PROOF_BYTES]) -> Result<(), PairingError> {
        self.mac(role).verify_slice(proof).map_err(|_| PairingError::WrongCode)
    }
}

fn encode_offer(offer: Offer, name: &str) -> Vec<u8> {
    let mut end = name.len().min(NAME_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let mut bytes = vec![u8::from(offer.settled)];
    bytes.extend_from_slice(&offer.space.0);
    bytes.push(end as u8);
    bytes.extend_from_slice(&name.as_bytes()[..end]);
    bytes
}

async fn receive_offer(stream: &mut (impl AsyncRead + Unpin)) -> Result<(Offer, String), PairingError> {
    let mut fixed = [0; 18];
    receive(stream, &mut fixed).await?;
    let invalid = || PairingError::Broken(io::ErrorKind::InvalidData.into());
    let name_bytes = usize::from(fixed[17]);
    if fixed[0] > 1 || name_bytes > NAME_BYTES_MAX {
        return Err(invalid());
    }
    let mut name = vec![0; name_bytes];
    receive(stream, &mut name).await?;
    let name = String::from_utf8(name).map_err(|_| invalid())?;
    // It will be shown: nothing in it may move a terminal's cursor.
    let name = name.chars().filter(|letter| !letter.is_control()).collect();
    let space = SpaceId(fixed[1..17].try_into().expect("so many bytes were read"));
    Ok((Offer { settled: fixed[0] == 1, space }, name))
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), PairingError> {
    let sending = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    sending.await.map_err(PairingError::Broken)
}

async fn receive(stream: &mut (impl AsyncRead + Unpin), bytes: &mut [u8]) -> Result<(), PairingError> {
    stream.read_exact(bytes).await.map_err(PairingError::Broken)
}

#[cfg(test)]
mod tests;
