//! What the journal hears of refused and failed lookups.
use egress_common::Reason;
use hickory_proto::rr::RecordType;

use super::Service;
use crate::{
    dns::answer::Reply,
    policy::{Name, Refusal},
    record::{Event, Grounds, Subject},
};

impl Service {
    /// A lookup of a name that is not allowed: perhaps one that a library makes on the way to another.
    pub(super) fn refuse_name(
        &self,
        name: &Name,
        record_type: RecordType,
        refusal: Refusal,
    ) -> Reply {
        let event = Event::by_policy(Subject::lookup(name, record_type), refusal.clone());
        let names = match refusal.reason {
            Reason::NotAllowed => self.on_the_way_to(name),
            _ => Vec::new(),
        };
        match names.is_empty() {
            true => self.sandbox.journal.refused(event),
            false => self.sandbox.journal.refused_on_the_way(names, event),
        }
        Reply::Refused(refusal)
    }

    /// A lookup that failed: who answered what. That a name does not exist is no refusal.
    pub(super) fn note_failure(
        &self,
        name: &Name,
        record_type: RecordType,
        refusal: &Refusal,
        reply: &Reply,
    ) {
        let asked = Subject::lookup(name, record_type);
        let event = Event::by_policy(asked, refusal.clone());
        let failure = match reply {
            Reply::NxDomain => return self.sandbox.journal.observe(event),
            Reply::Failed(why) => Some(why.as_str().into()),
            Reply::NoData => Some("the name servers know no address of it".into()),
            _ => None,
        };
        self.sandbox.journal.refused(event.on(Grounds { failure, ..Grounds::default() }));
    }

    /// Names of which a library makes this one by itself.
    fn on_the_way_to(&self, name: &Name) -> Vec<Name> {
        let mut names = self.sandbox.policy().search_domains().short_forms(name);
        // apt asks for `_http._tcp.HOST` before HOST (RFC 2782), and completes that as well.
        let service = |name: &Name| {
            let (before, host) = name.as_str().split_once("._tcp.")?;
            before.starts_with('_').then(|| Name::parse(host).ok())?
        };
        let hosts: Vec<_> = names.iter().chain([name]).filter_map(service).collect();
        names.extend(hosts);
        names
    }
}
