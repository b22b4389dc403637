//! Deleting many objects, several at a time: on a disk those share the sync that makes them durable.

use super::Store;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Deletions under way at once.
const DELETIONS_MAX: usize = 16;

impl Store {
    /// Deletes objects in no particular order; one that is gone already is fine. Gives how many were there, as far as
    /// the backend tells. After a failure none is begun, and all that were under way have ended.
    pub(crate) async fn delete_all(&self, names: impl IntoIterator<Item = Name>) -> Result<u64> {
        let (mut names, mut running) = (names.into_iter(), JoinSet::new());
        let (mut gone, mut failed) = (0, None);
        loop {
            while failed.is_none()
                && running.len() < DELETIONS_MAX
                && let Some(name) = names.next()
            {
                let backend = Arc::clone(self.backend());
                running.spawn(async move { backend.delete(&name).await });
            }
            match running.join_next().await {
                None => return failed.map_or(Ok(gone), Err),
                Some(Ok(Ok(()))) => gone += 1,
                Some(Ok(Err(error))) if error.kind() == Kind::NotFound => {}
                Some(Ok(Err(error))) => failed = failed.or(Some(error)),
                Some(Err(lost)) => {
                    let lost = Error::new(Kind::Bug, "a task that deletes was lost").because(lost.to_string());
                    failed = failed.or(Some(lost));
                }
            }
        }
    }
}
