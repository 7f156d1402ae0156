//! Words that only members read: what people show of themselves while they are here, and what they are called.

use super::aead::{self, NONCE_BYTES};
use super::key::EpochId;
use super::keyring::Keyring;
use super::padding::{pad, unpad};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const LABEL: &[u8] = b"driftline sealed words 1\0";

impl Keyring {
    /// Seals words under an epoch's key, bound to where they stand; nothing where the key is not here. The nonce was drawn for it.
    pub fn seal_words(&self, (epoch, nonce): (EpochId, [u8; NONCE_BYTES]), place: &[u8], words: &[u8]) -> Option<Vec<u8>> {
        let beside = [LABEL, &self.space().0, place].concat();
        let sealed = aead::seal(&self.keys(&epoch)?.words, &nonce, &beside, &pad(words));
        Some([&epoch.tag()[..], &nonce, &sealed].concat())
    }

    /// The words under a seal; nothing where the key is not here, or it was altered or stands in another place.
    pub fn open_words(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (tag, rest) = sealed.split_first_chunk::<4>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let beside = [LABEL, &self.space().0, place].concat();
        self.of_tag(*tag).find_map(|keys| aead::open(&keys.words, nonce, &beside, sealed)).and_then(unpad)
    }

    /// The same as text, for where text is carried: base64url without padding.
    pub fn seal_text(&self, under: (EpochId, [u8; NONCE_BYTES]), place: &[u8], text: &str) -> Option<String> {
        self.seal_words(under, place, text.as_bytes()).map(|sealed| URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What [`Self::seal_text`] sealed.
    pub fn open_text(&self, place: &[u8], sealed: &str) -> Option<String> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        String::from_utf8(self.open_words(place, &sealed)?).ok()
    }
}
