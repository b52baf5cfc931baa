//! The ClientHello message itself: RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 7301.
use std::ops::RangeInclusive;

use super::{Hello, is_address};

const EXTENSION_SERVER_NAME: u16 = 0;
const EXTENSION_ALPN: u16 = 16;
/// `encrypted_client_hello` (RFC 9849), and its drafts before 0xfe0d was settled.
const EXTENSION_ECH: RangeInclusive<u16> = 0xfe08..=0xfe0d;
/// ESNI, ECH's forerunner: hides the name as well.
const EXTENSION_ESNI: u16 = 0xffce;

const NAME_TYPE_HOST: u8 = 0;
/// Most bytes of a server name (RFC 1035 section 2.3.4), in text without the trailing dot.
pub const NAME_LIMIT_BYTES: usize = 253;
/// The same section.
pub const LABEL_LIMIT_BYTES: usize = 63;

/// Reads a whole handshake message. Stricter than servers are: nothing may be left over, nothing
/// may come twice.
pub(super) fn read(message: &[u8]) -> Result<Hello, &'static str> {
    const SHORT: &str = "hello ends inside a field";
    let mut hello = Reader(message);
    let _type_and_length = hello.take(4).ok_or(SHORT)?;
    let _version_and_random = hello.take(2 + 32).ok_or(SHORT)?;
    if hello.vector8().ok_or(SHORT)?.0.len() > 32 {
        return Err("session id is too long");
    }
    let suites = hello.vector16().ok_or(SHORT)?.0;
    if suites.is_empty() || suites.len() % 2 != 0 {
        return Err("cipher suites have an odd length or none");
    }
    if hello.vector8().ok_or(SHORT)?.0.is_empty() {
        return Err("no compression method");
    }
    let mut facts = Hello { server_name: None, ech: false };
    if hello.0.is_empty() {
        return Ok(facts);
    }
    let mut extensions = hello.vector16().ok_or(SHORT)?;
    if !hello.0.is_empty() {
        return Err("bytes after the extensions");
    }
    let mut kinds = Vec::new();
    while !extensions.0.is_empty() {
        let kind = extensions.u16().ok_or(SHORT)?;
        let body = extensions.vector16().ok_or(SHORT)?;
        kinds.push(kind);
        match kind {
            EXTENSION_SERVER_NAME => facts.server_name = Some(server_name(body)?),
            EXTENSION_ALPN => alpn(body)?,
            EXTENSION_ESNI => facts.ech = true,
            kind if EXTENSION_ECH.contains(&kind) => facts.ech = true,
            _ => {}
        }
    }
    // Sorted once rather than searched each time: 4,000 empty extensions fit in a hello.
    kinds.sort_unstable();
    if kinds.array_windows().any(|[a, b]| a == b) {
        return Err("the same extension twice");
    }
    Ok(facts)
}

fn server_name(mut extension: Reader<'_>) -> Result<String, &'static str> {
    const SHORT: &str = "server name extension ends inside a field";
    let mut list = extension.vector16().ok_or(SHORT)?;
    if !extension.0.is_empty() {
        return Err("bytes after the server name list");
    }
    if list.u8().ok_or("server name list is empty")? != NAME_TYPE_HOST {
        return Err("server name of an unknown type");
    }
    let name = list.vector16().ok_or(SHORT)?.0;
    if !list.0.is_empty() {
        return Err("more than one server name");
    }
    let name = str::from_utf8(name).map_err(|_| "server name is not ASCII")?;
    if !is_address(name) && !is_host_name(name) {
        return Err("server name is not a host name");
    }
    // What servers do not tell apart.
    let name = name.strip_suffix('.').unwrap_or(name);
    Ok(name.to_ascii_lowercase())
}

/// LDH and `_`, labels of 1 to 63, at most 253, one trailing dot allowed.
pub(super) fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= NAME_LIMIT_BYTES
        && name.split('.').all(|label| {
            (1..=LABEL_LIMIT_BYTES).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// What servers refuse.
fn alpn(mut extension: Reader<'_>) -> Result<(), &'static str> {
    const SHORT: &str = "ALPN extension ends inside a field";
    let mut list = extension.vector16().ok_or(SHORT)?;
    if !extension.0.is_empty() {
        return Err("bytes after the ALPN list");
    }
    if list.0.is_empty() {
        return Err("ALPN list is empty");
    }
    while !list.0.is_empty() {
        if list.vector8().ok_or(SHORT)?.0.is_empty() {
            return Err("empty ALPN protocol");
        }
    }
    Ok(())
}

/// Takes fields from the front; `None` where the bytes end too early.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn u16(&mut self) -> Option<u16> {
        let (&bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(bytes))
    }

    fn vector8(&mut self) -> Option<Self> {
        let len = self.u8()?;
        self.take(len.into()).map(Self)
    }

    fn vector16(&mut self) -> Option<Self> {
        let len = self.u16()?;
        self.take(len.into()).map(Self)
    }
}
