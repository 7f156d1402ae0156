//! Media: what a journal is written on.

use super::task::StoreError;

/// One append-only run of bytes that survives: a file, an OPFS access handle, a chunk log, memory, a simulated disk.
///
/// Bytes handed to [`Medium::append`] may be lost, in whole or in any part, until [`Medium::sync`] has returned.
pub trait Medium {
    /// All bytes there are; none where nothing was written yet.
    fn read_all(&mut self) -> Result<Vec<u8>, StoreError>;

    /// Writes `bytes` at offset `at`, which is the end of what is kept. When it fails, any part may have been written.
    fn append(&mut self, at: u64, bytes: &[u8]) -> Result<(), StoreError>;

    /// Returns once no crash can undo what was appended and truncated.
    fn sync(&mut self) -> Result<(), StoreError>;

    /// Drops everything from offset `len` on.
    fn truncate(&mut self, len: u64) -> Result<(), StoreError>;
}

/// A medium that lasts as long as the process: for tests, and for browsers that grant no storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryMedium {
    bytes: Vec<u8>,
}

impl MemoryMedium {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that holds `bytes`.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Medium for MemoryMedium {
    fn read_all(&mut self) -> Result<Vec<u8>, StoreError> {
        Ok(self.bytes.clone())
    }

    fn append(&mut self, at: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.bytes.resize(usize::try_from(at).unwrap_or(usize::MAX), 0);
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> Result<(), StoreError> {
        self.bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }
}
