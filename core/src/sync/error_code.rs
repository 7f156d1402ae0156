//! Kinds of refusal, as error frames name them.

/// Kinds of refusal. Those below 32 end the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ErrorCode {
    /// A frame that does not decode.
    Malformed = 1,
    /// No protocol version in common.
    UnsupportedVersion = 2,
    /// A signature that proves nothing.
    BadProof = 3,
    /// A message that may not come now.
    OutOfOrder = 4,
    /// A frame above the limit.
    TooLarge = 5,
    /// A replica that reached itself.
    SelfConnection = 6,
    /// The hello took too long.
    Timeout = 7,
    /// An entry whose payload is not a valid change.
    BadEntry = 8,
    /// As many connections as there may be.
    Busy = 9,
    /// A message about a space that is not subscribed to.
    NotSubscribed = 32,
    /// A bound of the receiver's would be passed.
    LimitReached = 33,
    /// The receiver's store takes nothing at present: what was sent is not saved there.
    StoreUnavailable = 34,
    /// Entries that depend on what the sender does not send.
    MissingDependency = 35,
    /// The receiver's copy of a document is damaged: it asks for it again.
    Damaged = 36,
    /// Both hold the same clock and different heads: an actor has forked.
    Forked = 37,
    /// A document that the receiver holds in another space.
    WrongSpace = 38,
    /// A space that is owned, by someone who was granted nothing there.
    NoGrant = 39,
    /// What the sender was granted in a space has ended.
    GrantExpired = 40,
    /// What the sender was granted in a space was taken back.
    GrantRevoked = 41,
    /// More than the sender was granted: changes by someone who may read.
    NotGranted = 42,
    /// A statement that is not signed as it must be, or says what its issuer may not say.
    BadStatement = 43,
    /// An attestation that is not signed as it must be, or vouches for another change than is held.
    BadAttestation = 44,
    /// An entry by nobody who may write in the space, or in another's name.
    NotTheirs = 45,
    /// An entry after the last that is accepted of someone who was shut out.
    AfterRevocation = 46,
    /// What is sealed in a space that is not, or what is not sealed in one that is.
    WrongSeal = 47,
    /// A sealed entry that does not open, or says openly something else than what is sealed in it.
    BrokenSeal = 48,
    /// A sealed snapshot that is not signed by one who may make them there, or is not what it says.
    BadSnapshot = 49,
    /// A letter for someone for whom as many wait as may.
    BoxFull = 52,
    /// A letter that has ended, would be kept for longer than may be, or is for nobody here.
    BadLetter = 53,
    /// More in so short a time than the sender may send.
    TooFast = 54,
    /// More than the sender, or a space, may have here.
    QuotaReached = 55,
    /// A space that the receiver does not know, and takes only with a stamp.
    StampWanted = 56,
    /// The sender's key is not among those that are let in.
    NotAdmitted = 57,
}

impl ErrorCode {
    /// Whether the connection ends with it.
    pub fn is_fatal(self) -> bool {
        (self as u8) < 32
    }

    /// Whether it is about what someone may do in an owned space.
    pub fn is_about_grants(self) -> bool {
        (39..=49).contains(&(self as u8))
    }

    /// Every code, with the word for it in metrics and logs.
    pub const WORDS: [(Self, &'static str); 33] = [
        (Self::Malformed, "malformed"),
        (Self::UnsupportedVersion, "unsupported_version"),
        (Self::BadProof, "bad_proof"),
        (Self::OutOfOrder, "out_of_order"),
        (Self::TooLarge, "too_large"),
        (Self::SelfConnection, "self_connection"),
        (Self::Timeout, "timeout"),
        (Self::BadEntry, "bad_entry"),
        (Self::Busy, "busy"),
        (Self::NotSubscribed, "not_subscribed"),
        (Self::LimitReached, "limit_reached"),
        (Self::StoreUnavailable, "store_unavailable"),
        (Self::MissingDependency, "missing_dependency"),
        (Self::Damaged, "damaged"),
        (Self::Forked, "forked"),
        (Self::WrongSpace, "wrong_space"),
        (Self::NoGrant, "no_grant"),
        (Self::GrantExpired, "grant_expired"),
        (Self::GrantRevoked, "grant_revoked"),
        (Self::NotGranted, "not_granted"),
        (Self::BadStatement, "bad_statement"),
        (Self::BadAttestation, "bad_attestation"),
        (Self::NotTheirs, "not_theirs"),
        (Self::AfterRevocation, "after_revocation"),
        (Self::WrongSeal, "wrong_seal"),
        (Self::BrokenSeal, "broken_seal"),
        (Self::BadSnapshot, "bad_snapshot"),
        (Self::BoxFull, "box_full"),
        (Self::BadLetter, "bad_letter"),
        (Self::TooFast, "too_fast"),
        (Self::QuotaReached, "quota_reached"),
        (Self::StampWanted, "stamp_wanted"),
        (Self::NotAdmitted, "not_admitted"),
    ];

    /// The word for it in metrics and logs.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(code, _)| *code == self).map_or("other", |(_, word)| word)
    }

    /// The code of a byte.
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Self::WORDS.into_iter().map(|(code, _)| code).find(|code| *code as u8 == byte)
    }
}
