//! For those who write a backend or a source for [`strongroom`]: what its own tests are made of.
//!
//! * [`contract`]: everything that a [`Backend`](strongroom::Backend) promises, as tests for a backend of one's own: ten lines.
//! * Backends around others, which misbehave on purpose: [`Faulty`](faulty::Faulty) fails at the n-th call in a chosen way,
//!   [`Crash`](crash::Crash) shows what a crash after any write would have left, [`Filling`](filling::Filling) has no room from
//!   some write on, [`Between`](between::Between) lets others act before the n-th call, [`Counting`](counting::Counting) counts
//!   calls and bytes, and [`Distant`](distant::Distant) is a round trip away.
//! * [`Recorder`]: a [`Sink`](strongroom::Sink) that writes down what a source gives, and insists on the contract of sources.
//! * [`names`]: names of objects, one for every number.
//!
//! Like every test, what is here panics when something is not as it should be.

#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a test that fails")]

pub mod between;
pub mod contract;
pub mod counting;
pub mod crash;
pub mod distant;
pub mod faulty;
pub mod filling;
pub mod names;
#[cfg(test)]
mod tests;

#[doc(inline)]
pub use strongroom::testing::Recorded;
#[doc(inline)]
pub use strongroom::testing::Recorder;
