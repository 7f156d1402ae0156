//! What an app does on an ordinary day, a relay that ends, and others in the document.

mod both;
mod client;
mod crash;
mod relay;
mod together;
