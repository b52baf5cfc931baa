//! The proxy over real loopback sockets: what it is told by the kernel side, and the pins, are scripted.

mod accepting;
mod changes;
mod dialling;
mod draining;
mod dying;
mod elsewhere;
mod ends;
mod first_lines;
mod heads;
mod hellos;
mod http1;
mod http2;
mod limits;
mod opaque;
mod peer;
mod pinned;
mod requests_read;
mod tls;
mod upgrades;
mod world;

use peer::{Ended, Peer};
use world::{Site, World};

const CURL: &[u8] = include_bytes!("../../tests/data/hello/curl-openssl3.bin");
const PYTHON: &[u8] = include_bytes!("../../tests/data/hello/python-ssl.bin");
const NO_NAME: &[u8] = include_bytes!("../../tests/data/hello/no-sni.bin");

/// Two names whose rules open a port where TLS or HTTP is expected, and one where it is not.
const TWO: &str = "[network.domains]\n\
    \"curl.test\" = { action = \"allow\", ports = [8443, 7000] }\n\
    \"python.test\" = { action = \"allow\", ports = [8443, 7000] }\n\
    \"denied.test\" = \"deny\"\n";

/// A port where TLS or HTTP is expected.
const WEB: u16 = 8443;

/// A port where it is not.
const OTHER: u16 = 7000;

/// A connection of a client of [`TWO`] to a server of `curl.test`: both ends.
async fn connected(port: u16) -> (World, Peer, Peer) {
    let world = World::new(TWO).await;
    let site = Site::listen(port).await;
    world.pin("curl.test", site.at.ip());
    let client = world.client(site.at).await;
    let server = site.accept().await;
    (world, client, server)
}
