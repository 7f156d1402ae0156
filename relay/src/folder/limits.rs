//! Bounds of what a folder takes from the disk and from others.

/// Largest file that is kept as text, in bytes; a larger one is kept as bytes.
pub const TEXT_BYTES_MAX: u64 = 1024 * 1024;
/// Largest file that is kept at all, in bytes.
pub const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes of a file of bytes that are one document.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// Most such documents of one file.
pub const CHUNKS_MAX: usize = FILE_BYTES_MAX as usize / CHUNK_BYTES;
/// Most things that were written in the document of a piece among which its bytes are looked for.
pub const CHUNK_VERSIONS_MAX: usize = 64;
/// Longest path below the folder, in bytes.
pub const PATH_BYTES_MAX: usize = 1_024;
/// Longest name of a file or folder, in bytes: what every file system takes, with room for what is put after it.
pub const NAME_BYTES_MAX: usize = 200;
/// Most names of one path.
pub const DEPTH_MAX: usize = 32;
/// Most files that one look at a folder takes in; the rest stays at home, and this is said.
pub const FILES_MAX: usize = 50_000;
/// Largest file of patterns that is read, in bytes.
pub const PATTERNS_BYTES_MAX: u64 = 256 * 1024;
/// Differing pieces of text whose pairs are looked through for what is the same; what differs more is replaced as a whole.
pub const PAIRS_MAX: usize = 50_000_000;
/// Pairs of a file that is gone and one that is new whose texts are compared, in one look at a folder.
pub const RENAMES_COMPARED_MAX: usize = 2_000;
