//! A pairing code: 80 random bits that one person can read to another and type without error.
//!
//! Sixteen letters and digits of Crockford's base 32 and a check symbol, in groups: `7KQ2-9XMF-3TWD-H8VN-P`. Eighty bits are more than
//! anyone can try out, also at home with a recorded proof: that is why a plain proof is enough and no password protocol is needed.

use std::fmt;
use std::str::FromStr;

/// Crockford's alphabet: digits and letters without I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Symbols before the check symbol: 80 bits.
const SYMBOLS: usize = 16;

/// A pairing code.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingCode([u8; 10]);

/// Why a text is no pairing code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// A letter that no code has.
    #[error("a pairing code has no {0:?}: it looks like 7KQ2-9XMF-3TWD-H8VN-P")]
    Symbol(char),
    /// Too short or too long.
    #[error("a pairing code has 17 letters and digits, and this has {0}; make one with `driftline peer --pair`")]
    Length(usize),
    /// The check symbol does not fit.
    #[error("this pairing code is mistyped: compare it with the other machine's, letter by letter")]
    Check,
}

impl PairingCode {
    /// A code that nobody has had before.
    ///
    /// # Panics
    ///
    /// When the system gives no randomness.
    pub fn fresh() -> Self {
        Self(crate::repo::random())
    }

    /// The secret bytes.
    pub(super) fn bytes(&self) -> &[u8; 10] {
        &self.0
    }

    fn symbols(&self) -> [u8; SYMBOLS] {
        let bits = self.0.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
        std::array::from_fn(|at| (bits >> (5 * (SYMBOLS - 1 - at)) & 31) as u8)
    }
}

/// The check symbol: the symbols as a polynomial over the field of 32 elements, at a primitive element. It finds every single mistyped
/// symbol and every two neighbours that changed places.
fn check(symbols: &[u8]) -> u8 {
    // x^5 + x^2 + 1 is primitive.
    let times_x = |symbol: u8| if symbol & 16 == 0 { symbol << 1 } else { (symbol << 1) ^ 0b10_0101 };
    symbols.iter().fold(0, |sum, symbol| times_x(sum ^ symbol))
}

impl fmt::Display for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbols = self.symbols();
        for group in symbols.chunks(4) {
            for symbol in group {
                write!(f, "{}", char::from(ALPHABET[usize::from(*symbol)]))?;
            }
            f.write_str("-")?;
        }
        write!(f, "{}", char::from(ALPHABET[usize::from(check(&symbols))]))
    }
}

/// Codes are secrets: they are shown where someone asks for them, and not in logs.
impl fmt::Debug for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingCode")
    }
}

impl FromStr for PairingCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let mut symbols = Vec::with_capacity(SYMBOLS + 1);
        for letter in text.chars().filter(|letter| !letter.is_whitespace() && *letter != '-') {
            let meant = match letter.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let symbol = ALPHABET.iter().position(|known| char::from(*known) == meant).ok_or(CodeError::Symbol(letter))?;
            symbols.push(symbol as u8);
        }
        if symbols.len() != SYMBOLS + 1 {
            return Err(CodeError::Length(symbols.len()));
        }
        if check(&symbols[..SYMBOLS]) != symbols[SYMBOLS] {
            return Err(CodeError::Check);
        }
        let bits = symbols[..SYMBOLS].iter().fold(0_u128, |bits, symbol| bits << 5 | u128::from(*symbol));
        Ok(Self(std::array::from_fn(|at| (bits >> (8 * (9 - at))) as u8)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_what_was_typed_however_it_was_typed() {
        let code = PairingCode([0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x0f, 0xff]);
        let shown = code.to_string();
        assert_eq!(shown.len(), 21, "{shown}");
        assert_eq!(shown.parse(), Ok(code.clone()));
        assert_eq!(shown.to_lowercase().replace('-', " ").parse(), Ok(code.clone()));
        assert_eq!(shown.replace('0', "o").replace('1', "l").parse(), Ok(code));
        assert_ne!(PairingCode::fresh(), PairingCode::fresh());
    }

    #[test]
    fn every_single_mistake_and_every_change_of_neighbours_is_found() {
        let shown: Vec<char> = PairingCode::fresh().to_string().replace('-', "").chars().collect();
        for at in 0..shown.len() {
            for other in ALPHABET.iter().map(|other| char::from(*other)).filter(|other| *other != shown[at]) {
                let mut typed = shown.clone();
                typed[at] = other;
                assert_eq!(typed.iter().collect::<String>().parse::<PairingCode>(), Err(CodeError::Check));
            }
            if at > 0 && shown[at] != shown[at - 1] {
                let mut typed = shown.clone();
                typed.swap(at, at - 1);
                assert_eq!(typed.iter().collect::<String>().parse::<PairingCode>(), Err(CodeError::Check));
            }
        }
    }

    #[test]
    fn what_is_no_code_is_told_in_words() {
        assert_eq!("7KQ2".parse::<PairingCode>(), Err(CodeError::Length(4)));
        assert_eq!("7KQ2-U".parse::<PairingCode>(), Err(CodeError::Symbol('U')));
        assert_eq!("".parse::<PairingCode>(), Err(CodeError::Length(0)));
    }

    #[test]
    fn a_code_is_not_in_debug_output() {
        assert_eq!(format!("{:?}", PairingCode::fresh()), "PairingCode");
    }
}
