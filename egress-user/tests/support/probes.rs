//! Probes: small attempts at the network by `probe.py`, many in one process.
use super::command::Client;
use super::outcome::Finished;
use super::tools::PYTHON;

impl<'w> Client<'w> {
    /// Makes the attempts one after the other, each a line such as `connect 93.184.216.35 443`; [`Finished::probe`]
    /// judges each result.
    #[track_caller]
    pub(crate) fn probes<S: AsRef<str>>(self, probes: &[S]) -> Finished<'w> {
        let finished =
            self.run([PYTHON, "probe.py"].into_iter().chain(probes.iter().map(AsRef::as_ref)));
        finished.exited(0);
        finished
    }
}
