//! Floor 2: who talks to whom, where no server decides it.
//!
//! Two machines that know nothing of each other. [`membership`] keeps a peer's neighbours: it knows who there is ([`book`]), dials,
//! takes in, notices who has gone, and tells and is told of others ([`message`]). [`rumour`] chooses which neighbours get what is
//! new now, and which are only told that it is here. Neither knows what a document is: a driver runs the first beside its
//! engine, the engine the second inside, and the simulator runs both for a hundred thousand peers.

pub mod book;
pub mod membership;
pub mod message;
mod neighbour;
pub mod relation;
pub mod rumour;

#[cfg(test)]
mod membership_tests;
#[cfg(test)]
mod overlay_tests;
