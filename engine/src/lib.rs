//! Strongroom: a backup engine to embed.
//!
//! A [`Repository`] keeps snapshots of anything that can give entries and bytes (a [`Source`]) as write-once objects
//! on anything that can keep them (a [`Backend`]). Content is cut into chunks where its bytes say so, every chunk is
//! kept once, neighbouring chunks are compressed and encrypted together, and a snapshot appears as the last small
//! object of a run: before it nothing happened, after it everything is there.
//!
//! Every verb that takes long is a builder whose `start` gives a [`Job`]: await it for its report, watch it through
//! [`Job::progress`] and [`Job::events`], and stop it, safely at any point, by dropping it or through
//! [`Job::canceller`]. The engine runs inside the caller's tokio runtime; CPU work has threads of its own. It reads
//! no environment, no home folder and no terminal.
//!
//! ```
//! use std::sync::Arc;
//! use strongroom::{CreateOptions, EntryPath, Key, MemoryBackend, ReaderSource, Repository, Secret};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let backend = Arc::new(MemoryBackend::new());
//! let key = Key::Passphrase(Secret::new("correct horse battery staple"));
//! let repository = Repository::create(backend, key, CreateOptions::default()).await?.repository;
//!
//! let letter = ReaderSource::new(EntryPath::parse(b"letter.txt").unwrap(), &b"Dear reader"[..]);
//! let report = repository.backup(letter).start().await?;
//!
//! let snapshot = report.snapshot.unwrap();
//! let view = repository.view(&snapshot).await?;
//! let entry = view.entry(&EntryPath::parse(b"letter.txt").unwrap()).await?.unwrap();
//! assert_eq!(view.open(&entry).read_to_end(100).await?, b"Dear reader"[..]);
//! # Ok::<(), strongroom::Error>(())
//! # }).unwrap();
//! ```

mod backend;
mod backup;
#[cfg(feature = "benching")]
#[doc(hidden)]
pub mod benching;
mod cache;
mod catalog;
mod class;
mod crypto;
mod entry;
mod error;
mod event;
mod format;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod id;
mod index;
mod job;
mod limits;
mod pack;
mod pattern;
mod prune;
mod random;
mod repository;
mod restore;
mod retention;
mod source;
mod squeeze;
mod statement;
mod store;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
mod time;
mod verdict;
mod view;

pub use backend::Area;
pub use backend::Backend;
pub use backend::BackendFuture;
pub use backend::Disk;
pub use backend::Distance;
pub use backend::Layer;
pub use backend::Leftovers;
pub use backend::Listed;
pub use backend::LocalBackend;
pub use backend::Location;
pub use backend::MemoryBackend;
pub use backend::Name;
pub use backend::Page;
pub use backend::Payload;
pub use backend::Properties;
pub use backup::BackupReport;
pub use backup::Cipher;
pub use backup::Parent;
pub use cache::check_cache_folder;
pub use catalog::Difference;
pub use catalog::Found;
pub use catalog::Gap;
pub use catalog::Search;
pub use class::Class;
pub use crypto::keyring::UnknownKey;
pub use crypto::secret::Secret;
pub use entry::ChunkProfile;
pub use entry::ChunkRef;
pub use entry::Chunking;
pub use entry::Content;
pub use entry::Entry;
pub use entry::EntryPath;
pub use entry::Extent;
pub use entry::FileKind;
pub use entry::Metadata;
pub use entry::PathError;
pub use entry::Xattr;
pub use error::Error;
pub use error::Kind;
pub use error::Result;
pub use event::Action;
pub use event::Event;
pub use event::Phase;
pub use event::Progress;
pub use event::Warning;
pub use format::keyslot::SlotKind;
pub use format::page::PageRef;
pub use format::snapshot::Counts;
pub use format::snapshot::Snapshot;
pub use id::ChunkId;
pub use id::DataKeyId;
pub use id::IndexId;
pub use id::KeyListId;
pub use id::PackId;
pub use id::RepositoryId;
pub use id::SlotId;
pub use id::SnapshotId;
pub use job::Canceller;
pub use job::Events;
pub use job::Job;
pub use job::ProgressReader;
pub use pattern::Glob;
pub use pattern::Patterns;
pub use prune::MaxUnused;
pub use prune::PruneReport;
pub use prune::PruneSummary;
pub use prune::SealedBefore;
pub use random::Rng;
pub use random::SeededRng;
pub use random::SystemRng;
pub use repository::AtThisPace;
pub use repository::BackupBuilder;
pub use repository::BudgetReport;
pub use repository::BudgetShare;
pub use repository::CheckBuilder;
pub use repository::CheckReport;
pub use repository::CompareOptions;
pub use repository::ConfigView;
pub use repository::CopyBuilder;
pub use repository::CopyFailed;
pub use repository::CopyReport;
pub use repository::CreateOptions;
pub use repository::Created;
pub use repository::DamagedPack;
pub use repository::DataKeysPutBack;
pub use repository::DiskChange;
pub use repository::DiskDifference;
pub use repository::DiskDifferences;
pub use repository::FetchBuilder;
pub use repository::FetchReport;
pub use repository::ForgetGroup;
pub use repository::ForgetPlan;
pub use repository::GroupBy;
pub use repository::GroupKey;
pub use repository::IndexRepaired;
pub use repository::KdfChoice;
pub use repository::Key;
pub use repository::KeyFinding;
pub use repository::KeySlot;
pub use repository::KeyTrouble;
pub use repository::KeysRepaired;
pub use repository::OpenOptions;
pub use repository::PackView;
pub use repository::PacksRepaired;
pub use repository::Problem;
pub use repository::PruneBuilder;
pub use repository::PrunePlan;
pub use repository::ReadBudget;
pub use repository::ReadData;
pub use repository::RepairIndexBuilder;
pub use repository::RepairPacksBuilder;
pub use repository::RepairSnapshotsBuilder;
pub use repository::Repository;
pub use repository::RestoreBuilder;
pub use repository::RewriteBuilder;
pub use repository::RewriteReport;
pub use repository::RotateOptions;
pub use repository::Rotation;
pub use repository::SegmentView;
pub use repository::SnapshotFilter;
pub use repository::SnapshotList;
pub use repository::SnapshotRepaired;
pub use repository::SnapshotRewritten;
pub use repository::SnapshotStats;
pub use repository::SnapshotsRepaired;
pub use repository::Stats;
pub use repository::TagChange;
pub use repository::UnreadableSnapshot;
pub use repository::generate_key_file;
pub use restore::Overwrite;
pub use restore::OwnerMap;
pub use restore::OwnerMode;
pub use restore::RestoreReport;
pub use retention::Age;
pub use retention::AgeError;
pub use retention::Decision;
pub use retention::Keep;
pub use retention::KeepRules;
pub use retention::Reason;
pub use source::Amount;
pub use source::AsyncReaderSource;
pub use source::EmptyStream;
pub use source::EntryStart;
pub use source::Estimate;
pub use source::FolderSource;
pub use source::OpenEntry;
pub use source::OpenStream;
pub use source::ReaderSource;
pub use source::Sink;
pub use source::Source;
pub use source::SourceError;
pub use source::Stop;
pub use source::StreamEntry;
pub use source::Streams;
pub use source::Want;
pub use source::keys;
pub use squeeze::Compression;
pub use statement::BadFactName;
pub use statement::Fact;
pub use statement::KnownFact;
pub use statement::Statement;
pub use statement::UnknownFact;
pub use store::PendingRecord;
pub use time::Clock;
pub use time::SystemClock;
pub use time::Timestamp;
pub use verdict::Verdict;
pub use view::ContentReader;
pub use view::Differences;
pub use view::Entries;
pub use view::RepositoryView;
pub use view::SnapshotView;
