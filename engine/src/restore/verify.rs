//! Reads restored files back and compares every chunk.

use crate::restore::compare;
use crate::restore::site::Site;
use crate::restore::tally::explain;
use crate::restore::window::Share;
use crate::restore::window::Window;
use rustix::io::Errno;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// Reads back what a window wrote; what differs is reported.
pub(crate) fn window(site: &Site, window: &Window) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..compare::threads(site) {
            scope.spawn(|| {
                let mut buffer = Vec::new();
                while let Some(share) = window.shares.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if site.tally.is_halted() {
                        return;
                    }
                    if share.file.is_failed() || share.pieces.is_empty() {
                        continue;
                    }
                    match is_right(site, window, share, &mut buffer) {
                        Ok(true) => {}
                        Ok(false) => share.file.fail(site, "it reads back differently from what was written"),
                        Err(errno) => share.file.fail(site, &format!("cannot read it back: {}", explain(errno))),
                    }
                }
            });
        }
    });
}

fn is_right(site: &Site, window: &Window, share: &Share, buffer: &mut Vec<u8>) -> Result<bool, Errno> {
    let source = share.file.read_back(site)?;
    for piece in window.pieces_of(share) {
        buffer.resize(usize::try_from(piece.length).unwrap_or(0), 0);
        let whole = share.file.read(source.fd(), piece.at, buffer)?;
        if !whole || !site.store.verify(&piece.id, buffer) {
            return Ok(false);
        }
    }
    Ok(true)
}
