//! Floor 2: what goes to disk and how it comes back. Moves entries and never looks inside them.

pub mod task;
