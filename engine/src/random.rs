//! Randomness comes in from outside, so that one seed replays a failure.

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use std::sync::Mutex;

/// A source of unpredictable bytes.
pub trait Rng: Send + Sync + 'static {
    /// Fills `into` with fresh bytes.
    fn fill(&self, into: &mut [u8]) -> Result<()>;
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    fn fill(&self, into: &mut [u8]) -> Result<()> {
        getrandom::fill(into).map_err(|cause| {
            Error::new(Kind::Bug, "ask the operating system for random bytes").because(cause.to_string())
        })
    }
}

/// A reproducible generator for tests: the BLAKE3 output stream of a seed.
#[derive(Debug)]
pub struct SeededRng(Mutex<blake3::OutputReader>);

impl SeededRng {
    /// The same seed gives the same bytes for ever.
    pub fn new(seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("strongroom 2026 seeded generator for tests");
        hasher.update(&seed.to_le_bytes());
        Self(Mutex::new(hasher.finalize_xof()))
    }
}

impl Rng for SeededRng {
    fn fill(&self, into: &mut [u8]) -> Result<()> {
        let mut reader = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        reader.fill(into);
        Ok(())
    }
}

/// `N` fresh random bytes.
pub(crate) fn array<const N: usize>(rng: &dyn Rng) -> Result<[u8; N]> {
    let mut bytes = [0u8; N];
    rng.fill(&mut bytes)?;
    Ok(bytes)
}
