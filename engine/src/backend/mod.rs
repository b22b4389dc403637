//! The way out: where the objects of a repository live.
//!
//! A backend stores write-once objects under [`Name`]s and promises little, but keeps it:
//!
//! * a name becomes visible only with its whole content, and is never written a second time;
//! * what `put` returned for is durable, except packs: those are durable once a [`Backend::barrier`]
//!   begun after their `put` has returned, so that many packs share the cost of one directory sync;
//! * a listing is whole or an error, never short;
//! * a range is exactly as long as asked for, or an error.
//!
//! It knows nothing of keys or formats: what it is given is sealed already. Every method returns a
//! boxed future, so that backends are used as `Arc<dyn Backend>` and nothing above is generic.

mod heeding;
#[cfg(test)]
mod heeding_tests;
mod layer;
mod local;
mod location;
mod memory;
mod names;

pub(crate) use heeding::Heeding;
pub use layer::Layer;
pub use local::LocalBackend;
pub use location::Location;
pub use memory::MemoryBackend;
pub use names::Area;
pub use names::Name;

use crate::error::Error;
use crate::error::Result;
use crate::limits::UPLOADS_FAR;
use crate::limits::UPLOADS_NEAR;
use crate::time::Timestamp;
use bytes::Bytes;
use bytes::BytesMut;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

/// What every backend method returns: a boxed future that may move between threads.
pub type BackendFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A place that keeps the objects of one repository.
///
/// Methods may be called from many tasks at once. Dropping a returned future may leave the
/// operation done, undone or still under way, but never half visible.
///
/// No method has a default (but for the loop over pages): an answer that nobody thought about would be one that nobody may rely on. Whoever wraps
/// another backend writes a [`Layer`] instead.
pub trait Backend: Send + Sync + 'static {
    /// Stores a new object. `Conflict` when the name exists (its content is left alone), `NoSpace`
    /// and `BackendDenied` as they happen, `Invalid` when it is larger than any reader accepts.
    /// Durable on return, except packs, which are durable once `barrier` returned.
    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()>;

    /// Reads a whole object. `NotFound` when absent, `NoRepository` when the whole location is,
    /// `Damaged` when it is larger than [`Name::bytes_max`], ends early, or is on a part of a disk that can be read no
    /// more.
    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes>;

    /// Reads exactly `length` bytes from `offset`; `Damaged` when the object ends before.
    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes>;

    /// Length and age of an object, `None` when it is absent.
    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>>;

    /// The objects of an area whose names come after `after`, in name order without repeats: as many as the store gives at
    /// once, or an error, never some that were left out in between. Whatever has a name that does not parse is no object and
    /// is left out; where something else stands in an object's place, its name is listed, and reading it is `Damaged`.
    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page>;

    /// Every object of an area, page by page: whole, or an error. Nobody need write another one.
    fn list<'a>(&'a self, area: Area) -> BackendFuture<'a, Vec<Listed>> {
        Box::pin(async move {
            let mut all: Vec<Listed> = Vec::new();
            let mut after = None;
            loop {
                let Page { objects, more } = self.list_page(area, after).await?;
                let last = objects.iter().map(|object| object.name).max();
                all.extend(objects);
                if !more {
                    return Ok(all);
                }
                // A server that starts again from the beginning would be asked for ever.
                if last.is_none() || last <= after {
                    return Err(Error::damaged(format!("the listing of {area}"), "it does not go on where it ended"));
                }
                after = last;
            }
        })
    }

    /// Removes an object for good; an absent one is fine.
    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()>;

    /// Returns once every pack whose `put` returned before this call is durable. After it failed
    /// once for good it keeps failing: packs may be lost, and only a new backend may be trusted.
    fn barrier(&self) -> BackendFuture<'_, ()>;

    /// The location in words, for messages; holds no secrets.
    fn describe(&self) -> String;

    /// Creates an empty location. `Conflict` when a repository is there (of this program or one it
    /// recognises), `Invalid` when anything else is.
    fn prepare(&self) -> BackendFuture<'_, ()>;

    /// Fails early when a `put` could not work: `BackendDenied`, `NoSpace` or `NoRepository`.
    fn check_writable(&self) -> BackendFuture<'_, ()>;

    /// Fails early when a `delete` could not work, without writing: a full store is no obstacle. A store that cannot
    /// tell these apart checks the same as for a `put`.
    fn check_deletable(&self) -> BackendFuture<'_, ()>;

    /// Names the other program whose repository stands here ("a restic repository"), if any.
    fn recognise(&self) -> BackendFuture<'_, Option<String>>;

    /// What kind of store this is, as far as is known: asks nobody. What had to be asked is known after the first answer.
    fn properties(&self) -> Properties;

    /// What a file system needs beside that. `None` for a store where everything that can be listed is durable, that sets
    /// no room aside, and that keeps nothing of what killed runs were storing.
    fn disk(&self) -> Option<&dyn Disk>;
}

/// What only a file system needs: a name may be seen there before it is durable, the disk may be full, and what a killed run
/// was storing stays.
pub trait Disk: Send + Sync {
    /// Counts a pack that somebody else has put, and perhaps died before a barrier, among those that the next barrier
    /// makes durable.
    fn adopt<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()>;

    /// Returns once everything that a listing of this area shows is durable, and so is the absence of what it shows no
    /// more, whoever stored or deleted it: another program may have died before its own call returned.
    fn barrier_for(&self, area: Area) -> BackendFuture<'_, ()>;

    /// Sets room aside, so that a full store can still be pruned: the more, the more bytes are `stored` in packs. `false`
    /// where that is not possible.
    fn reserve(&self, stored: u64) -> BackendFuture<'_, bool>;

    /// Gives the room back that was set aside; `false` when there was none.
    fn spend_reserve(&self) -> BackendFuture<'_, bool>;

    /// What killed runs, and those that are storing right now, have in the store beside the objects.
    fn leftovers(&self) -> BackendFuture<'_, Leftovers>;

    /// Removes what of that no living run can need any more, and gives what it was.
    fn sweep(&self) -> BackendFuture<'_, Leftovers>;
}

/// What kind of store a backend is: what those above choose their ways by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Properties {
    /// How far away it is.
    pub distance: Distance,
    /// Packs to have on their way at once, if there is memory for them.
    pub puts: usize,
    /// Whether a listing by anybody shows every put and every delete that has returned to anybody else.
    pub lists_at_once: bool,
    /// The folder of this machine that all of it lies in, if there is one: a restore leaves that alone.
    pub folder: Option<PathBuf>,
}

/// How far away a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// So near that an answer takes microseconds: nothing needs to be asked for ahead.
    Near,
    /// Behind a network: every request costs a round trip, and may never be answered.
    Far,
}

impl Properties {
    /// A store of this machine, whose listings are always current.
    pub fn near() -> Self {
        Self { distance: Distance::Near, puts: UPLOADS_NEAR, lists_at_once: true, folder: None }
    }

    /// A store behind a network, whose listings may be stale.
    pub fn far() -> Self {
        Self { distance: Distance::Far, puts: UPLOADS_FAR, lists_at_once: false, folder: None }
    }
}

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In name order, without repeats.
    pub objects: Vec<Listed>,
    /// Whether more may come after the last of them.
    pub more: bool,
}

impl Page {
    /// What comes after `after` of a listing that is known whole.
    pub fn rest(mut objects: Vec<Listed>, after: Option<Name>) -> Self {
        objects.retain(|object| after.is_none_or(|after| object.name > after));
        Self { objects, more: false }
    }
}

/// Files in a store that are no objects: what was being stored when a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// How many.
    pub files: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// One object as a listing shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its name.
    pub name: Name,
    /// Its stored length in bytes.
    pub length: u64,
    /// When it was stored, by the store's own time.
    pub modified: Option<Timestamp>,
}

/// The bytes of one object, in parts that are written back to back without being joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload(Vec<Bytes>);

impl Payload {
    /// The parts in order.
    pub fn parts(&self) -> &[Bytes] {
        &self.0
    }

    /// Bytes of all parts together.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|part| u64::try_from(part.len()).unwrap_or(u64::MAX)).fold(0, u64::saturating_add)
    }

    /// Whether there is not one byte.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    /// All parts as one buffer; copies unless there is only one.
    pub fn join(&self) -> Bytes {
        match self.0.as_slice() {
            [] => Bytes::new(),
            [only] => only.clone(),
            parts => {
                let mut joined = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
                parts.iter().for_each(|part| joined.extend_from_slice(part));
                joined.freeze()
            }
        }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(vec![Bytes::from(bytes)])
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(vec![bytes])
    }
}

impl From<Vec<Bytes>> for Payload {
    fn from(parts: Vec<Bytes>) -> Self {
        Self(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_parts_joins_in_order() {
        let payload = Payload::from(vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"c")]);
        assert_eq!(payload.len(), 3);
        assert_eq!(payload.join(), Bytes::from_static(b"abc"));
        assert!(!payload.is_empty());
        assert!(Payload::from(vec![Bytes::new(), Bytes::new()]).is_empty());
    }
}
