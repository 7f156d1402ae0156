//! Unmodified samod clients and a real relay.

// A room of its own, so that its tests can be chosen by name.
mod samod;
