//! The hello: which protocol, who is there, and proof of it.
//!
//! Each side sends a hello with a fresh challenge as soon as the connection is open, and signs both hellos once it has the
//! other's. A signature therefore proves the key to this peer, on this connection, in this role, and to no one else.
//! It proves possession and not acquaintance: which keys to trust is for others to decide.

use super::message::{ErrorCode, Hello, Message};
use crate::base::id::{PeerId, StoreEpoch};
use curve25519_dalek::montgomery::MontgomeryPoint;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// The newest version of the protocol this replica speaks.
pub const VERSION_MAX: u64 = 4;
/// The oldest version of the protocol this replica speaks.
pub const VERSION_MIN: u64 = 1;

/// What a replica says of itself to every peer.
#[derive(Clone)]
pub struct Identity {
    key: SigningKey,
    /// The life of its store.
    pub epoch: StoreEpoch,
    /// Whether it is a relay.
    pub relay: bool,
    /// What it calls itself.
    pub agent: String,
    /// The largest frame it takes.
    pub frame_bytes_max: u64,
    /// The newest version of the protocol it speaks: [`VERSION_MAX`], but where an upgrade is rehearsed.
    pub version_max: u64,
}

impl Identity {
    /// The identity of a secret Ed25519 key.
    pub fn new(secret: &[u8; 32], epoch: StoreEpoch, relay: bool, agent: String, frame_bytes_max: u64) -> Self {
        let key = SigningKey::from_bytes(secret);
        Self { key, epoch, relay, agent, frame_bytes_max, version_max: VERSION_MAX }
    }

    /// The public key.
    pub fn peer(&self) -> PeerId {
        PeerId(self.key.verifying_key().to_bytes())
    }

    /// What this key and the secret half of a public X25519 key have in common.
    pub fn agree(&self, public: &[u8; 32]) -> [u8; 32] {
        MontgomeryPoint(*public).mul_clamped(self.key.to_scalar_bytes()).to_bytes()
    }

    /// The secret key, 32 bytes, for what else can be done with it than to sign.
    pub fn secret(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// An Ed25519 signature of `message`, which must begin with a label that no other kind of message has.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

/// One side's part of a hello.
#[derive(Clone)]
pub struct Handshake {
    dialled: bool,
    mine: Hello,
    theirs: Option<Hello>,
}

/// What a refused hello is answered with before the connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of refusal.
    pub code: ErrorCode,
    /// A sentence for people.
    pub text: String,
}

impl Handshake {
    /// Begins a hello with a fresh challenge, and says what to send at once.
    pub fn begin(identity: &Identity, dialled: bool, challenge: [u8; 32]) -> (Self, Message) {
        let mine = Hello {
            version_min: VERSION_MIN,
            version_max: identity.version_max,
            peer: identity.peer(),
            challenge,
            epoch: identity.epoch,
            relay: identity.relay,
            frame_bytes_max: identity.frame_bytes_max,
            agent: identity.agent.clone(),
        };
        (Self { dialled, mine: mine.clone(), theirs: None }, Message::Hello(mine))
    }

    /// The peer's hello, once it is here.
    pub fn theirs(&self) -> Option<&Hello> {
        self.theirs.as_ref()
    }

    /// The version that both speak, once the peer's hello is here.
    pub fn version(&self) -> Option<u64> {
        self.theirs.as_ref().map(|theirs| theirs.version_max.min(self.mine.version_max))
    }

    /// Takes the peer's hello, and answers with the proof.
    pub fn handle_hello(&mut self, identity: &Identity, hello: Hello) -> Result<Message, Refusal> {
        if self.theirs.is_some() {
            return Err(Refusal { code: ErrorCode::OutOfOrder, text: "a second hello on one connection".to_owned() });
        }
        let newest = self.mine.version_max;
        if hello.version_min > newest || hello.version_max < VERSION_MIN {
            let text = format!(
                "no version of the protocol in common: this replica speaks {VERSION_MIN} to {newest}, the peer {} to {}; update the older one",
                hello.version_min, hello.version_max
            );
            return Err(Refusal { code: ErrorCode::UnsupportedVersion, text });
        }
        if hello.peer == self.mine.peer && hello.challenge == self.mine.challenge {
            return Err(Refusal { code: ErrorCode::SelfConnection, text: "connected to itself".to_owned() });
        }
        let signature = identity.key.sign(&transcript(self.dialled, &self.mine, &hello)).to_bytes();
        self.theirs = Some(hello);
        Ok(Message::Proof { signature })
    }

    /// Checks the peer's proof; afterwards the peer is who its hello says.
    pub fn handle_proof(&self, signature: &[u8; 64]) -> Result<&Hello, Refusal> {
        let Some(theirs) = &self.theirs else {
            return Err(Refusal { code: ErrorCode::OutOfOrder, text: "a proof before the hello".to_owned() });
        };
        let refused =
            || Refusal { code: ErrorCode::BadProof, text: "the signature does not prove the key of the hello".to_owned() };
        let key = VerifyingKey::from_bytes(&theirs.peer.0).map_err(|_| refused())?;
        key.verify_strict(&transcript(!self.dialled, theirs, &self.mine), &Signature::from_bytes(signature))
            .map_err(|_| refused())?;
        Ok(theirs)
    }
}

/// What a side signs: a label, whether it dialled, its hello and the other's, the hellos hashed.
fn transcript(signer_dialled: bool, signer: &Hello, other: &Hello) -> Vec<u8> {
    let mut bytes = b"driftline hello 1\0".to_vec();
    bytes.push(u8::from(signer_dialled));
    bytes.extend_from_slice(&Sha256::digest(Message::Hello(signer.clone()).encode()));
    bytes.extend_from_slice(&Sha256::digest(Message::Hello(other.clone()).encode()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(secret: u8) -> Identity {
        Identity::new(&[secret; 32], StoreEpoch([0; 16]), false, "test".to_owned(), 1 << 20)
    }

    fn hello_of(message: &Message) -> Hello {
        let Message::Hello(hello) = message else { panic!("a hello comes first") };
        hello.clone()
    }

    fn signature_of(message: &Message) -> [u8; 64] {
        let Message::Proof { signature } = message else { panic!("a proof comes second") };
        *signature
    }

    #[test]
    fn two_peers_prove_their_keys_to_each_other() {
        let (ada, bob) = (identity(1), identity(2));
        let (mut at_ada, from_ada) = Handshake::begin(&ada, true, [3; 32]);
        let (mut at_bob, from_bob) = Handshake::begin(&bob, false, [4; 32]);
        let ada_proof = at_ada.handle_hello(&ada, hello_of(&from_bob)).unwrap();
        let bob_proof = at_bob.handle_hello(&bob, hello_of(&from_ada)).unwrap();
        assert_eq!(at_ada.handle_proof(&signature_of(&bob_proof)).unwrap().peer, bob.peer());
        assert_eq!(at_bob.handle_proof(&signature_of(&ada_proof)).unwrap().peer, ada.peer());
    }

    #[test]
    fn a_proof_from_another_connection_or_role_or_key_is_refused() {
        let (ada, bob, eve) = (identity(1), identity(2), identity(5));
        let (mut at_ada, from_ada) = Handshake::begin(&ada, true, [3; 32]);
        let (mut at_bob, from_bob) = Handshake::begin(&bob, false, [4; 32]);
        at_ada.handle_hello(&ada, hello_of(&from_bob)).unwrap();
        let good = signature_of(&at_bob.handle_hello(&bob, hello_of(&from_ada)).unwrap());

        // The same hellos with a fresh challenge: what was signed before proves nothing now.
        let (mut later, _) = Handshake::begin(&ada, true, [9; 32]);
        later.handle_hello(&ada, hello_of(&from_bob)).unwrap();
        assert_eq!(later.handle_proof(&good).unwrap_err().code, ErrorCode::BadProof);

        // Eve repeats Bob's hello but has not his key.
        let mut forged = Handshake { dialled: false, mine: hello_of(&from_bob), theirs: None };
        let by_eve = signature_of(&forged.handle_hello(&eve, hello_of(&from_ada)).unwrap());
        assert_eq!(at_ada.handle_proof(&by_eve).unwrap_err().code, ErrorCode::BadProof);

        // Bob's proof sent back to Bob.
        assert_eq!(at_bob.handle_proof(&good).unwrap_err().code, ErrorCode::BadProof);
        assert!(at_ada.handle_proof(&good).is_ok());
    }

    #[test]
    fn the_newest_version_that_both_know_is_spoken() {
        for (ours, theirs, spoken) in [(2, 2, 2), (1, 2, 1), (2, 1, 1), (2, 9, 2), (4, 3, 3), (3, 4, 3), (4, 9, 4)] {
            let (mut ada, bob) = (identity(1), identity(2));
            ada.version_max = ours;
            let (mut at_ada, from_ada) = Handshake::begin(&ada, true, [3; 32]);
            assert_eq!((hello_of(&from_ada).version_max, at_ada.version()), (ours, None));
            let (_, from_bob) = Handshake::begin(&bob, false, [4; 32]);
            let mut hello = hello_of(&from_bob);
            hello.version_max = theirs;
            at_ada.handle_hello(&ada, hello).unwrap();
            assert_eq!(at_ada.version(), Some(spoken));
        }
    }

    #[test]
    fn a_peer_without_a_common_version_is_told_which_to_update() {
        let ada = identity(1);
        let (mut at_ada, _) = Handshake::begin(&ada, true, [3; 32]);
        let (_, from_bob) = Handshake::begin(&identity(2), false, [4; 32]);
        let mut newer = hello_of(&from_bob);
        (newer.version_min, newer.version_max) = (7, 9);
        let refusal = at_ada.handle_hello(&ada, newer).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::UnsupportedVersion);
        assert!(refusal.text.contains("7 to 9"));
    }
}
