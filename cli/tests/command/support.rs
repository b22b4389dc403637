//! What is shared with the scenarios of the engine: nasty trees, and the walker that knows nothing of the engine.

#[path = "../../../tests/support/trees.rs"]
pub mod trees;
#[path = "../../../tests/support/walker.rs"]
pub mod walker;
