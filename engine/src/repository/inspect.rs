//! Objects laid open, for people who want to see what is stored.

use super::Repository;
use crate::backend::Area;
use crate::backend::Listed;
use crate::backend::Name;
use crate::class::Class;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::pack::PackTable;
use crate::id::DataKeyId;
use crate::id::IndexId;
use crate::id::PackId;
use crate::id::RepositoryId;
use crate::id::SnapshotId;
use crate::time::Timestamp;

/// The repository's config.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigView {
    /// Its identity.
    pub repository: RepositoryId,
    /// When it was created.
    pub created: Timestamp,
    /// Features a program must know to read, to write, to prune.
    pub features: [Vec<String>; 3],
    /// Chunker: algorithm, smallest, nominal and largest chunk in bytes.
    pub chunker: [u32; 4],
    /// Stored bytes at which a data pack is closed.
    pub pack_bytes: u32,
    /// The program that created it.
    pub program: String,
}

/// A pack and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackView {
    /// Its name.
    pub pack: PackId,
    /// Its stored length in bytes.
    pub length: u32,
    /// What it holds.
    pub class: Class,
    /// The session that wrote it.
    pub session: SnapshotId,
    /// Keys its segments are sealed with.
    pub data_keys: Vec<DataKeyId>,
    /// Its segments in order.
    pub segments: Vec<SegmentView>,
}

/// A segment and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentView {
    /// Where it begins in the pack, in bytes.
    pub offset: u32,
    /// Its stored length in bytes.
    pub stored_length: u32,
    /// Its length once opened, in bytes.
    pub plain_length: u32,
    /// 0 stored, 1 zstd.
    pub compression: u8,
    /// Its chunks, back to back.
    pub chunks: Vec<ChunkRef>,
}

impl Repository {
    /// The config.
    pub fn inspect_config(&self) -> ConfigView {
        let (public, private) = (&self.inner.public, &self.inner.private);
        let chunker = private.chunker;
        ConfigView {
            repository: public.repository,
            created: public.created,
            features: [public.read.clone(), public.write.clone(), public.prune.clone()],
            chunker: [u32::from(chunker.id), chunker.min, chunker.nominal, chunker.max],
            pack_bytes: private.pack_bytes,
            program: private.program.clone(),
        }
    }

    /// What an index object says, pack by pack.
    pub async fn inspect_index(&self, id: IndexId) -> Result<Vec<PackView>> {
        let body = self
            .store()
            .get_index(id)
            .await?
            .into_body()
            .map_err(|cause| cause.while_reading(format!("index object {id}")))?;
        Ok(body.packs.into_iter().map(|pack| view(pack.pack, pack.length, pack.table)).collect())
    }

    /// Index objects that an index object replaces: whoever reads it leaves them out.
    pub async fn inspect_superseded(&self, id: IndexId) -> Result<Vec<IndexId>> {
        Ok(self.store().get_index(id).await?.supersedes)
    }

    /// What a pack says of itself; its frame and table are verified.
    pub async fn inspect_pack(&self, id: PackId) -> Result<PackView> {
        let bytes = self.store().get_pack(id).await?;
        let opened = self.store().open_pack(id, &bytes)?;
        Ok(view(id, opened.length, opened.own.table))
    }

    /// The objects of one area, for finding names.
    pub async fn list_objects(&self, area: Area) -> Result<Vec<Listed>> {
        self.store().backend().list(area).await
    }

    /// The one object of `area` whose id begins with `prefix`.
    pub async fn find_object(&self, area: Area, prefix: &str) -> Result<Name> {
        let mut fitting = self.list_objects(area).await?.into_iter().map(|listed| listed.name).filter(|name| {
            name.to_string().rsplit('/').next().is_some_and(|id| !prefix.is_empty() && id.starts_with(prefix))
        });
        match (fitting.next(), fitting.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => Err(Error::new(Kind::Invalid, format!("more than one object begins with {prefix}"))),
            _ => Err(Error::new(Kind::NotFound, format!("no object begins with {prefix}"))),
        }
    }
}

fn view(pack: PackId, length: u32, table: PackTable) -> PackView {
    let segments = table.segments.into_iter().map(|segment| SegmentView {
        offset: segment.offset,
        stored_length: segment.stored_length,
        plain_length: segment.plain_length,
        compression: segment.compression,
        chunks: segment.chunks,
    });
    PackView {
        pack,
        length,
        class: table.class,
        session: table.session,
        data_keys: table.data_keys,
        segments: segments.collect(),
    }
}
