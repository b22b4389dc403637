//! Backup: one stage a file, bytes flowing one way.
//!
//! ```text
//! source thread         workers (one a core)                     tasks
//! Source -> read -> cut -> [batch] -> prepare: name, claim -> group: squeeze, seal, verify -> pack -> upload -> index
//!              \                          |                                                                     |
//!            parent                 [prepared batch]                                                            |
//!                                         v                                                                     v
//!                                  assemble: catalog pages -> group -> pack -> upload                        commit
//! ```
//!
//! Memory is bounded by the buffer pool and the channels, whatever the input: a stage that falls
//! behind stops the one before it. The first failure is kept in [`halt::Halt`] and stops every stage;
//! nothing that was stored is lost, and nothing is visible before `commit`.

mod aside;
mod assemble;
mod batch;
mod begun;
mod commit;
mod contract;
mod counting;
pub(crate) mod cut;
mod draft;
#[cfg(test)]
mod ending_tests;
mod filling;
mod group;
mod halt;
mod intent;
#[cfg(test)]
mod interleaved;
mod journal;
mod late;
mod needs;
mod options;
mod parent;
mod place;
mod prepare;
mod read;
mod report;
mod rescue;
mod run;
mod said;
mod stage;
mod stream;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod token_tests;
#[cfg(test)]
mod told;
mod turns;
mod unchanged;
mod upload;
mod watch;
mod wires;

pub(crate) use commit::commit;
pub(crate) use needs::Needs;
pub use options::BackupReport;
pub use options::Cipher;
pub(crate) use options::Fill;
pub(crate) use options::Options;
pub use options::Parent;
pub(crate) use options::Run;
pub(crate) use run::run;
