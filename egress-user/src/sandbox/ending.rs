//! A sandbox from the start of its command to the end of what that wrote, for a process that is there for this
//! one alone and passes its own signals on.

use std::{io, time::Duration};

use tokio::time::timeout;

use super::{Handle, awaited};
use crate::launch::{Arrived, Signals, Terminal};

/// How long resets are waited for, when a signal ends the wait for deliveries.
const RESET_WITHIN: Duration = Duration::from_secs(2);

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code, 128 + n when signal n ended it.
    pub code: i32,
    /// A signal came that it had no time to get: nothing is to be waited for any more.
    pub is_interrupted: bool,
}

impl Handle {
    /// Passes signals on until the command has ended. When it stops itself, as by a key of an editor, this
    /// process stops with it, where it has a terminal.
    ///
    /// # Errors
    /// When the kernel tells neither signals nor the end.
    pub async fn pass_until_ended(
        &self,
        signals: &Signals,
        terminal: Option<&Terminal>,
    ) -> io::Result<Ended> {
        let mut ended = std::pin::pin!(self.wait());
        loop {
            tokio::select! {
                biased;
                arrived = awaited::signal(signals) => match (arrived?, self.ended()) {
                    (Arrived::Pass(_), Some(code)) => return Ok(Ended { code, is_interrupted: true }),
                    (Arrived::Pass(signal), None) => self.signal(signal),
                    (Arrived::Terminal | Arrived::Child | Arrived::Continue, _) => {}
                },
                code = &mut ended => return Ok(Ended { code: code?, is_interrupted: false }),
                // Where the terminal stopped this process too, the command has gone on with it.
                stopped = awaited::stopped(&self.init) => {
                    let id = stopped?;
                    let stands = terminal.filter(|_| self.init.is_stopped(id));
                    self.init.heard(stands.is_some_and(|terminal| terminal.stand_still(signals)));
                }
            }
        }
    }

    /// Behind [`Handle::kill`]: waits until what the command wrote is delivered, at the latest until a signal
    /// comes, or not at all where one has come already.
    pub async fn deliver(&self, ended: Ended, signals: &Signals) {
        self.drain();
        if ended.is_interrupted {
            self.give_up();
        }
        loop {
            tokio::select! {
                biased;
                () = self.drained() => return,
                // One that had been stopped goes on.
                arrived = awaited::signal(signals) => if !matches!(arrived, Ok(Arrived::Continue)) { break },
            }
        }
        self.give_up();
        // Resets take no time; but nothing is to keep a signal waiting.
        let _ = timeout(RESET_WITHIN, self.drained()).await;
    }
}
