//! Recovery phrases: a replica's secret key as 24 words, to be written down by people.
//!
//! The words are those of BIP-39 in English, and stand for the key itself with eight bits that tell when a word is wrong. Whoever has the
//! phrase has the key, and no more is needed to be that replica again.

use super::limits::PHRASE_BYTES_MAX;
use bip39::{Language, Mnemonic};

/// How many words a phrase has.
pub const PHRASE_WORDS: usize = 24;

/// Why text is not a phrase. Caused by whoever typed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// It has fewer or more words.
    #[error("a recovery phrase has {PHRASE_WORDS} words, and this has {0}")]
    Count(usize),
    /// A word is not one of the list.
    #[error("word {0} of the recovery phrase is not a word of the list: look for a mistyped letter")]
    Word(usize),
    /// They are words of the list, and do not fit together.
    #[error("the words of the recovery phrase do not fit together: one is another, or they are in another order")]
    Check,
}

/// The phrase of a secret key.
pub fn phrase_of(secret: &[u8; 32]) -> String {
    let mnemonic = Mnemonic::from_entropy_in(Language::English, secret).expect("32 bytes make 24 words");
    mnemonic.words().collect::<Vec<_>>().join(" ")
}

/// The secret key that a phrase stands for. Case and the space between words do not matter.
///
/// # Errors
///
/// It is not a phrase.
pub fn secret_of(phrase: &str) -> Result<[u8; 32], PhraseError> {
    let phrase = phrase.get(..PHRASE_BYTES_MAX).unwrap_or(phrase).to_lowercase();
    let words: Vec<&str> = phrase.split_whitespace().collect();
    if words.len() != PHRASE_WORDS {
        return Err(PhraseError::Count(words.len()));
    }
    match Mnemonic::parse_in_normalized(Language::English, &words.join(" ")) {
        Ok(mnemonic) => {
            let (bytes, _) = mnemonic.to_entropy_array();
            Ok(*bytes.first_chunk().expect("24 words stand for 32 bytes"))
        }
        Err(bip39::Error::UnknownWord(at)) => Err(PhraseError::Word(at + 1)),
        Err(_) => Err(PhraseError::Check),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of BIP-39's own test vectors: 32 bytes of 0x7f, and of 0x80.
    const KNOWN: &[(u8, &str)] = &[
        (
            0x7f,
            "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth title",
        ),
        (
            0x80,
            "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless",
        ),
    ];

    #[test]
    fn known_answers_in_both_directions_however_they_are_typed() {
        for (byte, phrase) in KNOWN {
            assert_eq!(phrase_of(&[*byte; 32]), *phrase);
            assert_eq!(secret_of(phrase), Ok([*byte; 32]));
            assert_eq!(secret_of(&format!("\n {}  ", phrase.to_uppercase().replace(' ', "\n"))), Ok([*byte; 32]));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let (_, phrase) = KNOWN[0];
        assert_eq!(secret_of("legal winner"), Err(PhraseError::Count(2)));
        assert_eq!(secret_of(""), Err(PhraseError::Count(0)));
        assert_eq!(secret_of(&phrase.replacen("sausage", "sausages", 1)), Err(PhraseError::Word(6)));
        assert_eq!(secret_of(&phrase.replacen("sausage", "legal", 1)), Err(PhraseError::Check));
        assert!(secret_of(&"ä".repeat(2_000)).is_err(), "no phrase, and no panic where it is cut");
    }
}
