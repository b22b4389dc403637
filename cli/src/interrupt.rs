//! Ctrl-C: once asks the running job for a clean stop, twice ends the process now. A lost terminal asks, too.

use crate::exit::Exit;
use crate::show::Show;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::time::Duration;
use strongroom::Canceller;

/// How long the end waits for what may hang: a terminal that takes no text, a command that does not start.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a signal should stop: the running job, if there is one.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<Mutex<Option<Canceller>>>);

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// To stop, however often it is said.
    Stop,
    /// To stop, and now when it is said again.
    StopOrElse,
}

/// While it lives, a signal stops its job instead of the process.
pub struct Guard(Interrupt);

impl Interrupt {
    /// Listens for signals until the process ends, on a thread of its own: whatever hangs elsewhere, they are heard.
    pub fn listen(&self, show: Show) {
        let own = self.clone();
        std::thread::spawn(move || {
            // Without a handler a signal ends the process at once, which harms nothing either.
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(own.heed(show));
        });
    }

    async fn heed(self, show: Show) {
        let Ok(mut signals) = Signals::new() else { return };
        let mut asked = false;
        while let Some(wish) = signals.next().await {
            // Without a job nothing is half-done: every object is written once and whole.
            let job = self.job().clone();
            match job {
                Some(job) if !asked => {
                    asked = true;
                    // First the word, then the stop: a job that ends at once takes the process with it.
                    let show = show.clone();
                    briefly(move || show.interruption(None, "stopping cleanly; once more to stop now"));
                    job.cancel();
                }
                // The shell and the kernel both say that a terminal is gone: that is not a second wish.
                Some(_) if wish == Wish::Stop => {}
                _ => {
                    let show = show.clone();
                    briefly(move || show.interruption(Some(Exit::Interrupted), "interrupted"));
                    // Nobody else would end a command whose output was read: it is in a group of its own.
                    briefly(strongroom_process::kill_running);
                    std::process::exit(i32::from(Exit::Interrupted.code()));
                }
            }
        }
    }

    /// Makes `canceller` what the first signal flips.
    pub fn guard(&self, canceller: Canceller) -> Guard {
        *self.job() = Some(canceller);
        Guard(self.clone())
    }

    fn job(&self) -> MutexGuard<'_, Option<Canceller>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does something that may hang, and waits for it only so long.
fn briefly(deed: impl FnOnce() + Send + 'static) {
    let (done, over) = mpsc::channel();
    std::thread::spawn(move || {
        deed();
        // Nobody may be waiting any more.
        let _ = done.send(());
    });
    let _ = over.recv_timeout(PATIENCE);
}

impl Drop for Guard {
    fn drop(&mut self) {
        *self.0.job() = None;
    }
}

/// Ctrl-C, the polite stop that service managers send, and the end of the terminal. Made once, so that none is missed.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` where it is ignored, as under `nohup`: then nobody's terminal matters.
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::SignalKind;
        let hangup = if ignores_hangup() { None } else { Some(tokio::signal::unix::signal(SignalKind::hangup())?) };
        Ok(Self {
            interrupt: tokio::signal::unix::signal(SignalKind::interrupt())?,
            terminate: tokio::signal::unix::signal(SignalKind::terminate())?,
            hangup,
        })
    }

    async fn next(&mut self) -> Option<Wish> {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            signal = self.interrupt.recv() => signal.map(|()| Wish::StopOrElse),
            signal = self.terminate.recv() => signal.map(|()| Wish::StopOrElse),
            signal = hangup => signal.map(|()| Wish::Stop),
        }
    }
}

/// Whether this process was started with the hangup signal ignored. Where that cannot be told it is left as it is.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return true };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // The lowest bit is signal 1, which is this one.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & 1 == 1)
}

/// Ctrl-C.
#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> Option<Wish> {
        self.0.recv().await.map(|()| Wish::StopOrElse)
    }
}
