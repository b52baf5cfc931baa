//! What a run leaves pinned for whoever comes after it: the map of connections that its programs hold
//! something back of. The name of the pin tells which sandbox it is about and by which version of the
//! contract it is to be read, so that another version's is told from one's own and never misread.

use std::{
    fs,
    path::{Path, PathBuf},
};

use egress_common::abi::ABI_VERSION;

/// What the names of these pins begin with: as versions before [`FIRST_NAMED`] called the map. Never to be
/// changed, as each version looks for it.
const PIN: &str = "HELD";

/// A pinned map of connections that are not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnverifiedPin {
    /// Where it is pinned.
    pub(super) path: PathBuf,
    /// Of the run that pinned it.
    pub(super) version: u32,
    /// Of the connections that are to be ended before its programs go; the others are other sandboxes'.
    pub(super) sandbox: u64,
}

/// Versions before this one pinned the map of one sandbox, under [`PIN`] alone.
const FIRST_NAMED: u32 = 7;

impl UnverifiedPin {
    /// That of a sandbox of this process.
    pub(super) fn new(directory: &Path, sandbox: u64) -> Self {
        let name = format!("{}-{ABI_VERSION}-{sandbox}", PIN);
        Self { path: directory.join(name), version: ABI_VERSION, sandbox }
    }

    /// The one of a directory of pins; none where the run died before it pinned anything.
    pub(super) fn find(directory: &Path) -> Option<Self> {
        let entries = fs::read_dir(directory).ok()?;
        let pins = entries.flatten().filter_map(|entry| Self::parse(&entry.path()));
        // Beside that of this process stands what is for others' eyes: `barrier`.
        pins.max_by_key(|pin| pin.version)
    }

    /// Where versions before [`FIRST_NAMED`] look for their map. Without anything there they take a dead run
    /// for one that held nothing back, and let it leave; what is there and is no such map makes them leave
    /// everything alone.
    pub(super) fn barrier(directory: &Path) -> PathBuf {
        directory.join(PIN)
    }

    fn parse(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        if name == PIN {
            return Some(Self { path: path.to_owned(), version: FIRST_NAMED - 1, sandbox: 0 });
        }
        let (version, sandbox) = name.strip_prefix(PIN)?.strip_prefix('-')?.split_once('-')?;
        let (version, sandbox) = (version.parse().ok()?, sandbox.parse().ok()?);
        Some(Self { path: path.to_owned(), version, sandbox })
    }

    /// Whether this build reads its records.
    pub(super) fn is_readable(&self) -> bool {
        self.version == ABI_VERSION
    }
}

const _: () = assert!(ABI_VERSION >= FIRST_NAMED);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{ABI_VERSION, UnverifiedPin};

    #[test]
    fn a_pin_tells_its_version_and_sandbox() {
        let ours = UnverifiedPin::new(Path::new("/pins"), 4711);
        assert_eq!(UnverifiedPin::parse(&ours.path), Some(ours.clone()));
        assert!(ours.is_readable());
        assert_eq!((ours.version, ours.sandbox), (ABI_VERSION, 4711));
    }

    #[test]
    fn what_keeps_older_versions_out_is_not_taken_for_their_map() {
        let directory = std::env::temp_dir().join(format!("egress-abi-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let ours = UnverifiedPin::new(&directory, 4711);
        std::fs::write(UnverifiedPin::barrier(&directory), "").expect("a file");
        std::fs::write(&ours.path, "").expect("a file");
        let found = UnverifiedPin::find(&directory);
        std::fs::remove_dir_all(&directory).expect("remove it");
        assert_eq!(found, Some(ours));
    }

    #[test]
    fn other_versions_are_told_apart() {
        let parse = |name: &str| UnverifiedPin::parse(&Path::new("/pins").join(name));
        let before = parse("HELD").expect("the name of before");
        assert!(!before.is_readable());
        let later = parse(&format!("HELD-{}-1", ABI_VERSION + 1)).expect("a later one");
        assert!(!later.is_readable());
        for other in ["egress_packet", "HELD-", "HELD-x-1", "HELD-7", "HELDER"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
