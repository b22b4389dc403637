//! Lost data keys: what to say of them, and how they come back from the packs that hold them too.

use super::Repository;
use crate::backend::Name;
use crate::error::Kind;
use crate::error::Result;
use crate::id::DataKeyId;
use crate::index::keys;
use crate::index::keys::FoundKey;
use crate::index::keys::LostKey;
use crate::store::Store;

/// What became of the data keys whose objects were missing or damaged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataKeysPutBack {
    /// Stored again under their own names.
    pub put_back: Vec<DataKeyId>,
    /// Held by a pack, but a damaged object stands under the name. It is evidence: whoever has looked at it removes it.
    pub in_the_way: Vec<DataKeyId>,
    /// Held by no pack that can be read.
    pub lost: Vec<DataKeyId>,
}

impl Repository {
    /// Stores missing data keys again from the packs that hold them. Adds objects only: nothing is replaced or removed.
    pub async fn put_back_data_keys(&self) -> Result<DataKeysPutBack> {
        self.check_writable().await?;
        let index = self.index().await?;
        let mut report = DataKeysPutBack::default();
        for LostKey { id, found, .. } in keys::lost_keys(self.store(), &index.current()).await? {
            let Some(found) = found else {
                report.lost.push(id);
                continue;
            };
            match self.store().put_key_back(&found.copy).await {
                Ok(()) => report.put_back.push(id),
                Err(error) if error.kind() == Kind::Conflict => report.in_the_way.push(id),
                Err(error) => return Err(error),
            }
        }
        Ok(report)
    }
}

/// Puts back a key that a backup found only in a pack; tells what was done. A run that may not write tells what it found.
pub(super) async fn put_back(store: &Store, found: &FoundKey, dry_run: bool) -> Result<String> {
    let FoundKey { copy, pack } = found;
    let name = Name::DataKey(copy.key.id);
    store.rely_on(copy);
    if dry_run {
        return Ok(format!("{name} is missing: a backup puts it back from pack {pack}"));
    }
    match store.put_key_back(copy).await {
        Ok(()) => Ok(format!("{name} was missing and is put back from pack {pack}")),
        // Something stands there after all. The pack's copy serves this run, and a check names the object.
        Err(error) if matches!(error.kind(), Kind::Conflict | Kind::Damaged) => {
            Ok(format!("{name} was not listed and cannot be put back, so the copy in pack {pack} is used: {error}"))
        }
        Err(error) => Err(error),
    }
}

/// What is wrong with a data key, what it costs, and what helps.
pub(super) fn describe(lost: &LostKey) -> String {
    let LostKey { error, is_missing, found, .. } = lost;
    let why = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    match found {
        Some(FoundKey { pack, .. }) => {
            let first = if *is_missing { "" } else { ", once this one is removed" };
            format!("{why}; nothing is lost, as pack {pack} holds the key too: the next backup puts it back{first}")
        }
        None => format!("{why}, and no pack holds a copy of it that opens"),
    }
}
