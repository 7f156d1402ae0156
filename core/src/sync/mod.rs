//! Floor 2: talking to a peer. Moves entries and never looks inside them.
