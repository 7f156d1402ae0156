//! What an actor's next operations are expected to be, from its last.
//!
//! People type letter after letter, and delete letter after letter. So the columns of a change are mostly those of the actor's
//! change before it, or follow from it; only those that do not have to travel.

use super::columns::{put_signed, signed};
use crate::base::codec::{Reader, Writer};

/// Most bytes of columns that are remembered of a change: enough for one of a few letters.
const COLUMN_BYTES_MAX: usize = 128;
/// What is written where all but the letter is as foretold: no other forecast need be tried.
const SHORT_BYTES: usize = 4;

/// The columns of operations in the order of the bits that say which of them are given: those that differ most come first.
pub(super) const COLUMNS: [u64; 14] = [0x57, 0x13, 0x73, 0x56, 0x02, 0x11, 0x71, 0x34, 0x42, 0x70, 0x01, 0x15, 0x94, 0xa5];
const KEY_COUNTER: usize = 1;
const PRED_COUNTER: usize = 2;
const VALUE_META: usize = 3;
const OBJECT_COUNTER: usize = 4;
const KEY_ACTOR: usize = 5;
const PRED_ACTOR: usize = 6;
const INSERT: usize = 7;
pub(super) const ACTION: usize = 8;
const PRED_COUNT: usize = 9;
const OBJECT_ACTOR: usize = 10;

/// What the operations are expected to be.
#[derive(Clone, Copy)]
pub(super) enum Forecast {
    /// One letter after what the actor wrote last.
    Type = 0,
    /// One letter is deleted: the one that the actor wrote last.
    Erase = 1,
    /// The same again.
    Repeat = 2,
    /// The same again, one element before.
    Back = 3,
    /// The same again, one element after.
    Forth = 4,
    /// Nothing is expected.
    None = 5,
}

/// All of them, by their numbers.
pub(super) const FORECASTS: [Forecast; 6] =
    [Forecast::Type, Forecast::Erase, Forecast::Repeat, Forecast::Back, Forecast::Forth, Forecast::None];

/// The columns of an actor's newest change, if they are few bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operations {
    columns: Box<[u8]>,
    /// Where in `columns` each one ends.
    ends: [u8; COLUMNS.len()],
}

impl Operations {
    /// Remembers these columns.
    pub(super) fn of(given: &[&[u8]; COLUMNS.len()]) -> Self {
        let remembered = given.iter().map(|column| column.len()).sum::<usize>() <= COLUMN_BYTES_MAX;
        let (mut columns, mut ends) = (Vec::with_capacity(COLUMN_BYTES_MAX / 4), [0; COLUMNS.len()]);
        for (column, end) in given.iter().zip(&mut ends).filter(|_| remembered) {
            columns.extend_from_slice(column);
            *end = columns.len() as u8;
        }
        Self { columns: columns.into_boxed_slice(), ends }
    }

    fn column(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.columns[usize::from(start)..usize::from(self.ends[at])]
    }

    /// The columns as `forecast` expects them.
    pub(super) fn foretold(&self, forecast: Forecast, end_op: u64) -> [Column<'_>; COLUMNS.len()] {
        let mut columns = [Column::Bytes(&[]); COLUMNS.len()];
        let newest = Column::number(end_op as i64 - 1);
        let mut set = |fixed: &[(usize, &'static [u8])]| fixed.iter().for_each(|(at, bytes)| columns[*at] = Column::Bytes(bytes));
        match forecast {
            Forecast::Type => {
                set(&[
                    (KEY_ACTOR, &[0x7f, 0]),
                    (INSERT, &[0, 1]),
                    (ACTION, &[0x7f, 1]),
                    (VALUE_META, &[0x7f, 0x16]),
                    (PRED_COUNT, &[0x7f, 0]),
                ]);
                columns[KEY_COUNTER] = newest;
            }
            Forecast::Erase => {
                set(&[
                    (KEY_ACTOR, &[0x7f, 0]),
                    (INSERT, &[1]),
                    (ACTION, &[0x7f, 3]),
                    (VALUE_META, &[0x7f, 0]),
                    (PRED_COUNT, &[0x7f, 1]),
                    (PRED_ACTOR, &[0x7f, 0]),
                ]);
                (columns[KEY_COUNTER], columns[PRED_COUNTER]) = (newest, newest);
            }
            Forecast::Repeat | Forecast::Back | Forecast::Forth => {
                let step = match forecast {
                    Forecast::Back => -1,
                    Forecast::Forth => 1,
                    _ => 0,
                };
                for (at, column) in columns.iter_mut().enumerate() {
                    let last = self.column(at);
                    let number = if step != 0 && matches!(at, KEY_COUNTER | PRED_COUNTER) { singled(last) } else { None };
                    let moved = number.and_then(|number| number.checked_add(step));
                    *column = moved.map_or(Column::Bytes(last), Column::number);
                }
            }
            Forecast::None => {}
        }
        if matches!(forecast, Forecast::Type | Forecast::Erase) {
            columns[OBJECT_ACTOR] = Column::Bytes(self.column(OBJECT_ACTOR));
            columns[OBJECT_COUNTER] = Column::Bytes(self.column(OBJECT_COUNTER));
        }
        columns
    }

    /// The forecast by which the columns are shortest, and what is written of them.
    pub(super) fn shortest(&self, end_op: u64, columns: &[&[u8]; COLUMNS.len()]) -> (Forecast, Vec<u8>) {
        let mut best = (Forecast::None, 0, usize::MAX);
        for forecast in FORECASTS {
            let (mut mask, mut bytes) = (0u64, 1);
            for (at, foretold) in self.foretold(forecast, end_op).iter().enumerate() {
                if foretold.bytes() != columns[at] {
                    mask |= 1 << at;
                    bytes += 1 + columns[at].len();
                }
            }
            if bytes < best.2 {
                best = (forecast, mask, bytes);
            }
            if bytes <= SHORT_BYTES {
                break;
            }
        }
        let (forecast, mask, bytes) = best;
        let mut w = Writer::with_capacity(bytes + 1);
        w.uint(mask);
        for (at, column) in columns.iter().enumerate() {
            if mask & 1 << at != 0 {
                w.bytes(column);
            }
        }
        (forecast, w.finish())
    }
}

/// A column that is expected.
#[derive(Clone, Copy)]
pub(super) enum Column<'a> {
    /// As it is.
    Bytes(&'a [u8]),
    /// One number, and how many bytes it takes.
    Number([u8; 11], usize),
}

impl Column<'_> {
    fn number(number: i64) -> Self {
        let mut writer = Writer::new();
        writer.u8(0x7f);
        put_signed(&mut writer, number);
        let written = writer.finish();
        let mut bytes = [0; 11];
        bytes[..written.len()].copy_from_slice(&written);
        Column::Number(bytes, written.len())
    }

    /// The bytes of it.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Column::Bytes(bytes) => bytes,
            Column::Number(bytes, length) => &bytes[..*length],
        }
    }
}

/// The number of a column that has one.
fn singled(column: &[u8]) -> Option<i64> {
    let mut reader = Reader::new(column.strip_prefix(&[0x7f])?);
    let number = signed(&mut reader).ok()?;
    reader.end().ok().map(|()| number)
}
