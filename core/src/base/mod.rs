//! Floor 0: ids, limits, time, errors, randomness, and bounded reading and writing of bytes.

pub mod backoff;
pub mod codec;
pub mod error;
pub mod id;
pub mod limits;
pub mod phrase;
pub mod rng;
pub mod time;
