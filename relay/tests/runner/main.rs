//! The native side's tests, in one binary because linking is what costs.

mod automerge_repo;
#[cfg(unix)]
mod backup;
#[cfg(unix)]
mod guests;
mod http;
#[cfg(unix)]
mod introductions;
#[cfg(unix)]
mod kills;
mod lan;
#[cfg(unix)]
mod letters;
mod limits;
mod meeting;
mod metrics;
mod observability;
#[cfg(unix)]
mod operator;
#[cfg(unix)]
mod owned;
#[cfg(unix)]
mod process;
mod replica;
mod room;
mod sealed;
#[cfg(unix)]
mod sealed_folder;
mod snapshots;
mod store;
#[cfg(unix)]
mod tls;
#[cfg(all(unix, feature = "otlp"))]
mod traces;
