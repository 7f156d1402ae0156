//! The columns that operations are kept in, read without trust: runs are bounded, numbers are in their shortest form.

use super::change::ChangeDecodeError as Error;
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::limits::{ENTRY_OPS_MAX, IMPORT_ROWS_MAX};

/// A column of runs: of one value, of different values, or of nothing.
pub(super) struct Rle<'a, T> {
    reader: Reader<'a>,
    read: fn(&mut Reader<'a>) -> Result<T, DecodeError>,
    left: u64,
    run: Run<T>,
    run_max: u64,
}

#[derive(Clone, Copy)]
enum Run<T> {
    Same(T),
    Different,
    Nothing,
}

impl<'a, T: Copy> Rle<'a, T> {
    pub(super) fn new(column: &'a [u8], read: fn(&mut Reader<'a>) -> Result<T, DecodeError>) -> Self {
        Self { reader: Reader::new(column), read, left: 0, run: Run::Nothing, run_max: ENTRY_OPS_MAX as u64 }
    }

    /// The same, for a column of a whole document.
    pub(super) fn wide(column: &'a [u8], read: fn(&mut Reader<'a>) -> Result<T, DecodeError>) -> Self {
        Self { run_max: IMPORT_ROWS_MAX, ..Self::new(column, read) }
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == 0 && self.reader.remaining() == 0
    }

    /// The next value, which may be nothing; nothing at all at the column's end.
    pub(super) fn next(&mut self) -> Result<Option<Option<T>>, Error> {
        if self.left == 0 {
            if self.reader.remaining() == 0 {
                return Ok(None);
            }
            let count = signed(&mut self.reader)?;
            self.run = match count {
                0 => Run::Nothing,
                1.. => Run::Same((self.read)(&mut self.reader)?),
                _ => Run::Different,
            };
            self.left = if count == 0 { self.reader.uint()? } else { count.unsigned_abs() };
            if self.left == 0 || self.left > self.run_max {
                return Err(Error::TooManyOperations);
            }
        }
        self.left -= 1;
        Ok(Some(match self.run {
            Run::Same(value) => Some(value),
            Run::Different => Some((self.read)(&mut self.reader)?),
            Run::Nothing => None,
        }))
    }
}

/// A column of differences.
pub(super) struct Delta<'a>(Rle<'a, i64>, i64);

impl<'a> Delta<'a> {
    pub(super) fn new(column: &'a [u8]) -> Self {
        Self(Rle::new(column, signed), 0)
    }

    /// The same, for a column of a whole document.
    pub(super) fn wide(column: &'a [u8]) -> Self {
        Self(Rle::wide(column, signed), 0)
    }

    pub(super) fn is_done(&self) -> bool {
        self.0.is_done()
    }

    /// The next number; nothing where there is none, and at the end.
    pub(super) fn next(&mut self) -> Result<Option<i64>, Error> {
        let Some(delta) = self.0.next()?.flatten() else { return Ok(None) };
        self.1 = self.1.checked_add(delta).ok_or(Error::Malformed("a number is too large"))?;
        Ok(Some(self.1))
    }
}

/// A column of no and yes in turn, each as often as it says.
pub(super) struct Booleans<'a> {
    reader: Reader<'a>,
    left: u64,
    value: bool,
}

impl<'a> Booleans<'a> {
    pub(super) fn new(column: &'a [u8]) -> Self {
        Self { reader: Reader::new(column), left: 0, value: true }
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == 0 && self.reader.remaining() == 0
    }

    /// The next answer; nothing at the column's end.
    pub(super) fn next(&mut self) -> Result<Option<bool>, Error> {
        while self.left == 0 {
            if self.reader.remaining() == 0 {
                return Ok(None);
            }
            self.left = self.reader.uint()?;
            self.value = !self.value;
        }
        self.left -= 1;
        Ok(Some(self.value))
    }
}

/// UTF-8 text, its length first.
pub(super) fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let bytes = reader.bytes(usize::MAX)?;
    std::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8)?;
    Ok(bytes)
}

/// A signed integer in LEB128, in its shortest form.
pub(super) fn signed(reader: &mut Reader<'_>) -> Result<i64, DecodeError> {
    let (mut value, mut before) = (0i64, 0u8);
    for shift in (0..64).step_by(7) {
        let byte = reader.u8()?;
        value |= i64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            if shift == 63 && byte != 0 && byte != 0x7f {
                return Err(DecodeError::IntegerTooLarge);
            }
            if shift > 0 && ((byte == 0 && before & 0x40 == 0) || (byte == 0x7f && before & 0x40 != 0)) {
                return Err(DecodeError::IntegerNotShortest);
            }
            if shift < 57 && byte & 0x40 != 0 {
                value |= -1 << (shift + 7);
            }
            return Ok(value);
        }
        before = byte;
    }
    Err(DecodeError::IntegerTooLarge)
}

/// Writes what [`signed`] reads.
pub(super) fn put_signed(writer: &mut Writer, mut value: i64) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0) {
            return writer.u8(byte);
        }
        writer.u8(byte | 0x80);
    }
}

/// How many rows a column of this type stands for, at most `u64::MAX`, without going through them.
pub(super) fn rows(kind: u64, column: &[u8]) -> Result<u64, Error> {
    /// Types of columns; all others are runs of unsigned numbers.
    const DELTAS: u64 = 3;
    const BOOLEANS: u64 = 4;
    const TEXTS: u64 = 5;
    const BYTES: u64 = 7;
    let mut reader = Reader::new(column);
    let mut rows = 0u64;
    while reader.remaining() > 0 {
        let (count, values) = match kind {
            BYTES => return Ok(0),
            BOOLEANS => (reader.uint()?, 0),
            _ => match signed(&mut reader)? {
                0 => (reader.uint()?, 0),
                count @ 1.. => (count.unsigned_abs(), 1),
                count => (count.unsigned_abs(), count.unsigned_abs()),
            },
        };
        for _ in 0..values {
            match kind {
                DELTAS => drop(signed(&mut reader)?),
                TEXTS => drop(text(&mut reader)?),
                _ => drop(reader.uint()?),
            }
        }
        rows = rows.saturating_add(count);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: i64) -> Vec<u8> {
        let mut writer = Writer::new();
        put_signed(&mut writer, value);
        writer.finish()
    }

    proptest! {
        #[test]
        fn a_signed_number_is_read_back(value: i64) {
            prop_assert_eq!(signed(&mut Reader::new(&written(value))), Ok(value));
        }
    }

    #[test]
    fn the_ends_of_the_signed_numbers_are_read_and_nothing_beyond() {
        for value in [i64::MIN, i64::MIN + 1, -65, -64, -1, 0, 63, 64, i64::MAX] {
            assert_eq!(signed(&mut Reader::new(&written(value))), Ok(value));
        }
        assert_eq!(signed(&mut Reader::new(&[0xff; 10])), Err(DecodeError::IntegerTooLarge));
        assert_eq!(signed(&mut Reader::new(&[0x80, 0x00])), Err(DecodeError::IntegerNotShortest));
    }

    #[test]
    fn a_run_of_more_than_a_change_may_hold_is_refused() {
        let mut run = written(i64::MAX);
        run.push(1);
        assert_eq!(Rle::new(&run, Reader::uint).next(), Err(Error::TooManyOperations));
        assert_eq!(Rle::new(&[0, 0], Reader::uint).next(), Err(Error::TooManyOperations));
    }

    #[test]
    fn runs_are_of_one_value_of_several_and_of_nothing() {
        let mut column = Rle::new(&[2, 7, 0x7e, 8, 9, 0, 1], Reader::uint);
        let mut values = Vec::new();
        while let Some(value) = column.next().unwrap() {
            values.push(value);
        }
        assert_eq!(values, [Some(7), Some(7), Some(8), Some(9), None]);
        assert!(column.is_done());
    }
}
