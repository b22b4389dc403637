//! Ctrl-C: once asks the running job for a clean stop, twice ends the process now.

use crate::exit::Exit;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use strongroom::Canceller;

/// What a signal should stop: the running job, if there is one.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<Mutex<Option<Canceller>>>);

/// While it lives, a signal stops its job instead of the process.
pub struct Guard(Interrupt);

impl Interrupt {
    /// Listens for signals until the process ends. Must be called inside a runtime.
    pub fn listen(&self) {
        let own = self.clone();
        tokio::spawn(async move {
            // Without a handler a signal ends the process at once, which harms nothing either.
            let Ok(mut signals) = Signals::new() else { return };
            let mut asked = false;
            while signals.next().await.is_some() {
                // Without a job nothing is half-done: every object is written once and whole.
                let job = own.job().clone();
                match job {
                    Some(job) if !asked => {
                        asked = true;
                        job.cancel();
                        let _ = writeln!(std::io::stderr(), "\nstopping cleanly; once more to stop now");
                    }
                    _ => {
                        let _ = writeln!(std::io::stderr(), "\ninterrupted");
                        // Nobody else would end a command whose output was read: it is in a group of its own.
                        strongroom_process::kill_running();
                        std::process::exit(i32::from(Exit::Interrupted.code()));
                    }
                }
            }
        });
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

impl Drop for Guard {
    fn drop(&mut self) {
        *self.0.job() = None;
    }
}

/// Ctrl-C, and the polite stop that service managers send. Made once, so that none is missed.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::SignalKind;
        Ok(Self {
            interrupt: tokio::signal::unix::signal(SignalKind::interrupt())?,
            terminate: tokio::signal::unix::signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Option<()> {
        tokio::select! {
            signal = self.interrupt.recv() => signal,
            signal = self.terminate.recv() => signal,
        }
    }
}

/// Ctrl-C.
#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> Option<()> {
        self.0.recv().await
    }
}
