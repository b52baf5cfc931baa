//! Where the running kernel's structures have the fields that the packet hook reads: from its own
//! type information (BTF).
//!
//! An own reader of one format, since the libraries build an index of all types: 10 ms of each run
//! for three numbers.

use std::{collections::HashMap, fs};

const BTF: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
const KIND_STRUCT: u32 = 4;

/// Offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// `head` of `struct sk_buff`.
    pub(super) skb_head: u32,
    /// `end` of `struct sk_buff`.
    pub(super) skb_end: u32,
    /// `flags` of `struct skb_shared_info`.
    pub(super) shared_flags: u32,
}

impl Layout {
    /// The running kernel's; none when it does not tell.
    pub(super) fn of_kernel() -> Option<Self> {
        Self::read(&fs::read(BTF).ok()?)
    }

    fn read(btf: &[u8]) -> Option<Self> {
        let mut found = HashMap::new();
        structs(btf, &["sk_buff", "skb_shared_info"], |name, member, bytes| {
            found.insert((name.to_owned(), member.to_owned()), bytes);
        })?;
        let at =
            |name: &str, member: &str| found.get(&(name.to_owned(), member.to_owned())).copied();
        Some(Self {
            skb_head: at("sk_buff", "head")?,
            skb_end: at("sk_buff", "end")?,
            shared_flags: at("skb_shared_info", "flags")?,
        })
    }
}

/// Tells of every named member of these structures, with its offset.
fn structs(btf: &[u8], wanted: &[&str], mut tell: impl FnMut(&str, &str, u32)) -> Option<()> {
    let header = word(btf, 4)? as usize;
    if u16::from_ne_bytes(*btf.first_chunk()?) != MAGIC {
        return None;
    }
    let section = |offset_at, length_at| {
        let start = header.checked_add(word(btf, offset_at)? as usize)?;
        btf.get(start..)?.get(..word(btf, length_at)? as usize)
    };
    let (types, strings) = (section(8, 12)?, section(16, 20)?);
    let text = |at: u32| strings.get(at as usize..)?.split(|byte| *byte == 0).next();
    let names: Vec<&[u8]> = wanted.iter().map(|name| name.as_bytes()).collect();
    let mut at = 0;
    while at < types.len() {
        let (name, info) = (word(types, at)?, word(types, at + 4)?);
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        let (members, bit_fields) = (at + 12, info >> 31 == 1);
        if kind == KIND_STRUCT
            && let Some(index) = names.iter().position(|wanted| text(name) == Some(*wanted))
        {
            for member in 0..count {
                let (name, place) =
                    (word(types, members + member * 12)?, word(types, members + member * 12 + 8)?);
                let bits = if bit_fields { place & 0x00ff_ffff } else { place };
                let name = text(name).and_then(|name| str::from_utf8(name).ok());
                if let (Some(name), Some(of)) = (name, wanted.get(index)) {
                    tell(of, name, bits / 8);
                }
            }
        }
        at = members + extra(kind, count)?;
    }
    Some(())
}

/// Bytes behind a type's first twelve (Documentation/bpf/btf.rst, "Type Encoding").
fn extra(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG
        2 | 7..=12 | 16 | 18 => 0,
        // INT, VAR, DECL_TAG
        1 | 14 | 17 => 4,
        // ARRAY
        3 => 12,
        // STRUCT, UNION, DATASEC, ENUM64
        4 | 5 | 15 | 19 => count * 12,
        // ENUM, FUNC_PROTO
        6 | 13 => count * 8,
        _ => return None,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_running_kernel() {
        // Where a kernel has no type information there is nothing to read.
        if fs::metadata(BTF).is_err() {
            return;
        }
        let layout = Layout::of_kernel().unwrap();
        // `head` and `end` stand at the end of a structure of at least 200 bytes.
        assert!(layout.skb_head > 100 && layout.skb_end > 100, "{layout:?}");
        assert!(layout.skb_head.abs_diff(layout.skb_end) <= 8, "{layout:?}");
    }

    #[test]
    fn garbage_is_no_layout() {
        for bytes in [&b""[..], &[0xff; 64], &[0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(Layout::read(bytes), None);
        }
    }
}
