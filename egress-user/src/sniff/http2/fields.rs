//! The fields of a request (RFC 9113 section 8): the facts to judge, and what none may have.
use loona_hpack::Decoder;

use super::TABLE_LIMIT_BYTES;
use crate::sniff::http1::{
    HEADER_LIMIT, RequestHead, TargetForm,
    head::{authority_text, names_same, reads_differently},
    is_token,
};

/// Most bytes of all names and values of a section: one byte can stand for a long field.
const LIST_LIMIT_BYTES: usize = 64 * 1024;

/// The client's table of fields.
pub(super) struct Fields {
    decoder: Decoder<'static>,
}

/// What matters of a section.
#[derive(Default)]
struct Seen {
    method: Option<Vec<u8>>,
    scheme: Option<Vec<u8>>,
    path: Option<Vec<u8>>,
    authority: Option<Vec<u8>>,
    host: Option<Vec<u8>>,
    has_pseudo: bool,
    has_regular: bool,
    fields: usize,
    bytes: usize,
    bad: Option<&'static str>,
}

impl Fields {
    pub(super) fn new() -> Self {
        let mut decoder = Decoder::new();
        decoder.set_max_allowed_table_size(TABLE_LIMIT_BYTES);
        Self { decoder }
    }

    fn read(&mut self, block: &[u8]) -> Result<Seen, &'static str> {
        let mut seen = Seen::default();
        self.decoder
            .decode_with_cb(block, |name, value| seen.field(&name, &value))
            .map_err(|_| "a field section that cannot be read")?;
        match seen.bad {
            Some(why) => Err(why),
            None => Ok(seen),
        }
    }

    /// Reads what comes behind a request's body.
    pub(super) fn trailers(&mut self, block: &[u8]) -> Result<(), &'static str> {
        let seen = self.read(block)?;
        if seen.has_pseudo || seen.host.is_some() {
            return Err("a request on a stream that has had one");
        }
        Ok(())
    }

    /// Reads a request.
    pub(super) fn request(&mut self, block: &[u8]) -> Result<RequestHead, &'static str> {
        let seen = self.read(block)?;
        let method = seen.method.filter(|method| is_token(method)).ok_or("no good :method")?;
        let method = String::from_utf8_lossy(&method).into_owned();
        let authority = seen.authority.as_deref().map(authority_text).transpose()?;
        let host = seen.host.as_deref().map(authority_text).transpose()?;
        if let (Some(authority), Some(host)) = (&authority, &host)
            && !names_same(TargetForm::Absolute, authority, host)
        {
            return Err(":authority and Host header differ");
        }
        let (target, path) = if method.eq_ignore_ascii_case("CONNECT") {
            // Refused, whatever it names.
            (TargetForm::Authority, String::new())
        } else {
            let scheme = seen.scheme.unwrap_or_default();
            if !matches!(&*scheme, b"http" | b"https") {
                return Err("no good :scheme");
            }
            let path = seen.path.unwrap_or_default();
            let target = match &*path {
                b"*" if method == "OPTIONS" => TargetForm::Asterisk,
                [b'/', rest @ ..] if rest.iter().all(is_of_path) && !reads_differently(rest) => {
                    TargetForm::Origin
                }
                _ => return Err("no good :path"),
            };
            (target, String::from_utf8_lossy(&path).into_owned())
        };
        Ok(RequestHead {
            method,
            target,
            host: authority.or(host),
            path,
            upgrade: None,
            expects_continue: false,
            minor_version: 1,
            is_last: false,
        })
    }
}

/// What a server would find in a path of HTTP/1 as well.
fn is_of_path(byte: &u8) -> bool {
    (byte.is_ascii_graphic() || !byte.is_ascii()) && *byte != b'#'
}

impl Seen {
    fn field(&mut self, name: &[u8], value: &[u8]) {
        self.fields += 1;
        self.bytes = self.bytes.saturating_add(name.len() + value.len());
        let checked = if self.fields > HEADER_LIMIT || self.bytes > LIST_LIMIT_BYTES {
            Err("too many fields")
        } else {
            self.check(name, value)
        };
        if let Err(why) = checked {
            self.bad.get_or_insert(why);
        }
    }

    fn check(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        // What would end a line, were the request sent on as HTTP/1.
        if value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
            return Err("a field's value holds a line's end");
        }
        let place = match name {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":path" => &mut self.path,
            b":authority" => &mut self.authority,
            b"host" => &mut self.host,
            b":protocol" => return Err("extended CONNECT (RFC 8441)"),
            [b':', ..] => return Err("an unknown pseudo-field"),
            _ => return self.check_other(name, value),
        };
        if place.replace(value.to_vec()).is_some() {
            return Err("a field that may come once comes twice");
        }
        if name != b"host" {
            self.has_pseudo = true;
            if self.has_regular {
                return Err("a pseudo-field behind others");
            }
        } else {
            self.has_regular = true;
        }
        Ok(())
    }

    /// RFC 9113 section 8.2.
    fn check_other(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        self.has_regular = true;
        if !is_token(name) || name.iter().any(u8::is_ascii_uppercase) {
            return Err("a field's name is no lower-case token");
        }
        match name {
            b"connection" | b"proxy-connection" | b"keep-alive" | b"transfer-encoding"
            | b"upgrade" => Err("a field of HTTP/1 connections"),
            b"te" if !value.eq_ignore_ascii_case(b"trailers") => {
                Err("a field of HTTP/1 connections")
            }
            _ => Ok(()),
        }
    }
}
