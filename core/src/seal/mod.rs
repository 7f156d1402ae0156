//! Floor 2: what only members read: how entries, snapshots and words are sealed, and with which keys.
//!
//! In a sealed space relays carry what they cannot read. A [`key`] holds for an epoch; the [`keyring`] of a space has those that
//! this replica was given. A change travels as a sealed [`entry`] under a name that tells nothing of it, a document as a sealed
//! [`snapshot`] that its maker signs, and what people are called as [`words`]. Sizes are rounded ([`padding`]). Documents that are named by
//! what they hold are named so for members alone ([`files`]).
//!
//! Nothing here knows what a change looks like inside, who may do what, or how anything travels.

pub(crate) mod aead;
pub mod delivery;
pub mod entry;
pub mod files;
pub mod key;
pub mod keyring;
pub mod padding;
pub mod snapshot;
pub mod words;
