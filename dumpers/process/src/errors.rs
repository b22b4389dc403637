//! The last words of a command: the end of its standard error, kept and passed on.

use std::io::Read;
use std::process::ChildStderr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::time::Duration;

/// Bytes of standard error that are kept.
const TAIL_BYTES: usize = 8 * 1024;
/// How long a command that has ended may still be heard: a child of its own may hold the pipe for ever.
const ECHO: Duration = Duration::from_secs(1);

/// Called with each piece of standard error as it comes.
pub(crate) type Listener = Box<dyn FnMut(&[u8]) + Send>;

/// The end of a command's standard error, filled by a thread.
pub(crate) struct Tail {
    bytes: Arc<Mutex<Vec<u8>>>,
    ended: mpsc::Receiver<()>,
}

impl Tail {
    /// Listens to `stderr` until it ends.
    pub(crate) fn listen(mut stderr: ChildStderr, mut listener: Option<Listener>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let (end, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut piece) {
                let piece = piece.get(..count).unwrap_or_default();
                keep(&mut kept.lock().unwrap_or_else(PoisonError::into_inner), piece);
                if let Some(listener) = &mut listener {
                    listener(piece);
                }
            }
            // Nobody may be waiting.
            let _ = end.send(());
        });
        Self { bytes, ended }
    }

    /// What was said last, as text without blanks around it. Call it when the command has ended.
    pub(crate) fn text(&self) -> String {
        // Either it ended, or whoever still holds the pipe is not worth waiting for.
        let _ = self.ended.recv_timeout(ECHO);
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).trim().to_string()
    }
}

/// Appends `piece` and forgets all but the last `TAIL_BYTES`.
fn keep(kept: &mut Vec<u8>, piece: &[u8]) {
    kept.extend_from_slice(piece);
    let surplus = kept.len().saturating_sub(TAIL_BYTES);
    kept.drain(..surplus);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let mut kept = Vec::new();
        for number in 0..10_000_u32 {
            keep(&mut kept, format!("{number}\n").as_bytes());
        }
        assert_eq!(kept.len(), TAIL_BYTES);
        assert!(kept.ends_with(b"9998\n9999\n"));
    }
}
