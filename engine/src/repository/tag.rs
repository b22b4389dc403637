//! Changing the tags of snapshots.

use super::Repository;
use crate::error::Result;
use crate::format::snapshot::each_once;
use crate::id::SnapshotId;

/// How tags change: replaced first, then added to, then removed from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagChange {
    /// Exactly these, when given.
    pub set: Option<Vec<String>>,
    /// These as well.
    pub add: Vec<String>,
    /// Without these.
    pub remove: Vec<String>,
}

impl TagChange {
    fn apply(&self, tags: &[String]) -> Vec<String> {
        let mut new = self.set.clone().unwrap_or_else(|| tags.to_vec());
        new.extend_from_slice(&self.add);
        let mut new = each_once(&new);
        new.retain(|tag| !self.remove.contains(tag));
        new
    }
}

impl Repository {
    /// Changes the tags of these snapshots. Gives pairs of old and new id for those that changed; the new record
    /// is stored before the old one goes.
    pub async fn tag(&self, ids: &[SnapshotId], change: &TagChange) -> Result<Vec<(SnapshotId, SnapshotId)>> {
        self.check_writable().await?;
        let mut changed = Vec::new();
        for id in ids {
            let mut snapshot = self.snapshot(id).await?;
            let tags = change.apply(&snapshot.tags);
            if tags == snapshot.tags {
                continue;
            }
            snapshot.tags = tags;
            changed.push((*id, self.replace_record(snapshot).await?));
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_set_then_added_then_removed() {
        let strings = |list: &[&str]| list.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        let change =
            TagChange { set: Some(strings(&["a", "b", "b"])), add: strings(&["b", "c"]), remove: strings(&["a"]) };
        assert_eq!(change.apply(&strings(&["old"])), strings(&["b", "c"]));
    }
}
