//! Shared pieces of the benches; none yet.
