//! What the command wrote is handed on when it has ended.

use std::time::Duration;

use egress_user::{
    launch::Signals,
    proxy::{GivenUp, Transparent},
    sys,
};
use tokio::{runtime::Runtime, time::timeout};

use super::say;

/// How long resets are waited for, when a signal ends the wait for deliveries.
const RESET_WITHIN: Duration = Duration::from_secs(2);

/// Delivers what the command wrote, at the latest until a signal comes. A connection without progress
/// for `patience` is given up.
pub(super) fn deliver(
    runtime: &Runtime,
    proxy: &Transparent,
    signals: &Signals,
    patience: Duration,
) {
    proxy.drain(patience);
    // Whoever reads the command's output is not to wait for this.
    sys::descriptors::leave_output();
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = proxy.drained() => return,
            _ = signals.next() => proxy.give_up(),
        }
        // Resets take no time; but nothing is to keep a signal waiting.
        let _ = timeout(RESET_WITHIN, proxy.drained()).await;
    });
    for GivenUp { to, bytes } in proxy.given_up() {
        say(&format!("given up: at least {bytes} bytes to tcp {to} were not delivered"));
    }
}
