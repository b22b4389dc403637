//! What a prune must store before it gives any room back: on a full store in the room that was set aside.

use crate::error::Kind;
use crate::error::Result;
use crate::store::Store;

/// Stores something; where there is no room once more, after the reserve was spent.
pub(super) async fn put<T, F>(store: &Store, put: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    match put().await {
        Err(error) if error.kind() == Kind::NoSpace => {
            if store.backend().spend_reserve().await? {
                put().await
            } else {
                Err(error)
            }
        }
        other => other,
    }
}
