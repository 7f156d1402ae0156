//! XChaCha20-Poly1305, as everything here is sealed with it.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

/// Bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = 24;
/// Bytes by which what is sealed is longer.
pub(crate) const TAG_BYTES: usize = 16;

/// Seals `plain`, bound to `beside`. A nonce must not be used twice with one key.
pub(crate) fn seal(key: &[u8; 32], nonce: &[u8; NONCE_BYTES], beside: &[u8], plain: &[u8]) -> Vec<u8> {
    let cipher = XChaCha20Poly1305::new(key.into());
    match cipher.encrypt(&XNonce::from(*nonce), Payload { msg: plain, aad: beside }) {
        Ok(sealed) => sealed,
        Err(_) => unreachable!("what is in memory is not too long for the cipher"),
    }
}

/// What was sealed; nothing where a byte of it, or of `beside`, is not what it was.
pub(crate) fn open(key: &[u8; 32], nonce: &[u8; NONCE_BYTES], beside: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: beside }).ok()
}

#[cfg(test)]
mod tests {
    use crate::base::id::{from_hex, to_hex};

    #[test]
    fn the_vector_of_the_draft() {
        // draft-irtf-cfrg-xchacha-03, A.3.1.
        let key: [u8; 32] = std::array::from_fn(|at| 0x80 + at as u8);
        let nonce: [u8; 24] = std::array::from_fn(|at| 0x40 + at as u8);
        let beside = from_hex("50515253c0c1c2c3c4c5c6c7").unwrap();
        let plain =
            b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let sealed = super::seal(&key, &nonce, &beside, plain);
        assert!(to_hex(&sealed).starts_with("bd6d179d3e83d43b9576579493c0e939"));
        assert!(to_hex(&sealed).ends_with("c0875924c1c7987947deafd8780acf49"));
        assert_eq!(super::open(&key, &nonce, &beside, &sealed).as_deref(), Some(&plain[..]));
        assert_eq!(super::open(&key, &nonce, &[], &sealed), None);
    }
}
