//! The native side's tests, in one binary because linking is what costs.

mod store;
