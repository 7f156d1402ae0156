//! Media: what a journal is written on.

use super::task::StoreError;

/// One of the two runs of bytes of a medium. The journal is in one of them; the other is empty, but for the time in which the
/// journal is written again there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Where a new journal begins.
    #[default]
    First,
    /// Where it goes when it is written again for the first time.
    Second,
}

impl Area {
    /// Both.
    pub const ALL: [Self; 2] = [Self::First, Self::Second];

    /// The one that this is not.
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// Two append-only runs of bytes that survive: files, OPFS access handles, chunk logs, memory, a simulated disk.
///
/// Bytes handed to [`Medium::append`] may be lost, in whole or in any part, until [`Medium::sync`] of that area has returned.
pub trait Medium {
    /// All bytes there are; none where nothing was written yet.
    fn read_all(&mut self, area: Area) -> Result<Vec<u8>, StoreError>;

    /// Writes `bytes` at offset `at`, which is the end of what is kept. When it fails, any part may have been written.
    fn append(&mut self, area: Area, at: u64, bytes: &[u8]) -> Result<(), StoreError>;

    /// Returns once no crash can undo what was appended to the area and cut from it.
    fn sync(&mut self, area: Area) -> Result<(), StoreError>;

    /// Drops everything from offset `len` on.
    fn truncate(&mut self, area: Area, len: u64) -> Result<(), StoreError>;
}

/// A medium that lasts as long as the process: for tests, and for browsers that grant no storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryMedium {
    areas: [Vec<u8>; 2],
}

impl MemoryMedium {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that holds `bytes` in its first area.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self::from_areas([bytes, Vec::new()])
    }

    /// One that holds these bytes.
    pub fn from_areas(areas: [Vec<u8>; 2]) -> Self {
        Self { areas }
    }

    /// What its first area holds, which is the whole journal until that is written again.
    pub fn bytes(&self) -> &[u8] {
        &self.areas[0]
    }

    /// What it holds.
    pub fn areas(&self) -> &[Vec<u8>; 2] {
        &self.areas
    }

    fn area_mut(&mut self, area: Area) -> &mut Vec<u8> {
        &mut self.areas[area as usize]
    }
}

impl Medium for MemoryMedium {
    fn read_all(&mut self, area: Area) -> Result<Vec<u8>, StoreError> {
        Ok(self.area_mut(area).clone())
    }

    fn append(&mut self, area: Area, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let held = self.area_mut(area);
        held.resize(usize::try_from(at).unwrap_or(usize::MAX), 0);
        held.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, _area: Area) -> Result<(), StoreError> {
        Ok(())
    }

    fn truncate(&mut self, area: Area, len: u64) -> Result<(), StoreError> {
        let held = self.area_mut(area);
        held.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        held.shrink_to_fit();
        Ok(())
    }
}
