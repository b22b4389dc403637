//! Reading stored packs whole: name, frame, table, every segment, every chunk.

use super::CheckReport;
use super::ReadData;
use super::StoredPack;
use super::budget::Ledger;
use crate::backend::Name;
use crate::crypto::name;
use crate::crypto::seal::DataKey;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::PackInfo;
use crate::format::pack::OwnTable;
use crate::format::pack::PackTable;
use crate::id::DataKeyId;
use crate::id::PackId;
use crate::index::live::LiveIndex;
use crate::index::table::Index;
use crate::job::Control;
use crate::random;
use crate::repository::Repository;
use crate::store::SegmentReader;
use crate::store::Store;
use crate::store::WholePack;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Which packs to read.
pub(super) fn choose(
    repository: &Repository,
    mut packs: Vec<StoredPack>,
    read_data: ReadData,
    ledger: &Ledger,
) -> Result<Vec<StoredPack>> {
    packs.sort();
    match read_data {
        ReadData::Nothing => packs.clear(),
        ReadData::All => {}
        ReadData::Part { part, of } => {
            if of == 0 || part == 0 || part > of {
                return Err(Error::new(Kind::Invalid, format!("there is no part {part} of {of}")));
            }
            // By name, so that the parts stay the same while other packs come and go.
            packs.retain(|pack| u64::from(leading(&pack.id)) % of == part - 1);
        }
        ReadData::Percent(percent) => {
            if !(percent > 0.0 && percent <= 100.0) {
                return Err(Error::new(Kind::Invalid, format!("{percent} % is no share of the data")));
            }
            shuffle(repository, &mut packs)?;
            let wanted = share(total(&packs), percent);
            take_bytes(&mut packs, wanted);
        }
        ReadData::Bytes(wanted) => {
            shuffle(repository, &mut packs)?;
            take_bytes(&mut packs, wanted);
        }
        ReadData::Budget(_) => {
            // What was never read stands in no order: whoever loses the cache must not begin with the same packs again.
            shuffle(repository, &mut packs)?;
            packs = ledger.choose(packs)?;
        }
    }
    Ok(packs)
}

/// Bytes of these packs together.
pub(super) fn total(packs: &[StoredPack]) -> u64 {
    packs.iter().map(|pack| pack.length).sum()
}

/// So many percent of `bytes`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "a share of bytes needs no more than 52 bits"
)]
pub(super) fn share(bytes: u64, percent: f64) -> u64 {
    (bytes as f64 * percent / 100.0).ceil() as u64
}

fn leading(id: &PackId) -> u32 {
    let [a, b, c, d, ..] = *id.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

fn shuffle(repository: &Repository, packs: &mut [StoredPack]) -> Result<()> {
    let salt: [u8; 32] = random::array(repository.store().rng())?;
    packs.sort_by_cached_key(|pack| name::object_hash([salt.as_slice(), pack.id.as_bytes().as_slice()]));
    Ok(())
}

/// Keeps the first packs, until they have `wanted` bytes; gives how many they have.
pub(super) fn take_bytes(packs: &mut Vec<StoredPack>, wanted: u64) -> u64 {
    let mut taken = 0;
    packs.retain(|pack| {
        let keep = taken < wanted;
        taken += if keep { pack.length } else { 0 };
        keep
    });
    taken
}

/// The outcome of verifying one pack.
#[derive(Default)]
struct Verdict {
    /// It was pruned meanwhile: what is needed of it stands in another one.
    moved: bool,
    segments: u64,
    bytes: u64,
    problems: Vec<(String, Error)>,
}

/// Reads and verifies packs, `threads` at a time. Where some were pruned meanwhile, those that took their place are
/// read as well.
pub(super) async fn read(
    control: &Control,
    live: &Arc<LiveIndex>,
    mut index: Arc<Index>,
    mut packs: Vec<StoredPack>,
    threads: usize,
    ledger: &mut Ledger,
    report: &mut CheckReport,
) -> Result<()> {
    loop {
        control.counters().bytes_total.fetch_add(total(&packs), std::sync::atomic::Ordering::Relaxed);
        if !read_all(control, live, &index, packs, threads, ledger, report).await? {
            return Ok(());
        }
        let now = live.current();
        let stored = |pack: &PackInfo| StoredPack { id: pack.id, length: pack.length.into(), stored: None };
        packs = Vec::new();
        for pack in now.packs() {
            let pack = pack?;
            if !index.has_pack(&pack.id) {
                packs.push(stored(&pack));
            }
        }
        index = now;
    }
}

/// Whether any pack was moved.
async fn read_all(
    control: &Control,
    live: &Arc<LiveIndex>,
    index: &Arc<Index>,
    packs: Vec<StoredPack>,
    threads: usize,
    ledger: &mut Ledger,
    report: &mut CheckReport,
) -> Result<bool> {
    let mut running: JoinSet<Result<(StoredPack, Verdict)>> = JoinSet::new();
    let mut left = packs.into_iter();
    let mut moved = false;
    loop {
        control.check()?;
        while running.len() < threads
            && let Some(pack) = left.next()
        {
            let (live, index, number) = (Arc::clone(live), Arc::clone(index), index.pack_number(&pack.id));
            running.spawn(async move { Ok((pack, verify(live, index, pack.id, number).await?)) });
        }
        let Some(done) = running.join_next().await else { return Ok(moved) };
        let (pack, verdict) = done.map_err(|lost| {
            Error::new(Kind::Bug, "a task that verifies a pack was lost").because(lost.to_string())
        })??;
        moved |= verdict.moved;
        report.segments += verdict.segments;
        report.bytes_read += verdict.bytes;
        control.count(|counters| &counters.bytes_done, verdict.bytes);
        control.count(|counters| &counters.entries_done, 1);
        let is_whole = verdict.problems.is_empty();
        for (object, error) in verdict.problems {
            report.note(control, object, error)?;
        }
        if !verdict.moved {
            ledger.note(&pack, is_whole);
        }
    }
}

async fn verify(live: Arc<LiveIndex>, index: Arc<Index>, id: PackId, number: Option<u32>) -> Result<Verdict> {
    let store = Arc::clone(live.store());
    let what = Name::Pack(id).to_string();
    let failed = |error| Verdict { problems: vec![(Name::Pack(id).to_string(), error)], ..Verdict::default() };
    let bytes = match store.get_pack(id).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == Kind::NotFound && !live.renew(&id).await? => {
            return Ok(Verdict { moved: true, ..Verdict::default() });
        }
        Err(error) => return Ok(failed(error)),
    };
    // The table is small beside the segments: opened here, because the keys it names have to be fetched.
    let (opener, body) = (Arc::clone(&store), bytes.clone());
    let opened = tokio::task::spawn_blocking(move || {
        if name::object_hash([body.as_ref()]) != *id.as_bytes() {
            return Err(Error::damaged(Name::Pack(id), "its bytes do not hash to its name"));
        }
        opener.open_pack(id, &body)
    });
    let OwnTable { table, wrapped_keys } = match opened.await.map_err(lost)? {
        Ok(opened) => opened.own,
        Err(error) => return Ok(failed(error)),
    };
    let mut problems = Vec::new();
    if let Some(pack) = number.map(|number| index.pack(number)).transpose()?.flatten()
        && !same_segments(&pack, &table)
    {
        problems.push((what.clone(), Error::damaged(&what, "its table and the index disagree")));
    }
    let mut keys = HashMap::new();
    for (key, wrapped) in table.data_keys.iter().zip(&wrapped_keys) {
        let copy = store.open_key_copy(key, table.class, wrapped).map(|copy| copy.key);
        let opened = match (store.data_key(key, table.class).await, copy) {
            (Ok(opened), Ok(copy)) if opened.is_same(&copy) => opened,
            (Ok(opened), _) => {
                problems
                    .push((what.clone(), Error::damaged(&what, format!("its copy of data key {key} is not that key"))));
                opened
            }
            // That the object is lost was said once, before any pack was read.
            (Err(_), Ok(copy)) => copy,
            (Err(error), Err(_)) => {
                problems.push((Name::DataKey(*key).to_string(), error));
                continue;
            }
        };
        keys.insert(*key, opened);
    }
    let opened = tokio::task::spawn_blocking(move || {
        open_segments(&store, &WholePack { id, table: &table, bytes: &bytes }, &keys, problems)
    });
    opened.await.map_err(lost)
}

/// Opens every segment and names every chunk again.
fn open_segments(
    store: &Arc<Store>,
    pack: &WholePack<'_>,
    keys: &HashMap<DataKeyId, Arc<DataKey>>,
    mut problems: Vec<(String, Error)>,
) -> Verdict {
    let WholePack { id, table, bytes } = *pack;
    let mut reader = SegmentReader::new(store);
    let mut segments = 0;
    for (number, segment) in (0u16..).zip(&table.segments) {
        // A key that is missing is a problem already named, once for all its segments.
        let key = table.data_keys.get(usize::from(segment.data_key)).and_then(|key| keys.get(key));
        let Some(key) = key else { continue };
        segments += 1;
        if let Err(error) = reader.check(pack, number, key) {
            problems.push((format!("{} segment {number}", Name::Pack(id)), error));
        }
    }
    Verdict { moved: false, segments, bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX), problems }
}

fn same_segments(pack: &PackInfo, table: &PackTable) -> bool {
    pack.class == table.class
        && pack.data_keys == table.data_keys
        && pack.salts == table.salts
        && pack.segments.len() == table.segments.len()
        && pack.segments.iter().zip(&table.segments).all(|(one, other)| *one == other.info())
}

fn lost(cause: tokio::task::JoinError) -> Error {
    Error::new(Kind::Bug, "a task that verifies a pack was lost").because(cause.to_string())
}
