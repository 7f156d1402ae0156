//! Tests of the whole engine, and what they are made of.

pub mod harness;
