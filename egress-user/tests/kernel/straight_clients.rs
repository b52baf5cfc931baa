//! Programs that people use, by the direct way: what their server saw is what they said.
