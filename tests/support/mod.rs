//! What tests need around the engine: backends that misbehave on purpose, nasty trees, and a walker that shares
//! no code with the engine.

pub mod between;
pub mod counting;
pub mod crash;
pub mod crowd;
pub mod faulty;
pub mod filling;
pub mod flows;
pub mod given;
pub mod names;
pub mod scene;
pub mod slow;
pub mod trees;
mod trials;
pub mod walker;
