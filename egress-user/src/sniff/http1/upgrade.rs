//! Taking an upgrade out of a request.

/// A judged head without its offer to upgrade, for requests whose tunnel may not open: h2c, whose
/// later requests nobody would judge, and requests behind the first, whose response can't be told
/// apart. Upgrade is hop by hop and an offer (RFC 9110 section 7.8), so the server answers in
/// HTTP/1 as if it did not know the protocol. The caller then calls
/// [`super::RequestStream::resume`] as soon as it is asked to await the response.
pub fn without_upgrade(head: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(head.len());
    for line in head.split_inclusive(|&b| b == b'\n') {
        let (name, value) = match line.iter().position(|&b| b == b':') {
            Some(colon) => line.split_at_checked(colon).unwrap_or((line, &[])),
            None => (line, &[][..]),
        };
        if name.eq_ignore_ascii_case(b"upgrade") || name.eq_ignore_ascii_case(b"http2-settings") {
            continue;
        }
        if !name.eq_ignore_ascii_case(b"connection") {
            kept.extend_from_slice(line);
            continue;
        }
        let options: Vec<&[u8]> = value
            .strip_prefix(b":")
            .unwrap_or(value)
            .split(|&b| b == b',')
            .map(<[u8]>::trim_ascii)
            .filter(|option| !option.is_empty())
            .filter(|option| !option.eq_ignore_ascii_case(b"upgrade"))
            .filter(|option| !option.eq_ignore_ascii_case(b"http2-settings"))
            .collect();
        if !options.is_empty() {
            kept.extend_from_slice(b"Connection: ");
            kept.extend_from_slice(&options.join(&b", "[..]));
            kept.extend_from_slice(b"\r\n");
        }
    }
    kept
}
