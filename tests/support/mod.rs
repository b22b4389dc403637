//! What the scenarios need around the engine: nasty trees, hosts and flows, and a walker that shares no code with the
//! engine. Backends that misbehave on purpose are in the crate `strongroom-testkit`.

pub mod crowd;
pub mod flows;
pub mod given;
pub mod scene;
pub mod trees;
pub mod walker;
