//! The kit itself: doubles do what they say, the contract has teeth, and what keeps it passes.

mod doubles;
mod teeth;

use crate::contract::Place;
use crate::counting::Counting;
use crate::crash::Crash;
use crate::distant::Distant;
use crate::faulty::Fault;
use crate::faulty::Faulty;
use crate::faulty::Plan;
use std::sync::Arc;
use std::time::Duration;
use strongroom::Backend;
use strongroom::MemoryBackend;

/// Two doubles around the same memory.
fn around<B: Backend>(make: impl Fn(Arc<dyn Backend>) -> B) -> Place {
    let memory: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    Place::new(Arc::new(make(Arc::clone(&memory))), Arc::new(make(memory)))
}

async fn counting() -> Place {
    around(Counting::new)
}

async fn before_its_fault() -> Place {
    around(|inner| Faulty::new(inner, Plan::never(Fault::Busy)))
}

async fn before_its_crash() -> Place {
    let crash = Crash::new(&MemoryBackend::new());
    Place::new(Arc::new(crash.clone()), Arc::new(crash))
}

async fn distant() -> Place {
    around(|inner| Distant::new(inner, Duration::ZERO))
}

crate::backend_contract!(a_store_that_counts, counting);
crate::backend_contract!(a_store_before_its_fault, before_its_fault);
crate::backend_contract!(a_store_before_its_crash, before_its_crash);
crate::backend_contract!(a_store_far_away, distant);
