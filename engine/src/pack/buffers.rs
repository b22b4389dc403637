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
pub(crate) struct SegmentBuffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl SegmentBuffers {
    /// An empty vector with room for so many bytes: the smallest that is long enough, or a new one.
    pub(crate) fn take(&self, bytes: usize) -> Vec<u8> {
        if bytes < BYTES_MIN {
            return Vec::with_capacity(bytes);
        }
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = buffers.iter().enumerate().filter(|(_, buffer)| buffer.capacity() >= bytes);
        match fitting.min_by_key(|(_, buffer)| buffer.capacity()).map(|(at, _)| at) {
            Some(at) => buffers.swap_remove(at),
            // Rounded, so that lengths that are nearly the same can use the same.
            None => Vec::with_capacity(bytes.next_multiple_of(STEP_BYTES)),
        }
    }

    /// Takes one back.
    pub(crate) fn give(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() >= BYTES_MIN {
            buffer.clear();
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        }
    }

    /// Takes back those that nobody else holds.
    pub(crate) fn give_all(&self, parts: Vec<Bytes>) {
        parts.into_iter().filter(Bytes::is_unique).for_each(|part| self.give(Vec::from(part)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_used_again_and_what_others_hold_is_not() {
        let buffers = SegmentBuffers::default();
        let mut first = buffers.take(100_000);
        first.extend_from_slice(&[1; 100_000]);
        let place = first.as_ptr();
        let (free, held) = (Bytes::from(first), Bytes::from(vec![2; 300_000]));
        let holder = held.clone();
        buffers.give_all(vec![free, held]);
        let again = buffers.take(90_000);
        assert!(again.is_empty() && again.as_ptr() == place);
        assert!(buffers.take(200_000).capacity() >= 200_000);
        assert_eq!(holder, vec![2; 300_000]);
    }
}
