//! The bytes of an entry: piece by piece, from any place, or all at once.

use super::RepositoryView;
use super::sequence::Origin;
use super::sequence::Sequence;
use crate::entry::Entry;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::limits::MIB;
use crate::limits::READ_AHEAD_BYTES;
use bytes::Bytes;
use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

/// An entry's bytes, holes filled with zeros. Every chunk is verified before any of it is given.
///
/// It reads in order, as a `Stream` of pieces, as `AsyncRead` and `AsyncSeek`, or with [`ContentReader::next`], which all
/// share one place; and with [`ContentReader::read_at`] from anywhere, also several at once.
pub struct ContentReader {
    origin: Arc<Origin>,
    name: String,
    /// The byte that is given next.
    at: u64,
    /// Read and not given.
    rest: Bytes,
    /// What goes on behind `rest`, unless it is under way.
    sequence: Option<Sequence>,
    under_way: Mutex<Option<Reading>>,
    /// Where the last `read_at` ended: whoever goes on there will go on.
    last_end: AtomicU64,
}

/// The next piece, on its way.
type Reading = Pin<Box<dyn Future<Output = (Sequence, Result<Option<Bytes>>)> + Send>>;

impl ContentReader {
    /// Nothing is read yet.
    pub(super) fn new(view: &RepositoryView, entry: &Entry) -> Self {
        Self::at_start(Arc::new(Origin::new(view, entry)), entry.path.to_string())
    }

    fn at_start(origin: Arc<Origin>, name: String) -> Self {
        let (rest, last_end) = (Bytes::new(), AtomicU64::new(u64::MAX));
        Self { origin, name, at: 0, rest, sequence: None, under_way: Mutex::default(), last_end }
    }

    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        self.origin.holes.size()
    }

    /// The byte that is given next.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Goes on from this byte, forward or back; nothing is read yet. Behind the end there is nothing.
    pub fn go_to(&mut self, offset: u64) {
        let Self { origin, name, .. } = self;
        let (origin, name) = (Arc::clone(origin), std::mem::take(name));
        *self = Self { at: offset, ..Self::at_start(origin, name) };
    }

    /// The next bytes, never empty; `None` at the end. After an error the same is tried again.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        poll_fn(|context| self.poll_piece(context)).await
    }

    /// The bytes from `offset` on: `length` of them, or fewer where the content ends before. Reads no more segments than
    /// they stand in, but for whoever goes on where the last call ended: what comes next is then opened ahead.
    pub async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes> {
        let wanted = self.size().saturating_sub(offset).min(u64::try_from(length).unwrap_or(u64::MAX));
        let end = offset.saturating_add(wanted);
        let goes_on = wanted > 0 && self.last_end.swap(end, Ordering::Relaxed) == offset;
        let until = if goes_on { end.saturating_add(READ_AHEAD_BYTES) } else { end };
        let mut sequence = Sequence::between(&self.origin, offset, until);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let (mut first, mut all) = (Bytes::new(), Vec::new());
        while first.len() + all.len() < wanted {
            let Some(mut piece) = sequence.next().await? else { break };
            piece.truncate(wanted - first.len() - all.len());
            if all.is_empty() && first.is_empty() {
                first = piece;
                continue;
            }
            if all.is_empty() {
                // Holes may be larger than any memory: what is asked for shows piece by piece.
                all.reserve(wanted.min(8 * MIB));
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&piece);
        }
        Ok(if all.is_empty() { first } else { Bytes::from(all) })
    }

    /// All bytes at once. `Invalid` when there are more than `limit`.
    pub async fn read_to_end(&self, limit: usize) -> Result<Bytes> {
        match usize::try_from(self.size()) {
            Ok(size) if size <= limit => self.read_at(0, size).await,
            _ => Err(Error::new(Kind::Invalid, format!("cannot read {} at once", self.name))
                .because(format!("it has {} bytes, and no more than {limit} were allowed", self.size()))),
        }
    }

    /// The same as [`ContentReader::next`], for those who poll.
    pub(super) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        if let Err(error) = ready!(self.poll_fill(context)) {
            return Poll::Ready(Err(error));
        }
        let piece = self.take(usize::MAX);
        Poll::Ready(Ok(Some(piece).filter(|piece| !piece.is_empty())))
    }

    /// Sees to it that something is there to take, unless the end is reached.
    pub(super) fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let under_way = self.under_way.get_mut().unwrap_or_else(PoisonError::into_inner);
        let reading = under_way.get_or_insert_with(|| {
            let mut sequence = self.sequence.take().unwrap_or_else(|| Sequence::from(&self.origin, self.at));
            Box::pin(async move {
                let outcome = sequence.next().await;
                (sequence, outcome)
            })
        });
        let (sequence, outcome) = ready!(reading.as_mut().poll(context));
        *under_way = None;
        self.sequence = Some(sequence);
        self.rest = outcome?.unwrap_or_default();
        Poll::Ready(Ok(()))
    }

    /// Gives what is there, but no more than `most` bytes.
    pub(super) fn take(&mut self, most: usize) -> Bytes {
        let piece = self.rest.split_to(self.rest.len().min(most));
        self.at = self.at.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        piece
    }
}

impl Clone for ContentReader {
    /// Another reader of the same bytes, at their beginning.
    fn clone(&self) -> Self {
        Self::at_start(Arc::clone(&self.origin), self.name.clone())
    }
}
