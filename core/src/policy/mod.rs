//! Floor 2: how much anyone may have of a replica that serves many, and how long.
//!
//! Plain counting, told who asks and what time it is: a [`letterbox`] that keeps letters within bounds, [`rate`]s at which a key may
//! send, and [`stamp`]s that show that work was done. What is done with whoever asks for more is the engine's business.

pub mod letterbox;
pub mod rate;
pub mod stamp;
