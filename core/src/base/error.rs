//! Errors that every floor shares: bytes that do not decode, ids that do not parse.

/// Why bytes are not what they should be. Caused by whoever wrote them: a peer, a disk, a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the value does.
    #[error("the bytes end too early")]
    Truncated,
    /// More bytes than the value has.
    #[error("{bytes} bytes too many at the end")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// An integer above 64 bits.
    #[error("an integer is larger than 64 bits")]
    IntegerTooLarge,
    /// An integer padded with zeros, which has a shorter encoding.
    #[error("an integer is not in its shortest form")]
    IntegerNotShortest,
    /// A count above its bound.
    #[error("a count of {count} is over the limit of {max}")]
    TooMany {
        /// The count found.
        count: u64,
        /// The most allowed.
        max: usize,
    },
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A tag that stands for nothing.
    #[error("{what} has the unknown tag {tag}")]
    UnknownTag {
        /// What was being read.
        what: &'static str,
        /// The tag found.
        tag: u8,
    },
    /// A value that breaks a rule of its own, such as an order.
    #[error("{0}")]
    Invalid(&'static str),
}

/// Why text is not an id. Caused by whoever typed or stored it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not base58 at all.
    #[error("not base58: an id is letters and digits without 0, O, I and l")]
    NotBase58,
    /// Base58 of the wrong length.
    #[error("{found} bytes long where {expected} are expected: part of the id may be missing")]
    Length {
        /// Bytes it should have.
        expected: usize,
        /// Bytes it has.
        found: usize,
    },
    /// The check bytes do not fit: a letter was mistyped.
    #[error("the check letters do not fit: a letter may be mistyped")]
    Check,
    /// Not hexadecimal.
    #[error("not hexadecimal")]
    NotHex,
}
