//! Which address a connection is dialled at: the asked one, or another pin of its name.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{
    connection::Connection,
    first_bytes::{First, Stop},
};
use crate::{
    clock::boottime_ns,
    dial::{self, DialAddress, Dialled},
    judge::Evidence,
    pins::PinTable,
    policy::Name,
};

/// How long a client that has been silent since the asked address failed is given to name itself,
/// before any pin of any of the address's names is tried.
const NAME_WITHIN: Duration = Duration::from_millis(300);

/// Most names of the asked address whose other pins are tried when it is silent.
const OTHER_NAMES: usize = 16;

impl Connection<'_> {
    /// Dials the asked address, and other pins of its name when it does not answer at once, while the
    /// client's first bytes are judged. None when nothing answers; a refusal ends it at once.
    pub(super) async fn dial<F>(
        &self,
        mut judging: Pin<&mut F>,
        judged: &mut Option<First>,
    ) -> Result<Option<Dialled>, Stop>
    where
        F: Future<Output = Result<First, Stop>>,
    {
        let asked = self.evidence.target();
        let mut attempt = dial::attempt(DialAddress(asked));
        let ended = {
            let mut soon = pin!(dial::soon(&mut attempt));
            loop {
                tokio::select! {
                    verdict = &mut judging, if judged.is_none() => *judged = Some(verdict?),
                    ended = &mut soon => break ended,
                }
            }
        };
        let mut race = dial::Race::new(Arc::clone(&self.proxy.outbound.attempts));
        match ended {
            Some(Ok(dialled)) => return Ok(Some(dialled)),
            Some(Err(error)) => tracing::debug!(to = %asked, %error, "not reached"),
            None => race.join(attempt),
        }
        Box::pin(self.race(race, judging, judged)).await
    }

    /// Goes on where the asked address has failed, or is silent.
    async fn race<F>(
        &self,
        mut race: dial::Race,
        mut judging: Pin<&mut F>,
        judged: &mut Option<First>,
    ) -> Result<Option<Dialled>, Stop>
    where
        F: Future<Output = Result<First, Stop>>,
    {
        let asked = self.evidence.target();
        let mut tried = vec![asked.ip()];
        let end = Instant::now() + dial::ALL_WITHIN;
        // Of several names the connection may be for one alone, which it is given time to say.
        let name_by = Instant::now() + NAME_WITHIN;
        let has_one_name = self.evidence.names().nth(1).is_none();
        loop {
            let said = judged.as_ref().map(|first| first.name.as_ref());
            let may_choose = said.is_some() || has_one_name || Instant::now() >= name_by;
            let mut left = 0;
            if may_choose && race.has_room() {
                let mut others = self.other_pins(said);
                others.retain(|address| !tried.contains(address));
                // The other family first: a whole one may be without a way out (RFC 8305 section 4).
                let last = tried.last().is_some_and(IpAddr::is_ipv4);
                let next = others.iter().find(|address| address.is_ipv4() != last);
                if let Some(&next) = next.or(others.first()) {
                    tried.push(next);
                    race.add(DialAddress(SocketAddr::new(next, asked.port())));
                    left = others.len() - 1;
                }
            }
            if race.is_empty() && may_choose {
                return Ok(None);
            }
            let wake = match (may_choose, left) {
                (false, _) => name_by,
                (true, 0) => end,
                (true, _) => Instant::now() + dial::NEXT_AFTER,
            };
            tokio::select! {
                verdict = &mut judging, if judged.is_none() => *judged = Some(verdict?),
                ended = race.ended() => match ended {
                    Ok(dialled) => return Ok(Some(dialled)),
                    Err(error) => tracing::debug!(to = %asked, %error, "not reached"),
                },
                () = sleep_until(wake.min(end)) => {}
            }
            if Instant::now() >= end {
                return Ok(None);
            }
        }
    }

    /// Whether what was judged may be sent to the server there.
    pub(super) fn may_serve(&self, pins: &PinTable, address: IpAddr, name: Option<&Name>) -> bool {
        let (asked, now_ns) = (self.evidence.target(), boottime_ns());
        if address == asked.ip() {
            return true;
        }
        match name {
            Some(name) => pins.addresses_of(name, now_ns).contains(&address),
            // What named nobody was let through by what vouches for the asked address, which may be
            // more than vouches for this one.
            None => {
                let at = SocketAddr::new(address, asked.port());
                Evidence::gather(&self.policy, pins, at, now_ns)
                    .is_ok_and(|there| there.opens_as(&self.evidence))
            }
        }
    }

    /// Other pins of the names of the asked address: all of them before the client has said
    /// anything, then those that may serve what it said.
    fn other_pins(&self, said: Option<Option<&Name>>) -> Vec<IpAddr> {
        let (pins, now_ns) = (self.proxy.pins(), boottime_ns());
        // Of the first names alone: an address may have thousands.
        let names = self.evidence.names().take(OTHER_NAMES);
        let of_names = names.flat_map(|name| pins.addresses_of(name, now_ns));
        of_names
            .filter(|&address| address != self.evidence.target().ip())
            .filter(|&address| said.is_none_or(|name| self.may_serve(&pins, address, name)))
            .collect()
    }
}
