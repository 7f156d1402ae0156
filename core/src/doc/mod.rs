//! Floor 2: what entries mean. The only room that knows Automerge.

pub mod document;
pub mod edit;
pub mod patch;
pub mod value;
