//! The kernel side's reading of a hello against the proxy's: real ones, whole, cut short, and with
//! each byte changed.
use std::{fs, path::Path};

use crate::bodies::hello::agree;
use egress_common::{
    hello::{self, Finding, NAME_BYTES},
    records::{MAX_RECORDS, Records},
};
use proptest::prelude::*;

fn captured() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hello");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let hellos = files.filter(|path| path.extension().is_some_and(|kind| kind == "bin"));
    hellos
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        })
        .collect()
}

#[test]
fn real_hellos_are_read_alike() {
    let hellos = captured();
    assert!(hellos.len() >= 11);
    for (file, bytes) in hellos {
        agree(&bytes);
        let read = hello::read(&bytes).map(|(name, said)| {
            String::from_utf8(hello::bytes(&name)[..said.length as usize].to_vec()).unwrap()
        });
        // Nothing but these is left to the proxy.
        match file.as_str() {
            "two-records" => assert_eq!(read, Err(Finding::Unreadable)),
            "no-sni" => assert_eq!(read, Err(Finding::NoName)),
            "ip-sni" => assert_eq!(read.unwrap(), "192.0.2.7"),
            "trailing-dot" => assert_eq!(read.unwrap(), "dot.test"),
            _ => assert!(read.unwrap().ends_with(".test"), "{file}"),
        }
        for length in 1..bytes.len() {
            agree(&bytes[..length]);
            if length >= 5 && file != "two-records" {
                assert_eq!(hello::read(&bytes[..length]).unwrap_err(), Finding::Incomplete);
            }
        }
        for at in 0..bytes.len() {
            for change in [1, 0x20, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                agree(&changed);
            }
        }
    }
}

#[test]
fn names_are_lowered_as_ascii_is() {
    for byte in 0..=u8::MAX {
        let mut name = hello::words(&[byte; 9]);
        hello::lower(&mut name, 9);
        assert_eq!(name, hello::words(&[byte.to_ascii_lowercase(); 9]), "{byte}");
    }
}

#[test]
fn a_zero_behind_a_name_is_a_part_of_it() {
    let bytes =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hello/curl-openssl3.bin"));
    let mut bytes = bytes.unwrap();
    let at = bytes.windows(9).position(|window| window == b"curl.test").unwrap();
    let (name, plain) = hello::read(&bytes).unwrap();
    // The same number of bytes, the last of them zero.
    bytes[at + 8] = 0;
    let (shorter, said) = hello::read(&bytes).unwrap();
    assert_eq!((plain.length, said.length), (9, 9));
    assert_ne!(name, shorter);
    assert_eq!(shorter, hello::words(b"curl.tes"), "only the length tells them apart");
    assert_eq!(hello::bytes(&shorter).len(), NAME_BYTES);
}

proptest! {
    #[test]
    fn pieces_of_hellos_put_together_are_read_alike(
        file in 0..captured().len(),
        cut in 0usize..600,
        put in prop::collection::vec(any::<u8>(), 0..12),
        drop in 0usize..12,
    ) {
        let (_, bytes) = captured().swap_remove(file);
        let cut = cut.min(bytes.len());
        let rest = (cut + drop).min(bytes.len());
        agree(&[&bytes[..cut], &put, &bytes[rest..]].concat());
    }
}

proptest! {
    /// The kernel side's walk over what stands around a hello, against the records that were put there.
    #[test]
    fn records_are_walked_to_the_first_handshake(
        records in prop::collection::vec((20_u8..=24, 0_usize..90), 0..12),
        cut in 0_usize..60,
    ) {
        // Behind the packet's headers: no record begins at 0.
        const START: usize = 40;
        let mut bytes = vec![0; START];
        let (mut hello, mut unknown) = (None, None);
        for (kind, length) in records {
            if hello.is_none() && unknown.is_none() {
                unknown = (kind == 24).then_some(bytes.len());
                hello = (kind == 22).then_some(bytes.len());
            }
            bytes.extend([kind, 3, 3, 0, u8::try_from(length).unwrap()]);
            bytes.resize(bytes.len() + length, 0);
        }
        let whole = bytes.len();
        bytes.truncate(whole.saturating_sub(cut).max(START));
        let end = bytes.len();
        let mut walk = Records::new(40, u32::try_from(end).unwrap());
        let mut steps = 0;
        while steps < MAX_RECORDS && walk.step(&&bytes[..]) {
            steps += 1;
        }
        let is_behind = |record: Option<usize>| record.is_none_or(|at| at >= end);
        match walk.finish() {
            Ok((Some(at), _)) => prop_assert_eq!(Some(at as usize), hello),
            // Nothing that begins in what is there was passed over.
            Ok((None, next)) => {
                prop_assert!(next as usize >= end && next as usize <= whole && is_behind(unknown) || end == START);
                prop_assert!(is_behind(hello));
            }
            Err(Finding::Incomplete) => prop_assert!(end < whole),
            Err(Finding::Malformed) => prop_assert!(!is_behind(unknown)),
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }
}
