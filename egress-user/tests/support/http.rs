//! A small HTTP/1.1 server for one connection: keep-alive, uploads, downloads, and a note of every request.
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use super::log::{Log, Request};

/// Most bytes of a request's head; a longer one ends the connection.
const HEAD_LIMIT: usize = 64 << 10;

/// What a browser shows of it, and fetches for it, only its script says.
const PAGE: &str = "<!doctype html><title>page</title><script>document.write(\
    '<p>The page' + ' arrived.</p><img src=/arrived/' + (8 + 9) + '>')</script>\n";

/// A picture of another site's.
const PICTURE: &str = "<img src=https://refused.test/picture>\n";

/// Where a conversation takes place, for the log.
pub(crate) struct Place<'l> {
    pub(crate) at: SocketAddr,
    pub(crate) sni: Option<String>,
    pub(crate) log: &'l Log,
}

/// Answers requests until the client closes.
///
/// - `/bytes/N` gives N bytes of [`pattern`].
/// - `/info/refs` gives one branch, to a git that asks which there are.
/// - `/page` gives a page that is whole once its script has run; the script has `/arrived/17` fetched.
/// - `/page/mixed` is the same with a picture of refused.test's.
/// - `/sink` reads the body and answers its length and SHA-256.
/// - anything else answers the host, the TLS server name and the path, as the server saw them.
pub(crate) fn serve(stream: &mut (impl Read + Write), place: &Place<'_>) -> io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(head) = read_head(stream, &mut buffer)? {
        if head.expects_continue {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        while buffer.len() < head.length {
            if fill(stream, &mut buffer)? == 0 {
                return Ok(());
            }
        }
        let body: Vec<u8> = buffer.drain(..head.length).collect();
        let answer = answer(&head, &body, place);
        let is_page = head.path.starts_with("/page");
        let Head { method, host, path, .. } = head;
        place.log.request(Request { at: place.at, sni: place.sni.clone(), method, host, path });
        // In one piece, so that a client which reads once sees it whole.
        let kind = if is_page { "Content-Type: text/html\r\n" } else { "" };
        let length = answer.len();
        let mut response =
            format!("HTTP/1.1 200 OK\r\n{kind}Content-Length: {length}\r\n\r\n").into_bytes();
        response.extend_from_slice(&answer);
        stream.write_all(&response)?;
        stream.flush()?;
        if head.closes {
            break;
        }
    }
    Ok(())
}

/// The bytes that `/bytes/N` sends: no block is like another, so that a lost or doubled one shows in the digest.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| (i ^ (i >> 8).wrapping_mul(31) ^ (i >> 16).wrapping_mul(17)) as u8)
        .collect()
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().iter().fold(
        String::new(),
        |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("write to a string");
            hex
        },
    )
}

fn answer(head: &Head, body: &[u8], place: &Place<'_>) -> Vec<u8> {
    if let Some(length) = head.path.strip_prefix("/bytes/").and_then(|n| n.parse().ok()) {
        return pattern(length);
    }
    match head.path.as_str() {
        "/page" => return PAGE.into(),
        "/page/mixed" => return [PAGE, PICTURE].concat().into_bytes(),
        _ => {}
    }
    if head.path == "/sink" {
        return format!("{} {}\n", body.len(), sha256(body)).into_bytes();
    }
    if head.path.starts_with("/info/refs") {
        // Git's older protocol: without a content type of its own, the answer is a plain list.
        return format!("{}\trefs/heads/main\n", "5e".repeat(20)).into_bytes();
    }
    let sni = place.sni.as_deref().unwrap_or("-");
    format!("host={} sni={sni} path={}\n", head.host, head.path).into_bytes()
}

/// What matters of a request's head.
struct Head {
    method: String,
    path: String,
    host: String,
    length: usize,
    expects_continue: bool,
    closes: bool,
}

/// Reads one head, leaving in `buffer` what follows it; `None` at the end of the stream.
fn read_head(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<Head>> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 256];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(buffer).map_err(io::Error::other)? {
            httparse::Status::Complete(length) => {
                let head = Head::of(&request);
                buffer.drain(..length);
                return Ok(Some(head));
            }
            httparse::Status::Partial if buffer.len() > HEAD_LIMIT => return Ok(None),
            httparse::Status::Partial => {}
        }
        if fill(stream, buffer)? == 0 {
            return Ok(None);
        }
    }
}

impl Head {
    fn of(request: &httparse::Request<'_, '_>) -> Head {
        let header = |name: &str| {
            let found = request.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
            found.map(|h| String::from_utf8_lossy(h.value).into_owned()).unwrap_or_default()
        };
        Head {
            method: request.method.unwrap_or_default().to_owned(),
            path: request.path.unwrap_or_default().to_owned(),
            host: header("host"),
            length: header("content-length").parse().unwrap_or(0),
            expects_continue: header("expect").eq_ignore_ascii_case("100-continue"),
            closes: request.version == Some(0)
                || header("connection").eq_ignore_ascii_case("close"),
        }
    }
}

fn fill(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut block = [0; 16 << 10];
    let read = stream.read(&mut block)?;
    buffer.extend_from_slice(&block[..read]);
    Ok(read)
}
