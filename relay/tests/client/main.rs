//! The client library and `driftline doc`, through a real relay on a real socket.

mod command_line;
mod folder;
mod library;
mod place;
mod replay;
mod saved;
