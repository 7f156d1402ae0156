//! Letting somebody in: links for one person, and devices of the same one.

pub mod asks;
pub mod devices;
pub mod introductions;
pub mod tickets;

#[cfg(test)]
mod device_tests;
#[cfg(test)]
mod ticket_tests;
