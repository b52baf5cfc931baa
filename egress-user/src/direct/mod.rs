//! Direct connections: past the proxy, but not past the policy. The packet hook judges their first
//! payload (`egress-ebpf/src/direct.rs`) and tells of what it does not let pass; here such
//! connections are ended, so that the program has an error at once, and those are waited for whose
//! hello is not whole yet.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use egress_common::{
    event::HelloEvent,
    hello::{self, Finding},
};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{
    kernel::{Destroyer, Maps},
    listen::Transparent,
};

/// How long a hello may take from its first octet to its last. Real programs write it at once.
pub const WHOLE_WITHIN: Duration = Duration::from_secs(3);

/// How often pins are looked at under which direct connections may live.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// Those of one sandbox.
pub struct Direct {
    door: Arc<Transparent>,
    maps: Arc<Maps>,
    destroyer: Destroyer,
}

impl Direct {
    /// For sockets of the calling thread's network namespace.
    ///
    /// # Errors
    /// When the kernel cannot end sockets: then no connection may be direct.
    pub fn new(door: Arc<Transparent>, maps: Arc<Maps>) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self { door, maps, destroyer: Destroyer::open()? }))
    }

    /// Deals with what the packet hook told. Within a runtime.
    pub fn told(self: &Arc<Self>, told: Box<HelloEvent>) {
        match Finding::from_number(told.finding) {
            Some(Finding::Incomplete) => {
                let direct = Arc::clone(self);
                tokio::spawn(async move {
                    sleep(WHOLE_WITHIN).await;
                    if direct.maps.holds(told.event.cookie) {
                        direct.end(&told, Finding::Incomplete);
                    }
                });
            }
            // Of another version's kernel side: ended all the same.
            finding => self.end(&told, finding.unwrap_or(Finding::Malformed)),
        }
    }

    /// Keeps pins alive while connections under them live. For ever.
    pub async fn keep(self: Arc<Self>) {
        let mut ticks = interval(RENEW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.door.renew();
        }
    }

    fn end(&self, told: &HelloEvent, finding: Finding) {
        let to = SocketAddr::new(told.event.address.into(), told.event.port);
        let length = usize::try_from(told.name_length).unwrap_or_default();
        let name = hello::octets(&told.name);
        let name = name.get(..length).filter(|name| !name.is_empty());
        // Judged first: the program may connect again as soon as it has its error.
        self.door.direct_refused(
            to,
            finding,
            name.map(|n| String::from_utf8_lossy(n).into_owned()),
        );
        if let Err(error) = self.destroyer.end(told) {
            tracing::debug!(%to, %error, "a refused connection could not be ended");
        }
    }
}
