//! What a source said besides its entries, and what follows from it for the snapshot.

use crate::entry::EntryPath;
use crate::event::Warning;
use crate::statement::Statement;
use crate::verdict::Verdict;
use std::collections::VecDeque;

/// Warnings kept for the report.
const WARNINGS_KEPT: usize = 1000;
/// Reasons kept for a verdict.
const REASONS_KEPT: usize = 100;
/// Warnings about entries that are remembered until those end: who warns of one ends it soon.
const TOLD_KEPT: usize = 1000;

/// What the source said besides entries.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) warnings: Vec<Warning>,
    pub(crate) warnings_total: u64,
    pub(crate) statement: Option<Statement>,
    /// Why the snapshot is partial, by its warnings.
    reasons: Vec<String>,
    /// The newest warnings of something missing in an entry.
    told: VecDeque<(EntryPath, String)>,
}

impl Said {
    /// Counts a warning, and keeps it while there are not too many.
    pub(crate) fn add(&mut self, warning: Warning) {
        self.warnings_total += 1;
        if warning.partial && self.reasons.len() < REASONS_KEPT {
            let path = warning.path.as_ref().map(|path| format!("/{path}: ")).unwrap_or_default();
            self.reasons.push(path + &warning.message);
        }
        if warning.partial
            && let Some(path) = &warning.path
        {
            self.told.truncate(TOLD_KEPT - 1);
            self.told.push_front((path.clone(), warning.message.clone()));
        }
        if self.warnings.len() < WARNINGS_KEPT {
            self.warnings.push(warning);
        }
    }

    /// Whether that was said of an entry already.
    pub(crate) fn has_told(&self, of: &EntryPath, message: &str) -> bool {
        self.told.iter().any(|(path, told)| path == of && told == message)
    }

    /// The verdict of a source that may have said more than it knew, or less: nothing is whole that lacks something.
    pub(crate) fn verdict(&mut self, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::Whole if !self.reasons.is_empty() => Verdict::Partial(std::mem::take(&mut self.reasons)),
            verdict => verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_whole_that_lacks_something() {
        let warning = |partial| Warning {
            path: EntryPath::parse(b"home/x").ok(),
            message: "an attribute cannot be read".to_owned(),
            partial,
        };
        let mut said = Said::default();
        said.add(warning(false));
        assert_eq!(said.verdict(Verdict::Whole), Verdict::Whole);
        said.add(warning(true));
        let own = Verdict::Partial(vec!["its own reason".to_owned()]);
        assert_eq!(said.verdict(own.clone()), own);
        let reason = "/home/x: an attribute cannot be read".to_owned();
        assert_eq!(said.verdict(Verdict::Whole), Verdict::Partial(vec![reason]));
    }
}
