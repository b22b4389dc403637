//! Which snapshots there are, and which one is meant.

use super::Repository;
use crate::backend::Area;
use crate::backend::Name;
use crate::crypto::keyring::UnknownKey;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::store::SNAPSHOT_BY_ID;
use std::cmp::Reverse;
use std::collections::HashMap;
use tokio::task::JoinSet;

/// Snapshot records fetched at once.
const FETCHES_MAX: usize = 8;

/// Which snapshots to consider. Empty lists let everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotFilter {
    /// The host is one of these.
    pub hosts: Vec<String>,
    /// All tags of one of these lists are there; an empty list stands for no tags at all.
    pub tags: Vec<Vec<String>>,
    /// Every one of these paths was backed up.
    pub paths: Vec<Vec<u8>>,
}

impl SnapshotFilter {
    /// Whether a snapshot passes.
    pub fn matches(&self, snapshot: &Snapshot) -> bool {
        (self.hosts.is_empty() || self.hosts.contains(&snapshot.host))
            && (self.tags.is_empty() || self.tags.iter().any(|all| has_tags(snapshot, all)))
            && self.paths.iter().all(|path| snapshot.paths.contains(path))
    }
}

fn has_tags(snapshot: &Snapshot, all: &[String]) -> bool {
    if all.is_empty() { snapshot.tags.is_empty() } else { all.iter().all(|tag| snapshot.tags.contains(tag)) }
}

/// All snapshots of a repository, as far as their records can be read.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct SnapshotList {
    /// Those that can be read, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Those whose record is damaged or of a newer program, by id.
    pub unreadable: Vec<UnreadableSnapshot>,
}

/// A snapshot whose record cannot be read: when it was taken, and of what, nobody can tell.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnreadableSnapshot {
    /// Which one.
    pub id: SnapshotId,
    /// Why it cannot be read.
    pub error: Error,
}

impl SnapshotList {
    /// What [`Repository::resolve`] gives, from the snapshots that can be read. Whoever uses it must tell people of
    /// [`Self::in_doubt`]: `latest` gives an older snapshot where the newest is one that cannot be read.
    pub fn resolve(&self, selector: &str, filter: &SnapshotFilter) -> Result<Snapshot> {
        let found = select(&self.snapshots, selector, filter);
        let mut in_doubt = self.in_doubt(selector).peekable();
        if in_doubt.peek().is_none() {
            return found;
        }
        match found {
            Ok(snapshot) if is_by_age(selector) => Ok(snapshot),
            Ok(_) => Err(ambiguous(selector)),
            Err(error) if error.kind() != Kind::NotFound => Err(error),
            Err(error) => match (in_doubt.next(), in_doubt.next()) {
                (Some(_), Some(_)) if !is_by_age(selector) => Err(ambiguous(selector)),
                (one, _) => Err(one.map_or(error, UnreadableSnapshot::as_error)),
            },
        }
    }

    /// The unreadable snapshots that `selector` may mean: by age any of them, else those whose id it begins.
    pub fn in_doubt(&self, selector: &str) -> impl Iterator<Item = &UnreadableSnapshot> {
        self.unreadable.iter().filter(move |one| is_by_age(selector) || one.id.to_string().starts_with(selector))
    }
}

impl UnreadableSnapshot {
    fn as_error(&self) -> Error {
        let error = Error::new(self.error.kind(), self.error.doing());
        match std::error::Error::source(&self.error) {
            // Whoever reads the error gives advice by this one.
            Some(cause) if cause.is::<UnknownKey>() => error.because(UnknownKey),
            Some(cause) => error.because(cause.to_string()),
            None => error,
        }
    }
}

impl Repository {
    /// All snapshots, oldest first. One that cannot be read is an error: a list that looks whole must be whole.
    /// [`Self::list_snapshots`] gives the others as well.
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let SnapshotList { snapshots, unreadable } = self.list_snapshots().await?;
        match unreadable.into_iter().next() {
            Some(one) if one.error.kind() == Kind::Damaged => Err(one.error.advise(SNAPSHOT_BY_ID)),
            Some(one) => Err(one.error),
            None => Ok(snapshots),
        }
    }

    /// The snapshots that can be read, and those that cannot.
    pub async fn list_snapshots(&self) -> Result<SnapshotList> {
        let mut ids = Vec::new();
        for listed in self.store().list(Area::Snapshots).await? {
            if let Name::Snapshot(id) = listed.name {
                ids.push(id);
            }
        }
        let mut running: JoinSet<(SnapshotId, Result<Option<Snapshot>>)> = JoinSet::new();
        let mut left = ids.into_iter();
        let mut all = Vec::new();
        let mut gone = Vec::new();
        let mut unreadable = Vec::new();
        loop {
            while running.len() < FETCHES_MAX
                && let Some(id) = left.next()
            {
                let repository = self.clone();
                running.spawn(async move { (id, repository.read_snapshot(id).await) });
            }
            match running.join_next().await {
                None => break,
                Some(Err(lost)) => {
                    return Err(Error::new(Kind::Bug, "a task that reads snapshots was lost").because(lost.to_string()));
                }
                Some(Ok((id, done))) => match done {
                    Ok(Some(snapshot)) => all.push(snapshot),
                    Ok(None) => gone.push(Name::Snapshot(id)),
                    Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => {
                        unreadable.push(UnreadableSnapshot { id, error });
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        for (name, error) in self.store().still_listed(Area::Snapshots, &gone).await? {
            if let Name::Snapshot(id) = name {
                unreadable.push(UnreadableSnapshot { id, error });
            }
        }
        // What is made from a snapshot has its time and is finished later: of the two the original is the newer one.
        all.sort_by_key(|snapshot| (snapshot.started, Reverse(snapshot.finished), snapshot.id));
        unreadable.sort_by_key(|one| one.id);
        Ok(SnapshotList { snapshots: all, unreadable })
    }

    /// `None` when it does not exist.
    pub(super) async fn read_snapshot(&self, id: SnapshotId) -> Result<Option<Snapshot>> {
        let name = Name::Snapshot(id);
        let body = match self.store().get_small(&name).await {
            Ok(body) => body,
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let snapshot = Snapshot::decode(&body).map_err(|cause| cause.while_reading(name))?;
        if snapshot.id == id {
            Ok(Some(snapshot))
        } else {
            Err(Error::damaged(name, "it is another snapshot's record"))
        }
    }

    /// The snapshot that `selector` means among those that pass `filter`: `latest`, `latest~N` (the N-th before
    /// it), or a prefix of an id that fits exactly one. A record that cannot be read is an error where it may be
    /// meant; [`SnapshotList::resolve`] goes by the others.
    pub async fn resolve(&self, selector: &str, filter: &SnapshotFilter) -> Result<Snapshot> {
        let list = self.list_snapshots().await?;
        match list.in_doubt(selector).next() {
            Some(one) => Err(one.as_error()),
            None => list.resolve(selector, filter),
        }
    }
}

/// Snapshots by the parent that they were made with.
pub(super) fn by_parent(snapshots: &[Snapshot]) -> HashMap<SnapshotId, Vec<&Snapshot>> {
    let mut all: HashMap<SnapshotId, Vec<&Snapshot>> = HashMap::new();
    for snapshot in snapshots {
        if let Some(parent) = snapshot.parent {
            all.entry(parent).or_default().push(snapshot);
        }
    }
    all
}

fn is_by_age(selector: &str) -> bool {
    selector.starts_with("latest")
}

/// Where the names of snapshots are to be found.
const LISTED: &str = "'strongroom snapshots' lists the snapshots and their IDs";

fn ambiguous(selector: &str) -> Error {
    Error::new(Kind::Invalid, format!("more than one snapshot begins with {selector}")).advise(LISTED)
}

fn select(snapshots: &[Snapshot], selector: &str, filter: &SnapshotFilter) -> Result<Snapshot> {
    if let Some(rest) = selector.strip_prefix("latest") {
        let back = match rest.strip_prefix('~') {
            None if rest.is_empty() => 0,
            Some(number) if !number.is_empty() => number.parse::<usize>().map_err(|_| no_selector(selector))?,
            _ => return Err(no_selector(selector)),
        };
        let mut fitting = snapshots.iter().rev().filter(|snapshot| filter.matches(snapshot));
        return fitting.nth(back).cloned().ok_or_else(|| {
            Error::new(Kind::NotFound, format!("there is no snapshot {selector} that fits the filters"))
        });
    }
    let hexadecimal = selector.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
    if selector.is_empty() || selector.len() > SnapshotId::BYTES * 2 || !hexadecimal {
        return Err(no_selector(selector));
    }
    let mut fitting = snapshots.iter().filter(|snapshot| snapshot.id.to_string().starts_with(selector));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one.clone()),
        (Some(_), Some(_)) => Err(ambiguous(selector)),
        _ => Err(Error::new(Kind::NotFound, format!("there is no snapshot {selector}"))),
    }
}

fn no_selector(selector: &str) -> Error {
    Error::new(Kind::Invalid, format!("{selector:?} names no snapshot"))
        .because("write an id or its beginning, latest, or latest~N")
        .advise(LISTED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn snapshot(id: [u8; 16], host: &str, seconds: i64) -> Snapshot {
        let mut snapshot = Snapshot::new(SnapshotId::from_bytes(id), Timestamp { seconds, nanoseconds: 0 });
        snapshot.host = host.to_owned();
        snapshot
    }

    fn three() -> Vec<Snapshot> {
        let mut close = [0xab; 16];
        close[15] = 0;
        vec![snapshot([0xab; 16], "a", 1), snapshot([0x12; 16], "b", 2), snapshot(close, "a", 3)]
    }

    #[test]
    fn latest_counts_back_among_those_that_fit() {
        let all = SnapshotFilter::default();
        let only_a = SnapshotFilter { hosts: vec!["a".to_owned()], ..SnapshotFilter::default() };
        let started = |selector: &str, filter: &SnapshotFilter| {
            select(&three(), selector, filter).map(|snapshot| snapshot.started.seconds)
        };
        assert_eq!(started("latest", &all).ok(), Some(3));
        assert_eq!(started("latest~1", &all).ok(), Some(2));
        assert_eq!(started("latest~1", &only_a).ok(), Some(1));
        assert_eq!(started("latest~2", &only_a).map_err(|error| error.kind()).err(), Some(Kind::NotFound));
    }

    #[test]
    fn a_prefix_must_fit_exactly_one() {
        let all = SnapshotFilter::default();
        let kind = |selector: &str| select(&three(), selector, &all).map_err(|error| error.kind()).err();
        assert_eq!(kind("12"), None);
        assert_eq!(kind("ab"), Some(Kind::Invalid));
        assert_eq!(kind("ff"), Some(Kind::NotFound));
        for nonsense in ["", "latest~", "latest~x", "latestt", "AB", "../x"] {
            assert_eq!(kind(nonsense), Some(Kind::Invalid), "{nonsense}");
        }
    }

    #[test]
    fn an_unreadable_snapshot_is_in_the_way_only_where_it_may_be_meant() {
        let all = SnapshotFilter::default();
        let id = SnapshotId::from_bytes([0x13; 16]);
        let unreadable = vec![UnreadableSnapshot { id, error: Error::damaged("it", "the tag is wrong") }];
        let list = SnapshotList { snapshots: three(), unreadable };
        let kind = |selector: &str| list.resolve(selector, &all).map_err(|error| error.kind()).err();
        let doubts = |selector: &str| list.in_doubt(selector).count();
        assert_eq!((kind("12"), doubts("12")), (None, 0));
        assert_eq!((kind("1"), doubts("1")), (Some(Kind::Invalid), 1));
        assert_eq!((kind("13"), doubts("13")), (Some(Kind::Damaged), 1));
        assert_eq!((kind("latest"), doubts("latest")), (None, 1));
        assert_eq!((kind("latest~3"), doubts("latest~3")), (Some(Kind::Damaged), 1));
        assert_eq!(kind("latestt"), Some(Kind::Invalid));
        let none = SnapshotList { snapshots: Vec::new(), ..list };
        assert_eq!(none.resolve("latest", &all).map_err(|error| error.kind()).err(), Some(Kind::Damaged));
    }
}
