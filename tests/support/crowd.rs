//! Runs thousands of cases on two threads; a case that fails or panics is named, the others go on.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::Once;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Failures that are shown.
const SHOWN: usize = 20;

/// Panics of the engine's own code so far, on any thread: some happen in tasks that nobody waits for.
static PANICS: AtomicU64 = AtomicU64::new(0);
static HOOK: Once = Once::new();

fn count_panics() {
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.location().is_some_and(|place| place.file().contains("engine/src")) {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            before(panic);
        }));
    });
}

/// A runtime for one thread's cases.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Runs `one` on every case; an `Err` says what is wrong. Prints how many there were; fails the test if any failed.
pub fn all<C, F>(what: &str, cases: &[C], one: F)
where
    C: Sync + std::fmt::Debug,
    F: AsyncFn(&C) -> Result<(), String> + Sync,
{
    count_panics();
    let (started, panics) = (Instant::now(), PANICS.load(Ordering::SeqCst));
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let runtime = runtime();
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(one(case))));
                    let failure = match outcome {
                        Ok(Ok(())) => continue,
                        Ok(Err(why)) => why,
                        Err(_) => "it panicked".to_owned(),
                    };
                    failures.lock().expect("no holder panics").push(format!("{case:?}: {failure}"));
                }
                runtime.shutdown_background();
            });
        }
    });
    let failures = failures.into_inner().expect("no holder panics");
    println!("{what}: {} cases in {:.1} s", cases.len(), started.elapsed().as_secs_f64());
    assert_eq!(PANICS.load(Ordering::SeqCst), panics, "{what}: the engine panicked");
    let shown = failures.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{what}: {} of {} failed\n{shown}", failures.len(), cases.len());
}
