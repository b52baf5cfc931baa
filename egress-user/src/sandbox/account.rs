//! What there is to tell of a sandbox that has ended.

use egress_common::event::Counter;

use super::Sandbox;
use crate::{
    dns::NameServers, kernel::Counts, record::Summary, supervisor::Supervisor, text::Printable,
};

/// The account of a sandbox of which nothing is left in the kernel, but processes that do not die unless `is_empty`.
pub(super) fn account(
    sandbox: &Sandbox,
    supervisor: &Supervisor,
    upstream: &NameServers,
    is_empty: bool,
    counts: Counts,
) -> Summary {
    let given_up = sandbox.proxy.given_up();
    supervisor.remove(sandbox);
    if counts.get(Counter::Direct) > 0 {
        sandbox.proxy.tried_direct();
    }
    let journal = &sandbox.state.journal;
    journal.flush_deferred();
    let path = upstream.left_unread();
    Summary {
        given_up,
        is_left: !is_empty,
        refused: journal.to_string(),
        // What no full ring can lose.
        lost: counts.get(Counter::EventsLost),
        packets: counts.get(Counter::PacketsDropped),
        full: counts.get(Counter::MapFull),
        delayed: counts.get(Counter::SynsLost) + counts.get(Counter::PayloadsUntold),
        left_unread: path.map(|path| Printable::of_bytes(path.as_os_str().as_encoded_bytes())),
    }
}
