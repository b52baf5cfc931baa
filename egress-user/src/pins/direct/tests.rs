use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    super::{PinStore, lease::LEASE_NS},
    *,
};
use crate::{
    config::{Flags, assemble_layers, parse},
    policy::{Name, OPAQUE_PORTS, Policy},
};

/// A sink that remembers.
#[derive(Default)]
struct Kernel {
    open: Mutex<HashMap<IpAddr, Opening>>,
    names: Mutex<HashMap<(IpAddr, String), Naming>>,
    living: Mutex<Vec<u64>>,
    living_at: Mutex<Vec<IpAddr>>,
    last: AtomicU64,
    judges_no_names: bool,
}

impl PinStore for Kernel {
    fn pin(&self, address: IpAddr, opening: &Opening) -> std::io::Result<()> {
        self.open.lock().unwrap().insert(address, *opening);
        Ok(())
    }

    fn unpin(&self, address: IpAddr) {
        self.open.lock().unwrap().remove(&address);
    }

    fn name(&self, address: IpAddr, name: &Name, naming: &Naming) -> Option<u64> {
        let id = match naming.id {
            0 => self.last.fetch_add(1, Ordering::Relaxed) + 1,
            id => id,
        };
        let known = (address, name.as_str().to_owned());
        self.names.lock().unwrap().insert(known, Naming { id, ..*naming });
        (!self.judges_no_names).then_some(id)
    }

    fn unname(&self, address: IpAddr, name: &Name, _: u64) {
        self.names.lock().unwrap().remove(&(address, name.as_str().to_owned()));
    }

    fn lives(&self, id: u64) -> bool {
        self.living.lock().unwrap().contains(&id)
    }

    fn lives_at(&self, address: IpAddr) -> bool {
        self.living_at.lock().unwrap().contains(&address)
    }
}

impl Kernel {
    fn direct(&self, address: IpAddr) -> Vec<u16> {
        let open = self.open.lock().unwrap();
        ports_in(&open.get(&address).unwrap().direct)
    }
}

fn ports_in(list: &PortList) -> Vec<u16> {
    list.iter().flat_map(|(first, last)| first..=last).collect()
}

const SITE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(93, 184, 216, 34));

fn policy(rules: &str) -> Policy {
    let text = format!("[network.domains]\n{rules}\n");
    let layer = parse(&text, "p.toml").unwrap();
    assemble_layers(vec![layer], &Flags::default()).unwrap().policy
}

/// Pins every name there until 10.
fn pinned(sink: &Arc<Kernel>, policy: &Policy, names: &[&str]) -> Pins {
    let table = Pins::new(sink.clone());
    for text in names {
        let name = Name::parse(text).unwrap();
        let grant = policy.name(&name).unwrap();
        table.pin(&name, &grant, &[(SITE, 10)], 0).unwrap();
    }
    table
}

/// The ports where HTTP is not expected, and these; without those that are left out.
fn opaque_and(ports: &[u16], without: &[u16]) -> Vec<u16> {
    let opaque = OPAQUE_PORTS.iter().map(|opaque| opaque.port);
    let mut all: Vec<u16> = opaque.chain(ports.iter().copied()).collect();
    all.retain(|port| !without.contains(port));
    all.sort_unstable();
    all
}

#[test]
fn a_port_is_direct_where_no_name_of_the_address_needs_the_proxy() {
    let all = opaque_and(&[443, 8443], &[]);
    let (no_tls, no_ssh) = (opaque_and(&[], &[]), opaque_and(&[443, 8443], &[22]));
    let one_of_tls = opaque_and(&[8443], &[]);
    for (rules, expected) in [
        ("\"a.test\" = \"allow\"", &all[..]),
        ("\"a.test\" = { action = \"allow\", via = \"proxy\" }", &[]),
        ("\"a.test\" = { action = \"allow\", protocol = \"any\" }", &no_tls),
        ("\"a.test\" = { action = \"allow\", methods = [\"GET\"] }", &[]),
        ("\"a.test\" = { action = \"allow\", ech = \"refuse\" }", &[]),
        ("\"a.test\" = { action = \"allow\", ports = [80, 443] }", &[443]),
        ("\"a.test\" = { action = \"allow\", ports = [22, 80, 7000, 8080] }", &[22]),
        ("\"a.test\" = { action = \"allow\", ports = [\"5400-5700\"] }", &[5432, 5433, 5671, 5672]),
        ("\"a.test\" = { action = \"allow\", ports = [80, 5432], via = \"kernel\" }", &[5432]),
        ("\"a.test\" = \"allow\"\n\"b.test\" = \"allow\"", &all),
        ("\"a.test\" = \"allow\"\n\"b.test\" = { action = \"allow\", paths = [\"/x/\"] }", &[]),
        (
            "\"a.test\" = \"allow\"\n\"b.test\" = { action = \"allow\", ports = [443], via = \"proxy\" }",
            &one_of_tls,
        ),
        (
            "\"a.test\" = \"allow\"\n\"b.test\" = { action = \"allow\", ports = [22], via = \"proxy\" }",
            &no_ssh,
        ),
        (
            "\"a.test\" = { action = \"allow\", ports = [\"90-99\"], via = \"kernel\" }\n\
             \"b.test\" = { action = \"allow\", ports = [\"93-94\"] }",
            &[90, 91, 92, 95, 96, 97, 98, 99],
        ),
        // A name that does not open the port has no say.
        ("\"a.test\" = \"allow\"\n\"b.test\" = { action = \"allow\", ports = [7000] }", &all),
    ] {
        let (sink, policy) = (Arc::<Kernel>::default(), policy(rules));
        let names: Vec<&str> =
            if rules.contains("b.test") { vec!["a.test", "b.test"] } else { vec!["a.test"] };
        let _ = pinned(&sink, &policy, &names);
        assert_eq!(sink.direct(SITE), expected, "{rules}");
    }
}

#[test]
fn what_is_not_tls_passes_off_the_ports_of_the_web_and_where_a_rule_says_any() {
    let any = policy("\"a.test\" = { action = \"allow\", protocol = \"any\", via = \"kernel\" }");
    let sink = Arc::<Kernel>::default();
    let _ = pinned(&sink, &any, &["a.test"]);
    let opening = *sink.open.lock().unwrap().get(&SITE).unwrap();
    assert_eq!(ports_in(&opening.unread), opaque_and(&[443, 8443], &[]));
    let plain = Arc::<Kernel>::default();
    let _ = pinned(&plain, &policy("\"a.test\" = \"allow\""), &["a.test"]);
    let opening = *plain.open.lock().unwrap().get(&SITE).unwrap();
    assert_eq!(ports_in(&opening.unread), opaque_and(&[], &[]));
    let rule = "{ action = \"allow\", ports = [443, 7000], via = \"kernel\" }";
    let listed = Arc::<Kernel>::default();
    let _ = pinned(&listed, &policy(&format!("\"a.test\" = {rule}")), &["a.test"]);
    let opening = *listed.open.lock().unwrap().get(&SITE).unwrap();
    assert_eq!(
        (ports_in(&opening.direct), ports_in(&opening.unread)),
        (vec![443, 7000], vec![7000])
    );
}

#[test]
fn what_cannot_be_judged_takes_the_proxy() {
    let sink = Arc::new(Kernel { judges_no_names: true, ..Kernel::default() });
    let _ = pinned(&sink, &policy("\"a.test\" = \"allow\""), &["a.test"]);
    assert_eq!(sink.direct(SITE), [0_u16; 0]);
}

#[test]
fn an_address_that_is_sent_to_the_proxy_stays_there_while_it_is_pinned() {
    let (sink, policy) = (Arc::<Kernel>::default(), policy("\"a.test\" = \"allow\""));
    let table = pinned(&sink, &policy, &["a.test"]);
    table.send_to_proxy(SITE, 1);
    assert_eq!(sink.direct(SITE), [0_u16; 0]);
    let name = Name::parse("a.test").unwrap();
    let grant = policy.name(&name).unwrap();
    table.pin(&name, &grant, &[(SITE, 20)], 2).unwrap();
    assert_eq!(sink.direct(SITE), [0_u16; 0]);
    table.purge(30);
    assert!(sink.names.lock().unwrap().is_empty());
    table.pin(&name, &grant, &[(SITE, 50)], 40).unwrap();
    assert_eq!(sink.direct(SITE), opaque_and(&[443, 8443], &[]));
    // Nobody's address is remembered.
    table.send_to_proxy("93.184.216.99".parse().unwrap(), 41);
    assert_eq!(table.table().proxied.len(), 0);
}

#[test]
fn a_pin_is_prolonged_while_its_own_connections_live() {
    let sink = Arc::<Kernel>::default();
    let policy = policy("\"a.test\" = \"allow\"\n\"b.test\" = \"allow\"");
    let table = pinned(&sink, &policy, &["a.test", "b.test"]);
    let names = sink.names.lock().unwrap().clone();
    let id = names[&(SITE, "a.test".to_owned())].id;
    sink.living.lock().unwrap().push(id);
    table.renew(9);
    let expiry = |name: &str| sink.names.lock().unwrap()[&(SITE, name.to_owned())].expires_ns;
    assert_eq!((expiry("a.test"), expiry("b.test")), (9 + LEASE_NS, 10));
    assert_eq!(sink.open.lock().unwrap()[&SITE].expires_ns, 9 + LEASE_NS);
    table.purge(11);
    let left = table.names_of(SITE, 11);
    assert_eq!(left.iter().map(|pin| pin.name.as_str()).collect::<Vec<_>>(), ["a.test"]);
    sink.living.lock().unwrap().clear();
    table.renew(9 + LEASE_NS);
    table.purge(10 + LEASE_NS);
    assert!(sink.open.lock().unwrap().is_empty());
}

#[test]
fn what_names_nobody_prolongs_every_pin_of_its_address() {
    let sink = Arc::<Kernel>::default();
    let policy = policy("\"a.test\" = \"allow\"\n\"b.test\" = \"allow\"");
    let table = pinned(&sink, &policy, &["a.test", "b.test"]);
    sink.living_at.lock().unwrap().push(SITE);
    table.renew(9);
    table.purge(11);
    assert_eq!(table.names_of(SITE, 11).len(), 2);
    // The end of a connection by the proxy takes nothing from it.
    assert!(table.hold(SITE, 11));
    table.release(SITE, 12);
    table.purge(13);
    assert_eq!(table.names_of(SITE, 13).len(), 2);
    sink.living_at.lock().unwrap().clear();
    table.renew(9 + LEASE_NS);
    table.purge(10 + LEASE_NS);
    assert!(sink.open.lock().unwrap().is_empty());
}
