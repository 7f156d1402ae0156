//! One peer, and whatever the others do.
