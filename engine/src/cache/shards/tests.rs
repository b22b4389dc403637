//! Shards as whole files.
