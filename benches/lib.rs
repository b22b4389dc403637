//! Support for the benchmarks: deterministic corpora.
