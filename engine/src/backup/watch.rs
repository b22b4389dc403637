//! A source that falls silent is named: whoever waits for a file server that does not answer learns what they wait for.

use crate::event::Warning;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How long a source may be silent before that is told.
const SILENCE: Duration = Duration::from_secs(60);
/// How often it is looked after.
const LOOK: Duration = Duration::from_secs(5);

/// What a source was heard of.
#[derive(Default)]
pub(crate) struct Pulse {
    beats: AtomicU64,
    /// Threads of it that are not silent: a later stage keeps them waiting.
    held_up: AtomicUsize,
    /// What it is at, as people know it.
    at: Mutex<Vec<u8>>,
}

/// The reading end of a pulse, and what looks after it as long as this lives.
pub(crate) struct Watched {
    pulse: Arc<Pulse>,
    task: Option<AbortHandle>,
    /// The source says itself what it is at.
    says_itself: bool,
}

impl Watched {
    /// Looks after a source from now on and tells of every silence, once.
    pub(crate) fn start(tell: impl Fn(Warning) + Send + 'static) -> Self {
        let pulse = Arc::<Pulse>::default();
        let task = tokio::spawn(watch(Arc::clone(&pulse), tell)).abort_handle();
        Self { pulse, task: Some(task), says_itself: false }
    }

    /// With nobody looking.
    #[cfg(test)]
    pub(crate) fn alone() -> Self {
        Self { pulse: Arc::default(), task: None, says_itself: false }
    }

    /// For whoever is heard of besides.
    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// The source says what it is at.
    pub(crate) fn looks_at(&mut self, what: &[u8]) {
        self.says_itself = true;
        self.pulse.set(what);
    }

    /// The source begins an entry: it is at that, if it says nothing else.
    pub(crate) fn begins(&self, path: &[u8]) {
        if !self.says_itself {
            self.pulse.set(path);
        }
        self.pulse.beat();
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Pulse {
    /// The source was heard of.
    pub(crate) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Another stage keeps a thread of the source waiting, or not any more.
    pub(crate) fn held_up(&self, yes: bool) {
        if yes {
            self.held_up.fetch_add(1, Ordering::Relaxed);
        } else {
            self.held_up.fetch_sub(1, Ordering::Relaxed);
        }
        self.beat();
    }

    fn set(&self, what: &[u8]) {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        at.clear();
        at.extend_from_slice(what);
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    fn complaint(&self) -> Warning {
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let what = if at.is_empty() { "its first entry".into() } else { String::from_utf8_lossy(&at) };
        let message = format!("the source has given nothing for a minute: still waiting for {what}");
        Warning { path: None, message, partial: false }
    }
}

async fn watch(pulse: Arc<Pulse>, tell: impl Fn(Warning)) {
    let (mut last, mut since, mut is_told) = (0, Instant::now(), false);
    loop {
        tokio::time::sleep(LOOK).await;
        let beats = pulse.beats.load(Ordering::Relaxed);
        if beats != last || pulse.held_up.load(Ordering::Relaxed) > 0 {
            (last, since, is_told) = (beats, Instant::now(), false);
        } else if !is_told && since.elapsed() >= SILENCE {
            is_told = true;
            tell(pulse.complaint());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;
    use tokio::sync::mpsc::UnboundedReceiver;
    use tokio::time::sleep;

    const MINUTES: Duration = Duration::from_secs(150);

    fn watched() -> (Watched, UnboundedReceiver<String>) {
        let (sender, heard) = mpsc::unbounded_channel();
        (Watched::start(move |warning| sender.send(warning.message).expect("somebody listens")), heard)
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_silent_source_is_at_is_told_once_for_each_silence() {
        let (mut source, mut heard) = watched();
        source.begins(b"/a");
        sleep(MINUTES).await;
        assert!(heard.try_recv().is_ok_and(|said| said.ends_with("waiting for /a")));
        source.looks_at(b"/mnt/nfs/b");
        source.begins(b"/b");
        sleep(MINUTES).await;
        assert!(heard.try_recv().is_ok_and(|said| said.ends_with("waiting for /mnt/nfs/b")));
        sleep(MINUTES).await;
        assert!(heard.try_recv().is_err(), "once");
        source.pulse().beat();
        sleep(Duration::from_secs(50)).await;
        assert!(heard.try_recv().is_err(), "not yet");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_gives_something_or_is_held_up_is_not_called_silent() {
        let (source, mut heard) = watched();
        for _ in 0..20 {
            sleep(Duration::from_secs(50)).await;
            source.pulse().beat();
        }
        // By one of two threads: the other one may be silent.
        source.pulse().held_up(true);
        source.pulse().held_up(true);
        source.pulse().held_up(false);
        sleep(MINUTES).await;
        source.pulse().held_up(false);
        sleep(Duration::from_secs(50)).await;
        assert!(heard.try_recv().is_err());
        drop(source);
        assert!(heard.recv().await.is_none(), "nobody looks any more");
    }
}
