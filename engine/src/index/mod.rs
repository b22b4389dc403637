//! Where is chunk X? The chunk index, and the claims that keep a chunk from being packed twice.
//!
//! Two questions, two answers. [`Index`] is what the repository had when the job began: built once from all index
//! objects, then only read. [`Claims`] stands before it while a backup runs and remembers what this job has taken on:
//! the first worker to ask about a chunk gets a [`Ticket`] and packs it, every other one only writes its id down.
//!
//! ```text
//! worker -- id --> Claims --(not claimed yet)--> Index
//!                    |                             |
//!                    `- New(Ticket) or Known <-----'
//! ```
//! What would fill the memory is in shards (`cache`): those of an index cover index objects (`gather`), those of claims
//! hold ids. A look-up there can fail, and a failure is never taken for an answer.
//!
//! Nothing here is trusted further than to where it points: what is read from there is authenticated and its id
//! computed again. So the worst a wrong index can do is to make a restore fail, never to make it lie.

pub(crate) mod chunks;
pub(crate) mod claim;
pub(crate) mod distrust;
pub(crate) mod gather;
pub(crate) mod keys;
pub(crate) mod live;
pub(crate) mod load;
mod memory;
mod packs;
mod parts;
pub(crate) mod recent;
mod segments;
pub(crate) mod table;
#[cfg(test)]
mod tests;
