//! Paths of HTTP requests, and whether a rule's prefix covers them.
//!
//! A server may read a path in another way than it is written: it may decode `%2e%2e`, take `\` for
//! `/`, drop what follows a `;`, or decode twice. A path that two servers could read as two
//! different places matches no prefix at all.

/// Whether one of the prefixes covers the path of a request.
///
/// A prefix ends on a segment's boundary: `/a/b` covers `/a/b`, `/a/b/c` and `/a/b?q`, not `/a/bc`;
/// `/a/` covers all below `/a/`, not `/a`.
pub(super) fn is_covered(prefixes: &[Box<str>], target: &str) -> bool {
    let path = without_query(target);
    !is_ambiguous(path) && prefixes.iter().any(|prefix| covers(prefix, path))
}

/// The path alone.
pub(super) fn without_query(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or_default()
}

fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// Whether servers may disagree on what the path names.
pub(super) fn is_ambiguous(path: &str) -> bool {
    !path.starts_with('/')
        || !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        || path.split('/').skip(1).any(is_ambiguous_segment)
}

fn is_ambiguous_segment(segment: &str) -> bool {
    // Some servers cut parameters off before they look for dots: `..;x` is `..` to them.
    let Some(decoded) = decode(segment) else { return true };
    let name = decoded.split(|&byte| byte == b';').next().unwrap_or_default();
    matches!(name, b"." | b"..")
}

/// The bytes of a segment; none where an escape is bad, or where decoding it (once, or again)
/// would change how the path is cut into segments.
fn decode(segment: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        let byte = high << 4 | low;
        if matches!(byte, b'/' | b'\\' | b'%') || byte.is_ascii_control() {
            return None;
        }
        bytes.push(byte);
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(prefix: &str, path: &str) -> bool {
        is_covered(&[prefix.into()], path)
    }

    #[test]
    fn a_prefix_ends_between_segments() {
        for (prefix, path, expected) in [
            ("/openai/codex", "/openai/codex", true),
            ("/openai/codex", "/openai/codex/", true),
            ("/openai/codex", "/openai/codex/contents/%2Egitignore", true),
            ("/openai/codex", "/openai/codex?ref=../x", true),
            ("/openai/codex", "/openai/codexevil", false),
            ("/openai/codex", "/openai/Codex", false),
            ("/openai/codex", "/openai", false),
            ("/openai/codex", "/x/openai/codex", false),
            ("/openai/", "/openai/codex", true),
            ("/openai/", "/openai/", true),
            ("/openai/", "/openai", false),
            ("/", "/", true),
            ("/", "/anything", true),
            ("/", "", false),
            ("/", "*", false),
            ("/", "openai", false),
        ] {
            assert_eq!(covered(prefix, path), expected, "{prefix} {path}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_covered_by_nothing() {
        for path in [
            "/a/../b",
            "/a/./b",
            "/a/..",
            "/a/.",
            "/a/%2e%2e/b",
            "/a/%2E%2e/b",
            "/a/.%2e/b",
            "/a/%2e",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a%5Cb",
            "/a\\b",
            "/a%252e",
            "/a%25",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%2x",
            "/a%+1",
            "/a/..;/b",
            "/a/..;x=1/b",
            "/a/.;/b",
            "/a/%2e%2e;/b",
            "/a/..%3b/b",
            "/a%00",
            "/a%0d%0a",
            "/a\u{e9}",
            "/a b",
            "/a\tb",
            "/a\0b",
        ] {
            assert!(!covered("/", path), "{path}");
        }
        for path in ["/a/...", "/a/..b", "/a/.b", "/a;v=1/b", "/a%20b", "/a%c3%a9", "/a//b"] {
            assert!(covered("/", path), "{path}");
        }
    }
}
