//! Other paths to what is hidden in a directory: the host may have mounted it, or something of it, or
//! the directory that it lies in, a second time.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::host::{Mount, mount_at, mounts};

/// Where it is to be found besides.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// Paths to the whole directory.
    pub(super) whole: BTreeSet<PathBuf>,
    /// Paths to what is hidden of it, or to something of that.
    pub(super) parts: BTreeSet<PathBuf>,
}

/// A directory or file, as the mount table names it.
struct Tree<'a> {
    mount: &'a Mount,
    /// In its file system.
    root: PathBuf,
    /// By the path that leads to it.
    path: &'a Path,
}

impl Elsewhere {
    /// The other paths to `directory`, of which `is_hidden` says by their names what is hidden.
    ///
    /// # Errors
    /// When the mount table cannot be read.
    pub(super) fn of(directory: &Path, is_hidden: impl Fn(&Path) -> bool) -> io::Result<Self> {
        let table = mounts()?;
        let hides = |path: &Path, below: &Path| {
            let rest = path.strip_prefix(below).ok();
            rest.and_then(|rest| rest.iter().next()).is_some_and(|name| is_hidden(Path::new(name)))
        };
        let id = mount_at(directory)?;
        let Some(holder) = table.iter().find(|mount| Some(mount.id) == id) else {
            return Ok(Self::default());
        };
        let Ok(rest) = directory.strip_prefix(&holder.point) else { return Ok(Self::default()) };
        let whole = Tree { mount: holder, root: below(&holder.root, rest), path: directory };

        let mut found = Self { whole: whole.other_paths(&table), parts: BTreeSet::new() };
        let of_whole = table.iter().filter(|mount| mount.device == holder.device);
        let parts = of_whole.filter(|mount| hides(Path::new(&mount.root), &whole.root));
        found.parts.extend(parts.map(|mount| mount.point.clone()));
        // File systems of their own, such as /run/user/UID.
        for mount in table.iter().filter(|mount| hides(&mount.point, directory)) {
            let tree = Tree { mount, root: PathBuf::from(&mount.root), path: &mount.point };
            found.parts.extend(tree.other_paths(&table));
            let inside = table.iter().filter(|other| {
                other.device == mount.device && Path::new(&other.root).starts_with(&tree.root)
            });
            found.parts.extend(inside.map(|other| other.point.clone()));
        }
        found.parts.retain(|path| !hides(path, directory));
        Ok(found)
    }
}

impl Tree<'_> {
    /// By every mount of the same file system that shows it or what it lies in.
    fn other_paths(&self, table: &[Mount]) -> BTreeSet<PathBuf> {
        let candidates = table.iter().filter(|mount| mount.device == self.mount.device);
        let candidates = candidates.filter_map(|mount| {
            Some(below(&mount.point, self.root.strip_prefix(&mount.root).ok()?))
        });
        // Others may lie over them.
        candidates.filter(|path| path != self.path && is_same(path, self.path)).collect()
    }
}

/// Without the slash that joining nothing would add.
fn below(directory: impl AsRef<Path>, rest: &Path) -> PathBuf {
    let directory = directory.as_ref();
    if rest.as_os_str().is_empty() { directory.to_owned() } else { directory.join(rest) }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path| fs::symlink_metadata(path).map(|data| (data.dev(), data.ino())).ok();
    id(one).is_some_and(|one| id(other) == Some(one))
}
