//! Bounded reading and writing of bytes: the only way bytes of a peer or a disk become values.
//!
//! Integers are unsigned LEB128 in their shortest form, so each value has one encoding. Counts are checked against a
//! named bound before anything is allocated for them.

use super::error::DecodeError;

/// Reads values off the front of a byte slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take(1)?[0])
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        if count > self.rest.len() {
            return Err(DecodeError::Truncated);
        }
        let (head, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// An unsigned integer.
    pub fn uint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(DecodeError::IntegerTooLarge);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(DecodeError::IntegerNotShortest);
                }
                return Ok(value);
            }
        }
        Err(DecodeError::IntegerTooLarge)
    }

    /// A count of things of which at most `max` are allowed, each at least `bytes_min` long.
    pub fn count(&mut self, max: usize, bytes_min: usize) -> Result<usize, DecodeError> {
        let count = self.uint()?;
        if count > max as u64 {
            return Err(DecodeError::TooMany { count, max });
        }
        if (count as usize).saturating_mul(bytes_min) > self.rest.len() {
            return Err(DecodeError::Truncated);
        }
        Ok(count as usize)
    }

    /// A byte string of at most `max` bytes, its length first.
    pub fn bytes(&mut self, max: usize) -> Result<&'a [u8], DecodeError> {
        let count = self.count(max, 1)?;
        self.take(count)
    }

    /// UTF-8 text of at most `max` bytes, its length first.
    pub fn text(&mut self, max: usize) -> Result<String, DecodeError> {
        String::from_utf8(self.bytes(max)?.to_vec()).map_err(|_| DecodeError::NotUtf8)
    }

    /// Checks that nothing is left over.
    pub fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing { bytes: self.rest.len() }) }
    }
}

/// Writes values to the end of a byte vector.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Bytes as they are.
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// An unsigned integer.
    pub fn uint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// A byte string, its length first.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.uint(bytes.len() as u64);
        self.put(bytes);
    }

    /// Text, its length first.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_integer_has_one_encoding_and_padding_is_refused() {
        assert_eq!(Reader::new(&[0x80, 0x00]).uint(), Err(DecodeError::IntegerNotShortest));
        assert_eq!(Reader::new(&[0xff; 10]).uint(), Err(DecodeError::IntegerTooLarge));
        assert_eq!(Reader::new(&[0x80]).uint(), Err(DecodeError::Truncated));
    }

    #[test]
    fn a_count_that_promises_more_than_the_bytes_hold_is_refused_before_anything_is_allocated() {
        let mut writer = Writer::new();
        writer.uint(1_000_000);
        let bytes = writer.finish();
        assert_eq!(Reader::new(&bytes).count(10, 1), Err(DecodeError::TooMany { count: 1_000_000, max: 10 }));
        assert_eq!(Reader::new(&bytes).count(usize::MAX, 32), Err(DecodeError::Truncated));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value: u64, text: String, bytes: Vec<u8>) {
            let mut writer = Writer::new();
            writer.uint(value);
            writer.text(&text);
            writer.bytes(&bytes);
            let written = writer.finish();
            let mut reader = Reader::new(&written);
            prop_assert_eq!(reader.uint().unwrap(), value);
            prop_assert_eq!(reader.text(usize::MAX).unwrap(), text);
            prop_assert_eq!(reader.bytes(usize::MAX).unwrap(), &bytes[..]);
            prop_assert!(reader.end().is_ok());
        }
    }
}
