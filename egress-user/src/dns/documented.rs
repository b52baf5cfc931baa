//! The figures in docs/dns.md and docs/dns-upstream.md are those of the code.

use std::{fs, path::Path};

use super::{
    IDLE, MAX_CONNECTIONS, MAX_QUERIES, NAME_BYTES_AT_ONCE, NAME_BYTES_PER_MINUTE, QUERIES_AT_ONCE,
    QUERIES_PER_SECOND, REFUSALS_AT_ONCE, REFUSALS_PER_SECOND,
    upstream::{MAX_ADDRESSES, MAX_CHAIN, figures},
};
use crate::pins::{MAX_ADDRESSES_A_NAME, MAX_PINS};

/// Each of the texts is in the document.
fn says(document: &str, texts: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(document);
    // Where a line ends does not matter.
    let text = fs::read_to_string(path).unwrap().replace('\n', " ");
    for wanted in texts {
        assert!(text.contains(wanted), "docs/{document} does not say: {wanted}");
    }
}

#[test]
fn what_a_sandbox_is_limited_to() {
    let kib = |bytes: u32| bytes >> 10;
    says(
        "dns.md",
        &[
            format!(
                "| queries | {QUERIES_PER_SECOND} a second for long, {QUERIES_AT_ONCE} at once |"
            ),
            format!(
                "| refusals of those | {REFUSALS_PER_SECOND} a second, {REFUSALS_AT_ONCE} at once |"
            ),
            format!("| queries being answered | {MAX_QUERIES} |"),
            format!("| TCP connections | {MAX_CONNECTIONS}, of {} s idle each |", IDLE.as_secs()),
            format!(
                "(public suffix list) | {} KiB a minute, {} KiB at once |",
                kib(NAME_BYTES_PER_MINUTE),
                kib(NAME_BYTES_AT_ONCE)
            ),
            format!("| live pins | {MAX_PINS}, {MAX_ADDRESSES_A_NAME} of one name |"),
            format!("| addresses of one answer | {MAX_ADDRESSES} |"),
        ],
    );
}

#[test]
fn what_is_shared_and_kept_and_for_how_long() {
    assert_eq!(figures::SAME_LOOKUP.as_millis(), 500);
    assert_eq!(crate::pins::SAME_NS, 500_000_000);
    says(
        "dns-upstream.md",
        &[
            "| any answer about addresses | half a second at least, with a TTL of 0 too".to_owned(),
            "would give a pin half a second more, or less, leaves it as it is".to_owned(),
            "One lookup serves all who ask at the same time, in all sandboxes".to_owned(),
            format!("by at most {MAX_CHAIN} aliases"),
            format!("without an SOA {} s at most |", figures::MAX_HALF),
            format!("(RFC 2308), {} minutes at most;", figures::MAX_NEGATIVE / 60),
            format!("| failure, no answer in time | {} s (RFC 9520) |", figures::FAILURE),
            format!("A cache takes about {} MiB of memory at most", figures::BUDGET >> 20),
        ],
    );
}
