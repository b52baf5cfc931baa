//! Sockets with one port of the program's own, each to another destination: as many connections to
//! the kernel, which the filter may not make one of. Judged by what each server of the far side got.
use std::collections::BTreeSet;

use super::support::{PYTHON, World};

/// A world with so many sites of each family, and the options that open them all.
fn sites(number: usize) -> (World, Vec<String>, Vec<String>) {
    let v4: Vec<String> =
        (0..number).map(|n| format!("151.101.{}.{}", n / 200, n % 200 + 1)).collect();
    let v6: Vec<String> = (0..number).map(|n| format!("2606:2800:220:1::5:{n:x}")).collect();
    let mut builder = World::new();
    for address in v4.iter().chain(&v6) {
        builder = builder.address(address);
    }
    (builder.build(), v4, v6)
}

/// Claims that all are answered, by the server that was meant, with and without the filter.
#[track_caller]
fn all_are_answered(world: &World, how: &str, family: &str, targets: &[String]) {
    let words = targets.iter().map(|address| format!("{address}/80"));
    let words: Vec<String> =
        [PYTHON, "ports.py", how, family].map(String::from).into_iter().chain(words).collect();
    let options: Vec<String> =
        targets.iter().flat_map(|address| ["--allow".to_owned(), address.clone()]).collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    for client in [world.direct(), world.egress(&options)] {
        let before = world.requests().len();
        let out = client.run(words.clone());
        let number = targets.len();
        out.succeeded().said(&format!("{number} of {number} answered"));
        let requests = world.requests();
        let at: BTreeSet<_> = requests[before..].iter().map(|request| request.at.ip()).collect();
        assert_eq!(at.len(), number, "servers that were reached\n{out}");
        for request in &requests[before..] {
            let host = request.path.trim_start_matches('/').trim_matches(['[', ']']);
            assert_eq!(host.parse().ok(), Some(request.at.ip()), "{request:?}");
        }
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn one_port_leads_to_two_hosts() {
    let (world, v4, v6) = sites(2);
    // Often: it failed by chance.
    for _ in 0..8 {
        for how in ["reuseaddr", "reuseport", "address", "threads"] {
            all_are_answered(&world, how, "4", &v4);
            all_are_answered(&world, how, "6", &v6);
        }
        all_are_answered(&world, "only", "6", &v6);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn one_port_leads_to_many_hosts() {
    let (world, v4, v6) = sites(60);
    all_are_answered(&world, "reuseaddr", "4", &v4);
    all_are_answered(&world, "threads", "4", &v4);
    // More than there are listeners: the rest comes by IPv4.
    all_are_answered(&world, "reuseaddr", "6", &v6);
    all_are_answered(&world, "only", "6", &v6[..30]);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_v4_mapped_socket_shares_its_port_too() {
    let (world, v4, _) = sites(20);
    let targets: Vec<String> = v4.iter().map(|address| format!("::ffff:{address}/80")).collect();
    let words = [PYTHON, "ports.py", "reuseaddr", "6"].map(String::from).into_iter().chain(targets);
    let words: Vec<String> = words.collect();
    let options: Vec<String> =
        v4.iter().flat_map(|address| ["--allow".to_owned(), address.clone()]).collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    // The host that it names is an address of another kind, and refused as such; that it is asked
    // for is what shows the connection.
    for client in [world.direct(), world.egress(&options)] {
        let out = client.run(words.clone());
        assert!(!out.text().contains("EADDR"), "{out}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn one_port_leads_to_a_host_once() {
    let (world, v4, _) = sites(1);
    let target = format!("{}/80", v4[0]);
    let words = [PYTHON, "ports.py", "reuseaddr", "4", &target, &target].map(String::from);
    for client in [world.direct(), world.egress(&["--allow", &v4[0]])] {
        let out = client.run(words.clone());
        out.said("1 of 2 answered ['EADDRNOTAVAIL']");
    }
}
