//! Compares files that stand in the target with the snapshot chunk by chunk, so that only what differs is fetched.

use crate::entry::ChunkRef;
use crate::restore::file::FileJob;
use crate::restore::file::How;
use crate::restore::site::Site;
use crate::restore::window::Piece;
use crate::restore::window::Share;
use crate::restore::window::Window;
use rustix::fs::OFlags;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// Marks the pieces that the target has already, and copies them where the file is written anew.
pub(crate) fn reuse_what_stands(site: &Site, window: &mut Window) {
    let shares: Vec<usize> = (0..window.shares.len())
        .filter(|at| {
            window.shares.get(*at).is_some_and(|share| share.file.plan.reuse && share.file.plan.standing.is_some())
        })
        .collect();
    if shares.is_empty() {
        return;
    }
    let next = AtomicUsize::new(0);
    let had = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads(site).min(shares.len()) {
            scope.spawn(|| {
                let mut buffer = Vec::new();
                while let Some(at) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if site.tally.is_halted() {
                        return;
                    }
                    let Some(share) = window.shares.get(*at) else { return };
                    let found = reuse(site, window, share, &mut buffer);
                    had.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
                }
            });
        }
    });
    for at in had.into_inner().unwrap_or_else(PoisonError::into_inner) {
        if let Some(piece) = window.pieces.get_mut(at) {
            piece.wanted = false;
        }
    }
}

/// How many threads this restore may use.
pub(crate) fn threads(site: &Site) -> usize {
    match site.options.threads {
        0 => std::thread::available_parallelism().map_or(2, usize::from).min(16),
        threads => threads,
    }
}

/// The pieces of one file that need not be fetched, settled.
fn reuse(site: &Site, window: &Window, share: &Share, buffer: &mut Vec<u8>) -> Vec<usize> {
    let file = &share.file;
    let Ok(old) = file.open_standing(site, OFlags::RDONLY) else {
        file.touch();
        return Vec::new();
    };
    let pieces = share.pieces.clone().zip(window.pieces_of(share));
    let mut equal: Vec<(usize, &Piece)> = pieces.filter(|(_, piece)| stands(site, file, &old, piece, buffer)).collect();
    let whole = share.first && share.last;
    let same_length = file.plan.standing.is_some_and(|old| old.size == file.length());
    let all = equal.len() == share.pieces.len();
    let holes = !share.first || file.has_holes(&old);
    if !(all && holes && same_length && (whole || file.plan.how == How::Patch)) {
        file.touch();
    }
    if file.plan.how == How::Replace && file.is_touched() && !site.options.dry_run {
        equal.retain(|(_, piece)| copy(site, file, &old, piece, buffer));
    }
    for (_, piece) in &equal {
        site.tally.passed(u64::from(piece.length));
    }
    if !site.options.dry_run {
        file.settle(site, equal.len() as u64);
    }
    equal.into_iter().map(|(at, _)| at).collect()
}

/// True when the file that stands there has all of its content, which is `chunks`.
pub(crate) fn has_all(site: &Site, file: &FileJob, chunks: &[ChunkRef]) -> bool {
    let Ok(old) = file.open_standing(site, OFlags::RDONLY) else { return false };
    let (mut buffer, mut at) = (Vec::new(), 0);
    let is_there = |chunk: &ChunkRef| {
        let piece = Piece { id: chunk.id, length: chunk.length, share: 0, at, wanted: true };
        at += u64::from(chunk.length);
        stands(site, file, &old, &piece, &mut buffer)
    };
    chunks.iter().all(is_there) && file.has_holes(&old)
}

/// True when the file that stands there has this chunk in its place; `buffer` holds it then.
fn stands(site: &Site, file: &FileJob, old: &OwnedFd, piece: &Piece, buffer: &mut Vec<u8>) -> bool {
    let Ok(length) = usize::try_from(piece.length) else { return false };
    buffer.resize(length, 0);
    matches!(file.read(old, piece.at, buffer), Ok(true)) && site.store.verify(&piece.id, buffer)
}

/// Copies a chunk from the old file to the new one; checked again, since the old one may be changing.
fn copy(site: &Site, file: &Arc<FileJob>, old: &OwnedFd, piece: &Piece, buffer: &mut Vec<u8>) -> bool {
    stands(site, file, old, piece, buffer) && file.write_raw(site, piece.at, buffer).is_ok()
}
