//! A count of what there is to back up, beside a first backup and for as long as it runs.

use crate::event::Counters;
use crate::job::Control;
use crate::source::Amount;
use crate::source::Estimate;
use crate::source::count;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::AbortHandle;

/// A backup that takes less time needs no estimate.
const COUNTED_AFTER: Duration = Duration::from_secs(1);

/// A count that goes on until this is dropped.
pub(crate) struct Counting {
    is_over: Arc<AtomicBool>,
    task: Option<AbortHandle>,
}

impl Counting {
    /// Sets the totals that a job's progress shows: at once where they are known, else when somebody watches and they are
    /// counted.
    pub(crate) fn start(estimate: Estimate, control: &Control) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let task = match estimate {
            Estimate::Of(amount) => {
                set(control.counters(), amount);
                None
            }
            Estimate::Counted(source) => {
                let (control, over) = (control.clone(), Arc::clone(&is_over));
                let waits = async move {
                    tokio::time::sleep(COUNTED_AFTER).await;
                    control.counters().followed().await;
                    let counts = move || {
                        if let Some(amount) = count(source, &over) {
                            set(control.counters(), amount);
                        }
                    };
                    // It may hang in the kernel: nobody waits for it. Without a thread there is no estimate, which is no failure.
                    let _ = std::thread::Builder::new().name("count".into()).spawn(counts);
                };
                Some(tokio::spawn(waits).abort_handle())
            }
        };
        Self { is_over, task }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn set(counters: &Counters, amount: Amount) {
    counters.entries_total.store(amount.entries, Ordering::Relaxed);
    counters.bytes_total.store(amount.bytes, Ordering::Relaxed);
}
