//! The index once more: packs that no index object names, by their own tables, and data keys whose objects are gone.

use super::look::Look;
use super::look::PackRead;
use super::look::read_pack;
use super::look::why;
use crate::backend::Name;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::IndexedPack;
use crate::format::wire::length_u32;
use crate::id::IndexId;
use crate::id::PackId;
use crate::index::keys;
use crate::index::keys::LostKey;
use crate::job::Control;
use crate::job::Job;
use crate::pack::IndexWriter;
use crate::repository::DataKeysPutBack;
use crate::repository::Repository;
use crate::store::OnFull;
use crate::store::Store;
use std::sync::Arc;

/// A repair of the index about to start.
#[must_use = "nothing happens before `start`"]
pub struct RepairIndexBuilder {
    repository: Repository,
    dry_run: bool,
}

/// What a repair of the index found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexRepaired {
    /// Packs that no index object named, and that one names now.
    pub packs_named: Vec<PackId>,
    /// The chunks in them.
    pub chunks_named: u64,
    /// Packs that no index object names and whose tables cannot be relied on, each with the reason.
    pub packs_unreadable: Vec<(PackId, String)>,
    /// Index objects that cannot be read, each with the reason. All that they can have named and that is there is
    /// named now; they stay until a prune removes them, unless a newer program wrote them.
    pub objects_damaged: Vec<(IndexId, String)>,
    /// Data keys whose objects were missing or damaged.
    pub keys: DataKeysPutBack,
}

impl Repository {
    /// Prepares to name in the index what is there and no index object names any more, and to put lost data keys back.
    pub fn repair_index(&self) -> RepairIndexBuilder {
        RepairIndexBuilder { repository: self.clone(), dry_run: false }
    }
}

impl RepairIndexBuilder {
    /// Only finds out what would be done.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Starts the job. Stopped midway it has added a part; started again it adds the rest.
    pub fn start(mut self) -> Job<IndexRepaired> {
        Job::start(|control| {
            self.repository.heed(&control);
            self.run(control)
        })
    }

    async fn run(self, control: Control) -> Result<IndexRepaired> {
        let Self { repository, dry_run } = self;
        if !dry_run {
            repository.check_writable().await?;
        }
        let store = repository.store();
        let look = Look::take(store).await?;
        let mut report = IndexRepaired::default();
        let mut writer = IndexWriter::new(store, OnFull::Fail);
        for id in look.unnamed() {
            control.check()?;
            match read_pack(store, id).await? {
                // A prune has taken it meanwhile.
                None => {}
                Some(PackRead::Damaged { why, .. } | PackRead::Unknown(why)) => report.packs_unreadable.push((id, why)),
                Some(PackRead::Whole { bytes, own }) => {
                    let table = own.table;
                    let chunks: usize = table.segments.iter().map(|segment| segment.chunks.len()).sum();
                    report.chunks_named += u64::try_from(chunks).unwrap_or(u64::MAX);
                    report.packs_named.push(id);
                    control.count(|counters| &counters.bytes_done, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                    if !dry_run {
                        let pack = IndexedPack { pack: id, length: length_u32(bytes.len()), table };
                        writer.add(store.adopt_pack(pack).await?).await?;
                    }
                }
            }
        }
        let mut replaced = Vec::new();
        for (id, error) in &look.damaged {
            report.objects_damaged.push((*id, why(error)));
            if error.kind() == Kind::Damaged && is_beyond_reading(store, *id).await? {
                replaced.push(*id);
            }
        }
        if dry_run {
            report.keys = judge_keys(store, &look).await?;
        } else {
            writer.finish_superseding(replaced).await?;
            // Reads the index as it is now: a key may be found in a pack that was named just before.
            report.keys = repository.put_back_data_keys().await?;
        }
        Ok(report)
    }
}

/// Whether an index object is damaged at the second reading too. One that is gone by now was merged.
async fn is_beyond_reading(store: &Arc<Store>, id: IndexId) -> Result<bool> {
    match store.get_index(id).await {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == Kind::Damaged => Ok(true),
        Err(error) if error.is_local() => Ok(false),
        Err(error) => Err(error),
    }
}

/// What would become of lost data keys.
async fn judge_keys(store: &Arc<Store>, look: &Look) -> Result<DataKeysPutBack> {
    let mut report = DataKeysPutBack::default();
    for LostKey { id, is_missing, found, .. } in keys::lost_keys(store, &look.index).await? {
        match found {
            Some(_) if is_missing => report.put_back.push(id),
            Some(_) => report.in_the_way.push(id),
            None => report.lost.push(id),
        }
    }
    Ok(report)
}

impl IndexRepaired {
    /// Whether everything that was found wrong is mended: nothing is lost, and nothing stands in the way.
    pub fn is_complete(&self) -> bool {
        self.packs_unreadable.is_empty() && self.keys.in_the_way.is_empty() && self.keys.lost.is_empty()
    }

    /// The damaged objects that are left where they are, by name.
    pub fn evidence(&self) -> Vec<String> {
        let objects = self.objects_damaged.iter().map(|(id, _)| Name::Index(*id));
        let packs = self.packs_unreadable.iter().map(|(id, _)| Name::Pack(*id));
        let keys = self.keys.in_the_way.iter().map(|id| Name::DataKey(*id));
        objects.chain(packs).chain(keys).map(|name| name.to_string()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Area;
    use crate::backend::Backend;
    use crate::backend::MemoryBackend;
    use crate::crypto::name;
    use crate::crypto::secret::Secret;
    use crate::entry::EntryPath;
    use crate::repository::CreateOptions;
    use crate::repository::KdfChoice;
    use crate::repository::Key;
    use crate::source::ReaderSource;

    #[tokio::test]
    async fn an_index_object_of_a_newer_program_is_named_and_never_superseded() {
        let backend = Arc::new(MemoryBackend::new());
        let options = CreateOptions { kdf: KdfChoice::Minimal, ..CreateOptions::default() };
        let created = Repository::create(backend.clone(), Key::Passphrase(Secret::new("open")), options).await;
        let repository = created.expect("a repository").repository;
        let source = ReaderSource::new(EntryPath::parse(b"f").expect("a path"), &b"content"[..]);
        repository.backup(source).start().await.expect("a backup");
        let [old] = backend.list(Area::Index).await.expect("listed")[..] else { panic!("one index object") };
        let mut bytes = backend.get(&old.name).await.expect("read").to_vec();
        // Magic, then the version.
        bytes[8] = 9;
        let newer = IndexId::from_bytes(name::object_hash([bytes.as_slice()]));
        backend.delete(&old.name).await.expect("deleted");
        backend.replace(Name::Index(newer), bytes);
        let report = repository.repair_index().start().await.expect("repaired");
        assert_eq!(report.objects_damaged.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [newer]);
        assert!(!report.packs_named.is_empty());
        let problems = repository.check().start().await.expect("checked").problems;
        assert_eq!(
            problems.iter().map(|problem| problem.object.clone()).collect::<Vec<_>>(),
            [format!("index/{newer}")]
        );
    }
}
