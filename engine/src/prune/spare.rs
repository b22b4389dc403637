//! Memory of segments that have left, for those that come: what is given back to an allocator stays with the thread
//! that had it, and copying uses many.

use bytes::Bytes;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Lengths are multiples of this.
const STEP_BYTES: usize = 128 * 1024;
/// Shorter ones are neither rounded nor kept.
const BYTES_MIN: usize = STEP_BYTES / 2;

/// Vectors to be used again, shared by all who seal, copy and store.
#[derive(Clone, Default)]
pub(super) struct Spares(Arc<Mutex<Vec<Vec<u8>>>>);

impl Spares {
    /// An empty vector with room for so many bytes: the smallest that is long enough, or a new one.
    pub(super) fn take(&self, bytes: usize) -> Vec<u8> {
        if bytes < BYTES_MIN {
            return Vec::with_capacity(bytes);
        }
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = spares.iter().enumerate().filter(|(_, spare)| spare.capacity() >= bytes);
        match fitting.min_by_key(|(_, spare)| spare.capacity()).map(|(at, _)| at) {
            Some(at) => spares.swap_remove(at),
            // Rounded, so that lengths that are nearly the same can use the same.
            None => Vec::with_capacity(bytes.next_multiple_of(STEP_BYTES)),
        }
    }

    /// Takes one back.
    pub(super) fn give(&self, mut spare: Vec<u8>) {
        if spare.capacity() >= BYTES_MIN {
            spare.clear();
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(spare);
        }
    }

    /// Takes back those that nobody else holds.
    pub(super) fn give_all(&self, parts: Vec<Bytes>) {
        parts.into_iter().filter(Bytes::is_unique).for_each(|part| self.give(Vec::from(part)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_used_again_and_what_others_hold_is_not() {
        let spares = Spares::default();
        let mut first = spares.take(100_000);
        first.extend_from_slice(&[1; 100_000]);
        let place = first.as_ptr();
        let (free, held) = (Bytes::from(first), Bytes::from(vec![2; 300_000]));
        let holder = held.clone();
        spares.give_all(vec![free, held]);
        let again = spares.take(90_000);
        assert!(again.is_empty() && again.as_ptr() == place);
        assert!(spares.take(200_000).capacity() >= 200_000);
        assert_eq!(holder, vec![2; 300_000]);
    }
}
