//! Keys and seals, with no I/O: everything that needs a secret, and nothing else.
//!
//! One random root key stands behind a repository; [`keys`] derives one key for each purpose from it, so that no key
//! is ever used twice in two ways. After it was changed, [`keyring`] holds the earlier ones too. They are kept in key slots, each sealed under a [`kdf::SlotKey`] that
//! comes from a passphrase (slow on purpose), a key file or a recovery code (full entropy, so nothing is gained by
//! being slow). [`seal`] is the only place that encrypts: small objects under [`keys::ObjectKey`]s, segments under a
//! session's [`seal::DataKey`]. [`name`] is the only place that makes a `ChunkId`.
//!
//! Every context string and every output is frozen by golden vectors: changing one makes all repositories unreadable.

pub(crate) mod kdf;
pub(crate) mod keyfile;
pub(crate) mod keyring;
pub(crate) mod keys;
pub(crate) mod name;
pub(crate) mod recovery;
pub(crate) mod seal;
pub(crate) mod secret;

#[cfg(test)]
mod tests {
    /// The text of every file here that derives keys.
    const SOURCES: [&str; 4] =
        [include_str!("kdf.rs"), include_str!("keys.rs"), include_str!("recovery.rs"), include_str!("seal.rs")];
    const FORMAT: &str = include_str!("../../docs/FORMAT.md");

    #[test]
    fn every_context_string_is_used_once_and_written_down() {
        let mut purposes: Vec<&str> = SOURCES
            .iter()
            .flat_map(|source| source.split("\"strongroom format 1: ").skip(1))
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert_eq!(purposes.len(), 15);
        for purpose in &purposes {
            assert!(FORMAT.contains(purpose), "`{purpose}` is not in FORMAT.md");
        }
        purposes.sort_unstable();
        purposes.dedup();
        assert_eq!(purposes.len(), 15, "one context serves two purposes");
    }
}
