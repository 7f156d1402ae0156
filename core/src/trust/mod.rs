//! Floor 2: who may do what in a space, and who wrote what, proved by signatures and by nothing else.
//!
//! An owned space names its owner in its id ([`owned`]). The owner and those it trusts sign [`statement`]s: this key may read, that
//! one write, a third no longer. A [`roll`] is the set of them that a replica holds of a space; it only grows, and what follows from it
//! depends on what is in it and not on the order in which it came. What was made up in a member's name, where no word of theirs will speak against
//! it, goes by a [`disavowal`]. An [`invitation`] is what a share link carries. An
//! [`attestation`] vouches for all that an actor has written up to a change. In a sealed space keys are handed on by statements,
//! too ([`epoch`]). A [`letter`] is for one key, and sealed for it in a [`sealed_box`]. A [`ticket`] is a link for a single use: who has it
//! asks by letter to be let in, and what is written then is an [`introduction`].
//!
//! Nothing here knows a connection or a disk, and nothing knows what time it is: whoever asks says so.

pub mod attestation;
pub mod cut;
pub mod disavowal;
pub mod epoch;
pub mod introduction;
pub mod invitation;
pub mod key;
pub mod letter;
pub mod owned;
pub mod roll;
pub mod sealed_box;
pub mod standing;
pub mod statement;
pub mod ticket;
