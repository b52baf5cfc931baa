//! Which targets two policies judge differently.
