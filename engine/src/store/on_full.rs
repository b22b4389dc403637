//! What to do when the store is full: a prune may use the room that was set aside for it.

use super::Store;
use crate::error::Kind;
use crate::error::Result;

/// What becomes of a put that finds no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFull {
    /// It fails.
    Fail,
    /// It is tried once more after the reserve was spent: a prune must store something before it gives any room back.
    SpendReserve,
}

impl OnFull {
    /// Stores something.
    pub(crate) async fn put<T, F>(self, store: &Store, put: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        match put().await {
            Err(error) if error.kind() == Kind::NoSpace && self == Self::SpendReserve => {
                if store.spend_reserve().await? { put().await } else { Err(error) }
            }
            other => other,
        }
    }
}
