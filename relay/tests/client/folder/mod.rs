//! Folders that are kept in step: through a real relay, and with shelves in memory that are synced by hand.

mod crash;
mod desk;
mod harbour;
mod hostile;
mod life;
mod members;
mod sealed;
mod shelf;
mod stories;
