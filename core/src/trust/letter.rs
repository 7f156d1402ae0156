//! Letters: a few sealed bytes for one key, which wait at relays until whoever has the key comes by.
//!
//! On the outside stand the recipient's key and when the letter ends, and nothing else: a relay need know no more to keep it. Inside are
//! the sender's key, the kind, the content, and the sender's signature over these, the recipient and the end, so that nobody can pass
//! a letter on as if it had been written to someone else. The inside is filled up to one of a few sizes.

use super::key::{SIGNATURE_BYTES, Signer, is_signed_by};
use super::sealed_box::{BOX_OVERHEAD_BYTES, BoxError, Unsealer, seal};
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{LetterId, PeerId};
use crate::base::limits::{LETTER_BYTES_MAX, LETTER_KIND_BYTES_MAX};
use sha2::{Digest as _, Sha256};

const LABEL: &[u8] = b"driftline letter 1\0";
const SIGNED_LABEL: &[u8] = b"driftline letter content 1\0";
const TAKEN_LABEL: &[u8] = b"driftline letter taken 1\0";

/// The smallest size that the inside of a letter is filled up to; the others are twice, four times, ... as large.
const FILLED_BYTES_MIN: usize = 512;
/// What the outside has beside the sealed inside: a key, a time, a length.
const OUTSIDE_BYTES_MAX: usize = 32 + 10 + 3;

/// A letter as relays see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// For whom.
    pub recipient: PeerId,
    /// When it ends, in seconds of Unix time: nobody keeps it longer.
    pub expires: u64,
    /// The sealed inside.
    pub body: Vec<u8>,
}

/// What is inside a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Who wrote it; the signature was checked.
    pub sender: PeerId,
    /// What it is, by agreement among apps, such as `invitation`.
    pub kind: String,
    /// The content.
    pub bytes: Vec<u8>,
}

/// Why a letter could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    /// It does not decode.
    #[error("the letter cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// It cannot be sealed or opened.
    #[error(transparent)]
    Box(#[from] BoxError),
    /// The signature inside proves nothing.
    #[error("the letter is not signed by whom it says it is from")]
    Signature,
    /// There is more in it than there may be.
    #[error("a letter may have {LETTER_BYTES_MAX} bytes when it is sealed; {0} do not go in: send less")]
    TooLarge(usize),
    /// The kind is too long.
    #[error("the kind of a letter may have {LETTER_KIND_BYTES_MAX} bytes")]
    KindTooLong,
}

impl Letter {
    /// Writes and seals a letter, with a secret drawn for it alone.
    ///
    /// # Errors
    ///
    /// It would be too large, or the recipient's key is none.
    pub fn write(
        from: &impl Signer,
        recipient: PeerId,
        expires: u64,
        kind: &str,
        content: &[u8],
        drawn: [u8; 32],
    ) -> Result<Self, LetterError> {
        if kind.len() > LETTER_KIND_BYTES_MAX {
            return Err(LetterError::KindTooLong);
        }
        let sender = from.peer();
        let mut w = Writer::new();
        w.put(&sender.0);
        w.text(kind);
        w.bytes(content);
        w.put(&from.sign(&signed(&recipient, expires, &sender, kind, content)));
        let mut inside = w.finish();
        inside.resize(filled_bytes(inside.len()), 0);
        if inside.len() + BOX_OVERHEAD_BYTES + OUTSIDE_BYTES_MAX > LETTER_BYTES_MAX {
            return Err(LetterError::TooLarge(content.len()));
        }
        let body = seal(&recipient, drawn, &context(&recipient, expires), &inside)?;
        Ok(Self { recipient, expires, body })
    }

    /// What is inside.
    ///
    /// # Errors
    ///
    /// It was not sealed for this key, or does not read, or the signature proves nothing.
    pub fn open(&self, unsealer: &Unsealer) -> Result<Content, LetterError> {
        let inside = unsealer.open(&context(&self.recipient, self.expires), &self.body)?;
        let mut r = Reader::new(&inside);
        let sender = PeerId(r.array()?);
        let kind = r.text(LETTER_KIND_BYTES_MAX)?;
        let bytes = r.bytes(LETTER_BYTES_MAX)?.to_vec();
        let signature: [u8; SIGNATURE_BYTES] = r.array()?;
        // What it was filled up with is the sender's, and means nothing.
        if !is_signed_by(&sender, &signed(&self.recipient, self.expires, &sender, &kind, &bytes), &signature) {
            return Err(LetterError::Signature);
        }
        Ok(Content { sender, kind, bytes })
    }

    /// By what it is known everywhere: the SHA-256 of all of it.
    pub fn id(&self) -> LetterId {
        LetterId(Sha256::new().chain_update(LABEL).chain_update(self.to_bytes()).finalize().into())
    }

    /// The bytes of it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(self.body.len() + OUTSIDE_BYTES_MAX);
        w.put(&self.recipient.0);
        w.uint(self.expires);
        w.bytes(&self.body);
        w.finish()
    }

    /// Reads what was written.
    ///
    /// # Errors
    ///
    /// It does not decode, or is larger than a letter may be.
    pub fn decode(bytes: &[u8]) -> Result<Self, LetterError> {
        if bytes.len() > LETTER_BYTES_MAX {
            return Err(LetterError::TooLarge(bytes.len()));
        }
        let mut r = Reader::new(bytes);
        let letter = Self { recipient: PeerId(r.array()?), expires: r.uint()?, body: r.bytes(LETTER_BYTES_MAX)?.to_vec() };
        r.end()?;
        Ok(letter)
    }
}

/// The recipient's word that it durably holds a letter, or wants it no more: with it everyone else may let go of it.
pub fn sign_taken(recipient: &impl Signer, letter: &LetterId) -> [u8; SIGNATURE_BYTES] {
    recipient.sign(&taken(letter))
}

/// Whether that is the recipient's word.
pub fn is_taken_by(recipient: &PeerId, letter: &LetterId, signature: &[u8; SIGNATURE_BYTES]) -> bool {
    is_signed_by(recipient, &taken(letter), signature)
}

fn taken(letter: &LetterId) -> Vec<u8> {
    [TAKEN_LABEL, &letter.0].concat()
}

/// What the seal is bound to, beside the key.
fn context(recipient: &PeerId, expires: u64) -> Vec<u8> {
    let mut w = Writer::new();
    w.put(LABEL);
    w.put(&recipient.0);
    w.uint(expires);
    w.finish()
}

fn signed(recipient: &PeerId, expires: u64, sender: &PeerId, kind: &str, content: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.put(SIGNED_LABEL);
    w.put(&recipient.0);
    w.uint(expires);
    w.put(&sender.0);
    w.text(kind);
    w.bytes(content);
    w.finish()
}

/// The size that so many bytes are filled up to.
fn filled_bytes(bytes: usize) -> usize {
    bytes.max(FILLED_BYTES_MIN).checked_next_power_of_two().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::to_hex;
    use crate::trust::key::SecretKey;
    use proptest::prelude::*;

    /// Computed in Python by `docs/protocol.md` alone, as the box's.
    const KNOWN_ID: &str = "20bb8639b19207c9278d5774ae88f0ff2cd8bf3d30bbfbe25401c1bcf59579b5";
    const KNOWN_BEGIN: &str = concat!(
        "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b39480a4a7da06b0045dfedd3b6bd47f6fa28ee1",
        "5d969d5bb0ea53774d488bdaf9df"
    );
    const KNOWN_TAKEN: &str = concat!(
        "fbac9468c2ef55bb0d04e873147031a5587579827f471629ae6e43203f9685ee14140064ebae2fa3fcc4d718754fd00905c5",
        "de71ee365577ff45a68d21851e0d"
    );

    fn anna() -> SecretKey {
        SecretKey::new(&[1; 32])
    }

    fn bens() -> Unsealer {
        Unsealer::new(&[2; 32])
    }

    fn letter(content: &[u8]) -> Letter {
        Letter::write(&anna(), bens().recipient(), 1_800_000_000, "invitation", content, [3; 32]).unwrap()
    }

    #[test]
    fn a_known_answer() {
        let letter = letter(b"driftline:join#abc");
        assert_eq!(to_hex(&letter.to_bytes()[..64]), KNOWN_BEGIN);
        assert_eq!(letter.id().to_string(), KNOWN_ID);
        assert_eq!(to_hex(&sign_taken(&SecretKey::new(&[2; 32]), &letter.id())), KNOWN_TAKEN);
        let content = letter.open(&bens()).unwrap();
        assert_eq!((content.sender, content.kind.as_str()), (anna().peer(), "invitation"));
        assert_eq!(content.bytes, b"driftline:join#abc");
    }

    #[test]
    fn its_size_tells_little_and_what_does_not_go_in_is_said() {
        assert_eq!(letter(b"").to_bytes().len(), letter(&[7; 300]).to_bytes().len());
        assert!(letter(&[7; 16_000]).to_bytes().len() < LETTER_BYTES_MAX);
        let too_large = Letter::write(&anna(), bens().recipient(), 0, "", &[7; LETTER_BYTES_MAX], [3; 32]);
        assert_eq!(too_large, Err(LetterError::TooLarge(LETTER_BYTES_MAX)));
        let kind = "k".repeat(LETTER_KIND_BYTES_MAX + 1);
        assert_eq!(Letter::write(&anna(), bens().recipient(), 0, &kind, b"", [3; 32]), Err(LetterError::KindTooLong));
        assert_eq!(Letter::decode(&[0; LETTER_BYTES_MAX + 1]), Err(LetterError::TooLarge(LETTER_BYTES_MAX + 1)));
    }

    #[test]
    fn nobody_prolongs_it_redirects_it_or_signs_for_the_sender_or_the_recipient() {
        let letter = letter(b"calm");
        let later = Letter { expires: letter.expires + 1, ..letter.clone() };
        assert_eq!(later.open(&bens()), Err(BoxError::Sealed.into()));
        assert_eq!(letter.open(&Unsealer::new(&[9; 32])), Err(BoxError::Sealed.into()));
        // What Ben was written, sealed anew for Cat.
        let cats = Unsealer::new(&[4; 32]);
        let inside = bens().open(&context(&letter.recipient, letter.expires), &letter.body).unwrap();
        let body = seal(&cats.recipient(), [5; 32], &context(&cats.recipient(), letter.expires), &inside).unwrap();
        let passed_on = Letter { recipient: cats.recipient(), expires: letter.expires, body };
        assert_eq!(passed_on.open(&cats), Err(LetterError::Signature));
        let taken = sign_taken(&SecretKey::new(&[2; 32]), &letter.id());
        assert!(is_taken_by(&letter.recipient, &letter.id(), &taken));
        assert!(
            !is_taken_by(&anna().peer(), &letter.id(), &taken) && !is_taken_by(&letter.recipient, &LetterId([0; 32]), &taken)
        );
    }

    proptest! {
        #[test]
        fn a_letter_reads_back_and_any_bytes_are_legal_input(
            kind in ".{0,16}", content in proptest::collection::vec(any::<u8>(), 0..2_000), expires: u64, junk: Vec<u8>,
        ) {
            let letter = Letter::write(&anna(), bens().recipient(), expires, &kind, &content, [3; 32]).unwrap();
            let again = Letter::decode(&letter.to_bytes()).unwrap();
            prop_assert_eq!(&again, &letter);
            let opened = again.open(&bens()).unwrap();
            prop_assert_eq!((opened.kind, opened.bytes), (kind, content));
            if let Ok(read) = Letter::decode(&junk) {
                prop_assert_eq!(read.to_bytes(), junk);
            }
        }
    }
}
