//! Whole overlays of peers: whether they hold together.
