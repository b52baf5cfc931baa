//! One request head: the host to judge, and the framing of its body.
use std::borrow::Cow;

use super::body::Body;
use super::{HEADER_LIMIT, is_token};

/// The facts of a request head on which a verdict depends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method as sent; methods are case-sensitive (RFC 9110 section 9.1).
    pub method: String,
    /// The form of the target.
    pub target: TargetForm,
    /// The one authority to judge, in lower case, perhaps with a port: the Host header, which an
    /// absolute or authority target equals. Characters of hosts only: letters, digits, `-`, `_`,
    /// `.`, `:`, and an address in `[ ]`. `None` only in HTTP/1.0 without Host.
    pub host: Option<String>,
    /// Path and query as sent, without the authority; begins with `/`, but is `*` in the asterisk
    /// form, and empty for CONNECT. What is no UTF-8 in it reads as U+FFFD.
    pub path: String,
    /// The Upgrade header (RFC 9110 section 7.8); several are joined by `, `.
    pub upgrade: Option<String>,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// HTTP/1.0 or HTTP/1.1.
    pub minor_version: u8,
    /// No request may follow: `Connection: close`, or HTTP/1.0 without `keep-alive`.
    pub is_last: bool,
}

impl RequestHead {
    /// The request asks for a tunnel (RFC 9110 section 9.3.6).
    pub fn is_connect(&self) -> bool {
        self.target == TargetForm::Authority
    }
}

/// RFC 9112 section 3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`
    Origin,
    /// `http://host/path`
    Absolute,
    /// `host:port`, of CONNECT
    Authority,
    /// `*`, of OPTIONS
    Asterisk,
}

/// Reads a whole head that the scan has passed.
pub(super) fn parse(bytes: &[u8]) -> Result<(RequestHead, Body), &'static str> {
    let ascii = with_ascii_line(bytes);
    let mut fields = [httparse::EMPTY_HEADER; HEADER_LIMIT];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(&ascii) {
        Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
        Ok(_) => return Err("two parsers find different ends of the head"),
        Err(httparse::Error::TooManyHeaders) => return Err("too many header fields"),
        Err(httparse::Error::HeaderName) => return Err("bad header name"),
        Err(httparse::Error::Version) => return Err("not HTTP/1.0 or HTTP/1.1"),
        Err(_) => return Err("malformed head"),
    }
    let (method, target, minor_version) = match (request.method, request.path, request.version) {
        (Some(method), Some(target), Some(minor)) => (method, target, minor),
        _ => return Err("malformed request line"),
    };
    // httparse must not have skipped or merged anything in the line.
    let line = format!("{method} {target} HTTP/1.{minor_version}\r\n");
    if !ascii.starts_with(line.as_bytes()) || !bytes.starts_with(method.as_bytes()) {
        return Err("malformed request line");
    }
    if !is_token(method.as_bytes()) {
        return Err("malformed request line");
    }
    let sent = bytes.get(method.len() + 1..).and_then(|rest| rest.get(..target.len()));
    let sent = sent.unwrap_or_default();
    if reads_differently(sent) {
        return Err("target holds what some servers read as the end of the line");
    }
    let target = &*String::from_utf8_lossy(sent);
    let fields = Fields(request.headers);
    let connection = fields.connection()?;
    let body = fields.body(minor_version)?;
    let (target, authority, path) = split_target(method, target)?;
    if target == TargetForm::Authority && !matches!(body, Body::None) {
        return Err("CONNECT with a body");
    }
    let host = match fields.single("host")? {
        Some(value) => Some(authority_text(value)?),
        None if minor_version == 0 => None,
        None => return Err("no Host header"),
    };
    if let (Some(authority), Some(host)) = (&authority, &host)
        && !names_same(target, authority, host)
    {
        return Err("target and Host header differ");
    }
    let expects_continue = match fields.single("expect")? {
        None => false,
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => true,
        Some(_) => return Err("unknown expectation"),
    };
    let head = RequestHead {
        method: method.to_owned(),
        target,
        host: authority.or(host),
        // RFC 9110 section 4.2.3: an empty path of a URL is `/`.
        path: if target == TargetForm::Absolute && !path.starts_with('/') {
            format!("/{path}")
        } else {
            path.to_owned()
        },
        upgrade: fields.joined("upgrade"),
        expects_continue,
        minor_version,
        is_last: connection.close || (minor_version == 0 && !connection.keep_alive),
    };
    Ok((head, body))
}

/// The same head with letters in place of what is not ASCII in its first line: httparse takes UTF-8 there,
/// while servers take any bytes.
fn with_ascii_line(bytes: &[u8]) -> Cow<'_, [u8]> {
    let line = bytes.iter().position(|&b| b == b'\n').unwrap_or(bytes.len());
    if bytes.get(..line).unwrap_or(bytes).is_ascii() {
        return Cow::Borrowed(bytes);
    }
    let mut ascii = bytes.to_vec();
    ascii.iter_mut().take(line).filter(|b| !b.is_ascii()).for_each(|b| *b = b'x');
    Cow::Owned(ascii)
}

/// Whether a server could find another request in a target. In Latin-1, 0x85 ends a line and 0xa0 a word,
/// and in UTF-8 there are more such characters, all of bytes over 0x7f. So behind such a byte neither a
/// version may begin, nor a field that decides.
pub(in crate::sniff) fn reads_differently(target: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 4] = [b"HTTP/", b"Host:", b"Content-Length:", b"Transfer-Encoding:"];
    let begins = |rest: &[u8]| {
        let is =
            |word: &[u8]| rest.get(..word.len()).is_some_and(|it| it.eq_ignore_ascii_case(word));
        BEGINNINGS.into_iter().any(is)
    };
    let odd = target.iter().enumerate().filter(|(_, byte)| !byte.is_ascii());
    odd.into_iter().any(|(at, _)| target.get(at + 1..).is_some_and(begins))
}

/// Form, authority, and path of a target.
fn split_target<'a>(
    method: &str,
    target: &'a str,
) -> Result<(TargetForm, Option<String>, &'a str), &'static str> {
    if target.contains('#') {
        return Err("fragment in the target");
    }
    if method.eq_ignore_ascii_case("CONNECT") {
        let authority = authority_text(target.as_bytes())?;
        if method != "CONNECT" {
            return Err("CONNECT is not in upper case");
        }
        if port_of(&authority).is_none() {
            return Err("CONNECT without a port");
        }
        return Ok((TargetForm::Authority, Some(authority), ""));
    }
    if target.starts_with('/') {
        return Ok((TargetForm::Origin, None, target));
    }
    if target == "*" {
        return match method {
            "OPTIONS" => Ok((TargetForm::Asterisk, None, target)),
            _ => Err("target * without OPTIONS"),
        };
    }
    match target.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http://") => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let authority = authority_text(authority.as_bytes())?;
            Ok((TargetForm::Absolute, Some(authority), path))
        }
        _ => Err("target is neither a path nor an http URL"),
    }
}

/// Checks `host`, `host:port`, `[v6]`, `[v6]:port` for shape and characters; the policy parses it.
pub(in crate::sniff) fn authority_text(value: &[u8]) -> Result<String, &'static str> {
    const BAD: &str = "host holds what no host has";
    let text = str::from_utf8(value).map_err(|_| BAD)?;
    let (host_is_good, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or(BAD)?;
        let good = address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.');
        let port = match rest {
            "" => None,
            _ => Some(rest.strip_prefix(':').ok_or(BAD)?),
        };
        (good && address.contains(':'), port)
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let good = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        (good && !host.is_empty(), port)
    };
    let port_is_good = port.is_none_or(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    // 253 for a name, `:65535`, and one trailing dot.
    if host_is_good && port_is_good && text.len() <= 260 {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(BAD)
    }
}

/// Whether both name one host and port. A Host header may leave out the port that the target has
/// if that is the default one, and CONNECT's port always: clients do both.
pub(in crate::sniff) fn names_same(form: TargetForm, authority: &str, host: &str) -> bool {
    let default = match form {
        TargetForm::Authority => port_of(authority),
        _ => Some("80"),
    };
    let bare = |text: &str| match (port_of(text), default) {
        (Some(port), Some(default)) if port == default => {
            text.strip_suffix(port).and_then(|rest| rest.strip_suffix(':')).map(str::to_owned)
        }
        _ => Some(text.to_owned()),
    };
    bare(authority) == bare(host)
}

/// The port's digits, if an authority has one.
fn port_of(authority: &str) -> Option<&str> {
    let (host, port) = authority.rsplit_once(':')?;
    (!host.starts_with('[') || host.ends_with(']')).then_some(port)
}

/// The header fields, in order.
struct Fields<'h, 'b>(&'h [httparse::Header<'b>]);

struct Connection {
    close: bool,
    keep_alive: bool,
}

impl<'b> Fields<'_, 'b> {
    /// Every value of a field, trimmed.
    fn values(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.0
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value.trim_ascii())
    }

    fn single(&self, name: &str) -> Result<Option<&'b [u8]>, &'static str> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err("a field that may come once comes twice"),
            (first, None) => Ok(first),
        }
    }

    fn joined(&self, name: &str) -> Option<String> {
        self.values(name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .reduce(|joined, value| joined + ", " + &value)
    }

    /// RFC 9110 section 7.6.1. A connection option that names a field makes the next hop drop it,
    /// so it may not name one that we judge by.
    fn connection(&self) -> Result<Connection, &'static str> {
        let mut connection = Connection { close: false, keep_alive: false };
        for option in self.values("connection").flat_map(|value| value.split(|&b| b == b',')) {
            let is = |name: &str| option.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
            if is("host") || is("content-length") || is("transfer-encoding") {
                return Err("Connection takes away a field that decides");
            }
            connection.close |= is("close");
            connection.keep_alive |= is("keep-alive");
        }
        Ok(connection)
    }

    /// RFC 9112 section 6.3, without the choices that it leaves.
    fn body(&self, minor_version: u8) -> Result<Body, &'static str> {
        let length = self.single("content-length")?;
        match (self.single("transfer-encoding")?, length) {
            (Some(_), Some(_)) => Err("both Transfer-Encoding and Content-Length"),
            (Some(_), None) if minor_version == 0 => Err("Transfer-Encoding in HTTP/1.0"),
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Body::chunked()),
            (Some(_), None) => Err("Transfer-Encoding is not chunked alone"),
            (None, Some(digits)) => Ok(Body::length(decimal(digits)?)),
            (None, None) => Ok(Body::None),
        }
    }
}

pub(super) fn decimal(digits: &[u8]) -> Result<u64, &'static str> {
    const BAD: &str = "Content-Length is not a number";
    if digits.is_empty() {
        return Err(BAD);
    }
    digits.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'9' => value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(digit - b'0')))
            .ok_or("Content-Length is too large"),
        _ => Err(BAD),
    })
}
