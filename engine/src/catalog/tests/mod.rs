//! Promises of the catalog as a whole, over page stores in memory.

mod build;
mod chunks;
mod damage;
mod diff;
mod gaps;
mod read;
mod search;
mod shelf;
