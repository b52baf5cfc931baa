//! Judges what is held, and has it leave or ends its connection.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use egress_broker::held_sockets::{HeldSockets, Patience, Which};
use egress_common::{
    abi::UNVERIFIED_WAIT_MS,
    hello::Finding,
    payload::{Approval, HELD_BYTES, then},
};

use super::{
    super::{ender::Ender, refusal},
    HELD_MOST, OVERHEAD,
    connection::{Connection, Misfit, Standing, VERDICT_WITHIN},
};
use crate::{
    clock::boottime_ns,
    judge::{Approved, Evidence, Rest},
    kernel::{HeldPiece, Maps},
    record::Event,
    sandbox::SandboxState,
};

/// How soon more is looked for than packets show, the first time; each time later it takes three times as long.
const SEARCH_AFTER: Duration = Duration::from_millis(5);
const SEARCH_EVERY: Duration = Duration::from_secs(1);

/// How soon it is looked whether what may leave has left; each time later twice as long.
const LOOK_AFTER: Duration = Duration::from_millis(10);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When a connection that waits for its program is to outlive [`UNVERIFIED_WAIT_MS`].
const EXTEND_AFTER: Duration = Duration::from_millis(UNVERIFIED_WAIT_MS as u64 / 2);
/// For how long then, in milliseconds: somewhat longer than a verdict may take.
const EXTENDED_MS: u32 = VERDICT_WITHIN.as_millis() as u32 + 5000;

/// What a queue of a socket may have of bytes that were sent and are not acknowledged, besides what is held.
const SENT_MOST: usize = 1 << 17;

/// The connections of a sandbox of which something is held.
pub(in super::super) struct Judge {
    state: Arc<SandboxState>,
    maps: Arc<Maps>,
    ender: Arc<Ender>,
    sockets: HeldSockets,
    connections: HashMap<u64, Connection>,
    /// What waits to be taken in.
    queued: usize,
    /// What all connections take.
    taken: usize,
}

/// What becomes of a connection.
enum Next {
    Wait,
    Forget,
}

impl Judge {
    pub(in super::super) fn new(
        state: Arc<SandboxState>,
        maps: Arc<Maps>,
        ender: Arc<Ender>,
        cgroup: PathBuf,
    ) -> Self {
        let sockets = HeldSockets::of(cgroup);
        Self { state, maps, ender, sockets, connections: HashMap::new(), queued: 0, taken: 0 }
    }

    /// Another one of the same sandbox, of nothing.
    pub(super) fn emptied(&self) -> Self {
        Self {
            state: self.state.clone(),
            maps: self.maps.clone(),
            ender: self.ender.clone(),
            sockets: self.sockets.again(),
            connections: HashMap::new(),
            queued: 0,
            taken: 0,
        }
    }

    /// What waits to be taken in takes so many bytes.
    pub(super) fn set_queued(&mut self, bytes: usize) {
        self.queued = bytes;
    }

    /// Takes pieces in and judges what has grown. Of the connections in `lost` a piece is missing for want of room.
    pub(super) fn take_in(&mut self, pieces: Vec<HeldPiece>, lost: Vec<u64>, now: Instant) {
        let mut grown = HashSet::new();
        for piece in pieces {
            let cookie = piece.head.cookie;
            let connection = match self.connections.entry(cookie) {
                // The socket was connected anew.
                Entry::Occupied(mut there)
                    if there.get().head.connected_ns != piece.head.connected_ns =>
                {
                    withdraw(&self.maps, there.get_mut());
                    there.insert(Connection::new(piece.head, now));
                    there.into_mut()
                }
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(place) => place.insert(Connection::new(piece.head, now)),
            };
            if connection.is_refused {
                continue;
            }
            match connection.add(&piece, now) {
                Ok(()) => {
                    grown.insert(cookie);
                }
                // What is left in the ring of one that has passed meanwhile is no beginning.
                Err(Misfit) if self.maps.unverified(cookie).is_none() => self.forget(cookie),
                Err(Misfit) => self.end(cookie, Finding::OutOfOrder, now),
            }
        }
        for cookie in lost {
            self.refuse_for_room(cookie, now);
            grown.remove(&cookie);
        }
        self.reckon();
        for cookie in grown {
            if self.taken + self.queued > HELD_MOST {
                self.refuse_for_room(cookie, now);
            } else {
                self.judge(cookie, now);
            }
        }
    }

    /// Reckons what all connections take.
    fn reckon(&mut self) {
        self.taken = self.connections.values().map(|one| one.bytes().len() + OVERHEAD).sum();
    }

    /// When something is due.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.connections.values().filter_map(|connection| connection.look_at).min()
    }

    /// Does what is due.
    pub(super) fn look(&mut self, now: Instant) {
        let is_due = |one: &Connection| one.look_at.is_some_and(|at| at <= now);
        let due: Vec<u64> =
            self.connections.iter().filter(|(_, one)| is_due(one)).map(|(&key, _)| key).collect();
        if !due.is_empty() {
            self.reckon();
        }
        for cookie in due {
            if let Next::Forget = self.look_after(cookie, now) {
                self.forget(cookie);
            }
        }
    }

    /// Nothing may leave any more that has not.
    pub(super) fn withdraw_all(&mut self) {
        for connection in self.connections.values_mut() {
            withdraw(&self.maps, connection);
        }
        self.connections.clear();
    }

    fn forget(&mut self, cookie: u64) {
        self.sockets.forget(cookie);
        if let Some(mut connection) = self.connections.remove(&cookie) {
            withdraw(&self.maps, &mut connection);
        }
    }

    fn look_after(&mut self, cookie: u64, now: Instant) -> Next {
        // It has ended, or its server has answered: nothing is held any more.
        let Some(unverified) = self.maps.unverified(cookie) else { return Next::Forget };
        let Some(connection) = self.connections.get_mut(&cookie) else { return Next::Forget };
        if connection.is_refused {
            connection.look_at = Some(now + LOOK_EVERY);
            return Next::Wait;
        }
        if let Some(standing) = &mut connection.standing {
            standing.looks += 1;
            let looks = standing.looks;
            let (length, then, hellos) = (standing.length, standing.then, standing.hellos);
            if then == then::HELLO && unverified.hellos >= hellos {
                return Next::Forget;
            }
            let unsent = self.sockets.push_on(which(connection));
            if then == then::ASK && unsent.is_ok_and(|unsent| unsent == 0) {
                withdraw(&self.maps, connection);
                connection.leave(length, now);
                connection.look_at = Some(now + LOOK_EVERY);
                return Next::Wait;
            }
            let after = LOOK_AFTER.saturating_mul(1 << looks.min(10)).min(LOOK_EVERY);
            connection.look_at = Some(now + after);
            return Next::Wait;
        }
        if connection.bytes().is_empty() {
            connection.look_at = Some(now + LOOK_EVERY);
            return Next::Wait;
        }
        let is_late = connection.waited(now) >= EXTEND_AFTER && !connection.is_extended;
        let patience = is_late.then_some(Patience { from: UNVERIFIED_WAIT_MS, to: EXTENDED_MS });
        let (known, most) = (connection.bytes().to_vec(), SENT_MOST + HELD_BYTES as usize);
        match self.sockets.look(which(connection), known, most, patience) {
            Ok(seen) => {
                connection.is_extended |= seen.is_patient;
                let before = connection.bytes().len();
                if let Some(unsent) = seen.unsent {
                    // What differs is not the same any more: told by packets next.
                    let _ = connection.extend(&unsent, now);
                }
                self.taken += connection.bytes().len() - before;
                if self.taken + self.queued > HELD_MOST {
                    self.refuse_for_room(cookie, now);
                    return Next::Wait;
                }
            }
            Err(error) => tracing::debug!(%error, "no more is seen of what is held"),
        }
        connection.is_short = is_late && !connection.is_extended;
        connection.searches += 1;
        self.judge(cookie, now);
        Next::Wait
    }

    fn judge(&mut self, cookie: u64, now: Instant) {
        let Some(connection) = self.connections.get_mut(&cookie) else { return };
        let to = connection.to();
        let version = self.state.policy.now();
        let policy = &version.policy;
        if let Some(refused) = self.state.became_own(to) {
            return self.refuse(cookie, refused, now);
        }
        // A connection may name what was pinned when it began.
        let when_ns = connection.head.connected_ns.min(boottime_ns());
        let evidence = match Evidence::gather(policy, self.state.pins(), to, when_ns) {
            Ok(evidence) => evidence,
            Err(refused) => return self.refuse(cookie, refused, now),
        };
        let mut followed = std::mem::take(&mut connection.followed);
        let verdict = evidence.judge_held(policy, connection.held(now), &mut followed);
        connection.followed = followed;
        match verdict.rest {
            Rest::Refused(refused) => return self.refuse(cookie, refused, now),
            Rest::Requests => {
                let is_web = evidence.is_web();
                let finding = if is_web { Finding::NotTls } else { Finding::Request };
                return self.end(cookie, finding, now);
            }
            // The kernel gives it up soon.
            Rest::Need
                if connection.waited(now) >= super::super::WHOLE_WITHIN && connection.is_short =>
            {
                return self.end(cookie, Finding::Incomplete, now);
            }
            // However often more comes, it is looked after in time.
            Rest::Need
                if connection.waited(now) >= EXTEND_AFTER
                    && !connection.is_extended
                    && !connection.is_short =>
            {
                connection.look_at = Some(now);
            }
            Rest::Need => {
                let after = SEARCH_AFTER.saturating_mul(3_u32.saturating_pow(connection.searches));
                connection.look_at =
                    Some((now + after.min(SEARCH_EVERY)).min(connection.deadline(now)));
            }
            Rest::Done => connection.look_at = Some(now + LOOK_EVERY),
        }
        if verdict.approved.length > 0 {
            self.approve(cookie, &verdict.approved, version.generation, now);
        }
    }

    /// Has these bytes leave, by the policy of that generation.
    fn approve(&mut self, cookie: u64, approved: &Approved, generation: u64, now: Instant) {
        let Some(connection) = self.connections.get_mut(&cookie) else { return };
        let from = connection.from();
        let &Approved { length, then, hellos, record, .. } = approved;
        let is_same = |one: &Standing| {
            (one.from, one.length, one.then, one.hellos) == (from, length, then, hellos)
        };
        let is_revised = std::mem::take(&mut connection.is_revised);
        if !is_revised && connection.standing.as_ref().is_some_and(is_same) {
            return;
        }
        let address = connection.to().ip();
        let pin = approved.name.as_ref();
        let pin = pin.map_or(0, |name| self.maps.pin_number(self.state.id, address, name));
        let sequence = |at: usize| from.wrapping_add(at as u32);
        let approval = Approval {
            connected_ns: connection.head.connected_ns,
            pin,
            from,
            length: length as u32,
            record: sequence(record),
            hellos,
            then,
            reserved: 0,
        };
        let bytes = connection.bytes().get(..length).unwrap_or_default();
        if let Err(error) = self.maps.approve(cookie, approval, bytes) {
            // No room: others' leave first.
            tracing::debug!(%error, "what may leave waits");
            self.maps.withdraw(cookie, from, length);
            connection.look_at = Some(now + LOOK_AFTER);
            return;
        }
        connection.standing = Some(Standing { from, length, then, hellos, looks: 0 });
        connection.look_at = Some(now + LOOK_AFTER);
        if self.state.policy.generation() != generation {
            withdraw(&self.maps, connection);
            return;
        }
        // What is late from here on is the network's doing.
        self.sockets.push(which(connection), [UNVERIFIED_WAIT_MS, EXTENDED_MS]);
    }

    fn refuse_for_room(&mut self, cookie: u64, now: Instant) {
        let Some(connection) = self.connections.get(&cookie) else {
            return self.ender.end(cookie);
        };
        let to = connection.to();
        let (policy, pins) = (self.state.policy(), self.state.pins());
        let refused = match Evidence::gather(&policy, pins, to, boottime_ns()) {
            Ok(evidence) => evidence.too_much_held(),
            Err(refused) => refused,
        };
        self.refuse(cookie, refused, now);
    }

    /// As the proxy would: the next connection fares no better.
    fn refuse(&mut self, cookie: u64, refused: Box<Event>, now: Instant) {
        if let Some(connection) = self.bury(cookie, now) {
            self.state.journal.note_attempt(connection.port());
        }
        self.state.journal.refused(*refused);
        self.ender.end(cookie);
    }

    /// What this way cannot do: the next connection to the address takes the proxy.
    fn end(&mut self, cookie: u64, finding: Finding, now: Instant) {
        if let Some(to) = self.bury(cookie, now) {
            refusal::note(&self.state, to, finding, None);
        }
        self.ender.end(cookie);
    }

    /// Nothing of it leaves any more; it is known until it has ended. Gives where it goes.
    fn bury(&mut self, cookie: u64, now: Instant) -> Option<SocketAddr> {
        let connection = self.connections.get_mut(&cookie)?;
        withdraw(&self.maps, connection);
        self.taken = self.taken.saturating_sub(connection.bytes().len());
        connection.refuse();
        connection.look_at = Some(now + LOOK_AFTER);
        Some(connection.to())
    }
}

fn which(connection: &Connection) -> Which {
    Which { cookie: connection.head.cookie, tgid: connection.head.tgid }
}

fn withdraw(maps: &Maps, connection: &mut Connection) {
    if let Some(standing) = connection.standing.take() {
        maps.withdraw(connection.head.cookie, standing.from, standing.length);
    }
}
