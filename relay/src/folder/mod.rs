//! A folder of files and a space, kept in step both ways.
//!
//! One [`Keeper::pass`] brings everything closer: it looks at the documents ([`record`]) and at the folder ([`scan`]),
//! finds out what was done to the files since they were last in step ([`compare`]), makes that edits of the documents
//! ([`take`]), settles what each file is called ([`names`]), and writes, moves and removes files until the folder says
//! what the documents say ([`bring`]). Nothing is in memory between two passes that would be missed: a pass that ends
//! anywhere is made good by the next.
//!
//! The order is what keeps words safe. What was done to a file is committed on the version that the file was, so that the
//! CRDT merges it with what came meanwhile; only when that is durable is it remembered as being in step ([`state`]); and
//! only then is the merged text written, never over anything but what was expected there ([`write`]).
//!
//! Who may write in the space, and how documents are made there, is in its [`terms`]; what two members have made of one file is made
//! one ([`twins`]). [`watch`] tells when to look again.

mod blob;
mod bring;
mod compare;
mod error;
mod follow;
mod fresh;
mod ignored;
mod keep;
mod leftover;
pub mod limits;
mod names;
mod record;
mod report;
mod scan;
mod shelf;
mod state;
mod take;
mod terms;
mod text;
mod twins;
mod watch;
mod write;

pub use error::FolderError;
pub use keep::{Keeper, KeeperOptions, Moment, Patience};
pub use report::{Act, Deed, Report};
pub use shelf::{Shelf, SpaceShelf};
pub use state::{STATE_FILE, remember_relays, remembered_relays, remembered_space};
pub use terms::Terms;
pub use watch::Watch;
