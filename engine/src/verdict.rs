//! What a source says of itself at its end; no snapshot is committed without it.

/// Whether everything that should be in a snapshot is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of it.
    Whole,
    /// Something is missing or may be torn, for these reasons (one line each, possibly only the first of many).
    Partial(Vec<String>),
}
