//! What a source says besides entries, kept for the report.

use crate::event::Warning;

/// Warnings kept for the report.
const WARNINGS_KEPT: usize = 1000;

/// What the source said besides entries.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) warnings: Vec<Warning>,
    pub(crate) warnings_total: u64,
    pub(crate) seal: Option<Vec<u8>>,
}

impl Said {
    /// Counts a warning, and keeps it while there are not too many.
    pub(crate) fn add(&mut self, warning: Warning) {
        self.warnings_total += 1;
        if self.warnings.len() < WARNINGS_KEPT {
            self.warnings.push(warning);
        }
    }
}
