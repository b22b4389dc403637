//! Exit codes: one table, from which the mapping, the help text and the README are written.

use strongroom::Kind;

/// How a run of the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    Failed,
    Usage,
    Partial,
    NoRepository,
    WrongKey,
    Damaged,
    Newer,
    Unreachable,
    Interrupted,
}

/// Every exit code and what it tells a script. Frozen: scripts depend on it.
pub const TABLE: &[(Exit, u8, &str)] = &[
    (Exit::Done, 0, "done"),
    (Exit::Failed, 1, "failed"),
    (Exit::Usage, 2, "wrong usage; nothing was done"),
    (Exit::Partial, 3, "done, but something could not be read or written"),
    (Exit::NoRepository, 10, "there is no repository"),
    (Exit::WrongKey, 12, "wrong password or key"),
    (Exit::Damaged, 13, "the repository is damaged"),
    (Exit::Newer, 14, "the repository has a newer or a foreign format"),
    (Exit::Unreachable, 15, "the backend does not answer"),
    (Exit::Interrupted, 130, "interrupted"),
];

impl Exit {
    /// The number the process ends with.
    pub fn code(self) -> u8 {
        TABLE.iter().find(|(exit, ..)| *exit == self).map_or(1, |(_, code, _)| *code)
    }

    /// What a failure of `kind` ends with.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::NoRepository => Self::NoRepository,
            Kind::WrongKey => Self::WrongKey,
            Kind::Damaged => Self::Damaged,
            Kind::Unsupported => Self::Newer,
            Kind::BackendBusy => Self::Unreachable,
            Kind::Cancelled => Self::Interrupted,
            Kind::Invalid => Self::Usage,
            // Denied, full, out of descriptors, not found, conflicts, failed sources and targets, bugs: plain failures.
            _ => Self::Failed,
        }
    }
}

/// The table as the help text shows it.
pub fn help() -> String {
    let mut text = String::from("Exit codes:");
    for (_, code, meaning) in TABLE {
        text.push_str(&format!("\n  {code:>3}  {meaning}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_exit_has_one_code_of_its_own() {
        let codes: HashSet<u8> = TABLE.iter().map(|(_, code, _)| *code).collect();
        assert_eq!(codes.len(), TABLE.len());
        let promised: Vec<u8> = TABLE.iter().map(|(exit, ..)| exit.code()).collect();
        assert_eq!(promised, [0, 1, 2, 3, 10, 12, 13, 14, 15, 130]);
    }

    #[test]
    fn every_kind_of_failure_ends_with_its_documented_code() {
        for (kind, code) in [
            (Kind::NoRepository, 10),
            (Kind::WrongKey, 12),
            (Kind::Damaged, 13),
            (Kind::Unsupported, 14),
            (Kind::SourceFailed, 1),
            (Kind::TargetFailed, 1),
            (Kind::BackendDenied, 1),
            (Kind::BackendBusy, 15),
            (Kind::CacheFailed, 1),
            (Kind::NoSpace, 1),
            (Kind::TooManyFiles, 1),
            (Kind::Conflict, 1),
            (Kind::NotFound, 1),
            (Kind::Protected, 1),
            (Kind::Invalid, 2),
            (Kind::Cancelled, 130),
            (Kind::Bug, 1),
        ] {
            assert_eq!(Exit::of(kind).code(), code, "{kind:?}");
        }
    }

    #[test]
    fn the_help_text_lists_every_code() {
        let help = help();
        for (_, code, meaning) in TABLE {
            assert!(help.contains(&format!("{code:>3}  {meaning}")), "{code}");
        }
    }
}
