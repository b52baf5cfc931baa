//! Loading the kernel object and attaching its programs.

use std::{
    fs,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use aya::{Ebpf, EbpfLoader, maps::Map, programs::Program};
use egress_common::abi::{self, ProgramSpec, capacity, global, map};

use super::{
    abi::UnverifiedPin, detach::detach_pinned, error::KernelError, layout::Layout, map_set::MapSet,
    verify::load_all,
};
use crate::sys;

/// The built kernel side (docs/kernel-build.md).
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../egress-ebpf/egress.bpf.o");

/// The loaded object, its programs not yet attached.
pub struct Loaded {
    ebpf: Ebpf,
    chooses_errno: bool,
    judges_hellos: bool,
    /// How many there is room for.
    sandboxes: u32,
}

/// The loaded programs.
pub struct Programs {
    programs: Vec<(&'static ProgramSpec, OwnedFd)>,
    /// The map of what they hold back.
    unverified: OwnedFd,
    /// A map whose records are of another size.
    barrier: OwnedFd,
}

/// Which helpers the programs use: 1 or 0.
#[derive(Clone, Copy)]
struct Form {
    set_retval: u8,
    bpf_loop: u8,
    first_line: u8,
}

/// The first version of Linux on whose verifier the packet hook is tried with the reading of first lines. That of 6.1
/// gives up after a million instructions.
const FIRST_LINE_SINCE: (u32, u32) = (6, 6);

/// Major and minor; (0, 0) where they cannot be read.
fn kernel_version() -> (u32, u32) {
    let Ok(name) = nix::sys::utsname::uname() else { return (0, 0) };
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => (0, 0),
    }
}

/// Links that hold the programs at a cgroup; closing them and removing their pins detaches.
#[derive(Debug)]
pub struct Attached {
    links: Vec<OwnedFd>,
    pins: PathBuf,
}

impl Loaded {
    /// Loads every program. Where the kernel refuses `bpf_set_retval` (before 5.18) or `bpf_loop`
    /// (before 5.17), a form without it is loaded: refused socket types answer EPERM then instead of
    /// EPROTONOSUPPORT.
    ///
    /// # Errors
    /// When a program does not load; all of them are required.
    pub fn load() -> Result<Self, KernelError> {
        Self::load_for(1)
    }

    /// The same, with room for so many sandboxes at once, at most [`capacity::SANDBOXES`]: each has the
    /// same room, and none can take another's.
    ///
    /// # Errors
    /// As [`Loaded::load`].
    pub fn load_for(sandboxes: u32) -> Result<Self, KernelError> {
        let sandboxes = sandboxes.clamp(1, capacity::SANDBOXES);
        let layout = Layout::of_kernel();
        let first_line = u8::from(kernel_version() >= FIRST_LINE_SINCE);
        let mut form = Form { set_retval: 1, bpf_loop: 1, first_line };
        loop {
            match Self::load_form(form, layout, sandboxes) {
                Err(KernelError::Load { program: "egress_create", .. }) if form.set_retval == 1 => {
                    form.set_retval = 0;
                }
                Err(KernelError::Load { program: "egress_packet", .. }) if form.first_line == 1 => {
                    form.first_line = 0;
                }
                Err(KernelError::Load { program: "egress_packet", .. }) if form.bpf_loop == 1 => {
                    form.bpf_loop = 0;
                }
                other => return other,
            }
        }
    }

    fn load_form(form: Form, layout: Option<Layout>, sandboxes: u32) -> Result<Self, KernelError> {
        // Without it the hook takes every packet for one that a program can change.
        let at = layout.unwrap_or(Layout { skb_head: 0, skb_end: 0, shared_flags: 0 });
        let mut loader = EbpfLoader::new();
        for (map, each) in capacity::EACH {
            loader.map_max_entries(map, each.saturating_mul(sandboxes));
        }
        let mut ebpf = loader
            // No type relocations are in the object.
            .btf(None)
            .override_global(global::HAVE_SET_RETVAL, &form.set_retval, true)
            .override_global(global::HAVE_LOOP, &form.bpf_loop, true)
            .override_global(global::FOLLOWS_LINES, &form.first_line, true)
            .override_global(global::SKB_HEAD, &at.skb_head, true)
            .override_global(global::SKB_END, &at.skb_end, true)
            .override_global(global::SHARED_FLAGS, &at.shared_flags, true)
            .load(OBJECT)
            .map_err(|error| KernelError::Object(Box::new(error)))?;
        load_all(&mut ebpf)?;
        Ok(Self {
            ebpf,
            chooses_errno: form.set_retval == 1,
            judges_hellos: layout.is_some(),
            sandboxes,
        })
    }

    /// Whether the kernel has `bpf_set_retval`, so that each refusal has the errno that fits it;
    /// without it all of them are EPERM.
    pub fn chooses_errno(&self) -> bool {
        self.chooses_errno
    }

    /// Whether the packet hook can judge a TLS hello: it has to see pages that a program shares with
    /// a packet, for which the kernel must tell its types (`CONFIG_DEBUG_INFO_BTF`).
    pub fn judges_hellos(&self) -> bool {
        self.judges_hellos
    }

    /// The programs, to be attached at any number of cgroups, and the maps that they share.
    ///
    /// # Errors
    /// When a program or a map is not as it should be.
    pub fn take(mut self) -> Result<(Programs, MapSet), KernelError> {
        let duplicate = |descriptor: BorrowedFd<'_>| {
            descriptor
                .try_clone_to_owned()
                .map_err(|source| KernelError::System { what: "keep a program", source })
        };
        let hash_map = |name| match self.ebpf.map(name) {
            Some(Map::HashMap(map)) => duplicate(map.fd().as_fd()),
            _ => Err(KernelError::Missing { program: name }),
        };
        let (unverified, barrier) = (hash_map(map::UNVERIFIED)?, hash_map(map::DEVICES)?);
        let mut programs = Vec::with_capacity(abi::PROGRAMS.len());
        for spec in abi::PROGRAMS {
            let descriptor =
                program(&mut self.ebpf, spec)?.fd().map_err(|source| KernelError::Load {
                    program: spec.name,
                    enforces: spec.enforces,
                    source: Box::new(source.into()),
                })?;
            programs.push((spec, duplicate(descriptor.as_fd())?));
        }
        let maps = MapSet::of(&mut self.ebpf, self.judges_hellos, self.sandboxes)?;
        Ok((Programs { programs, unverified, barrier }, maps))
    }
}

impl Programs {
    /// Attaches everything at the cgroup of the sandbox with this id, and pins the links below `pins`. What
    /// they hold back of its connections is ended before they go.
    ///
    /// # Errors
    /// When anything cannot be attached or pinned; what was attached until then is detached.
    pub fn attach(
        &self,
        sandbox: u64,
        cgroup: &Path,
        pins: &Path,
    ) -> Result<Attached, KernelError> {
        let directory = fs::File::open(cgroup)
            .map_err(|source| KernelError::System { what: "open the sandbox's cgroup", source })?;
        fs::create_dir(pins).map_err(|source| KernelError::System {
            what: "make the sandbox's directory of pins",
            source,
        })?;
        let mut attached = Attached { links: Vec::new(), pins: pins.to_owned() };
        // First: without it nobody knows what the programs hold back.
        let pinned = [
            (&self.barrier, UnverifiedPin::barrier(pins)),
            (&self.unverified, UnverifiedPin::new(pins, sandbox).path),
        ];
        for (object, path) in pinned {
            sys::bpf::object_pin(object.as_fd(), &path).map_err(|source| KernelError::Pin {
                program: map::UNVERIFIED,
                path,
                source,
            })?;
        }
        for (spec, descriptor) in &self.programs {
            let link =
                sys::bpf::link_create(descriptor.as_fd(), directory.as_fd(), spec.attach_type)
                    .map_err(|source| KernelError::Attach {
                        program: spec.name,
                        cgroup: cgroup.to_owned(),
                        source,
                    })?;
            let path = pins.join(spec.name);
            sys::bpf::object_pin(link.as_fd(), &path).map_err(|source| KernelError::Pin {
                program: spec.name,
                path,
                source,
            })?;
            attached.links.push(link);
        }
        Ok(attached)
    }
}

impl Attached {
    /// Lets the programs hold on after this process, by their pins alone: for a cgroup in which
    /// something still lives. The next run that finds it empty removes them.
    pub fn leave(&mut self) {
        self.pins = PathBuf::new();
    }
}

impl Drop for Attached {
    /// Detaches, unless connections hold something back that would leave then: by the time this runs,
    /// nothing is left in the cgroup.
    fn drop(&mut self) {
        if !self.pins.as_os_str().is_empty() {
            // Where it cannot be yet, the next run tries again.
            let _ = detach_pinned(&self.pins);
        }
        self.links.clear();
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, spec: &ProgramSpec) -> Result<&'a mut Program, KernelError> {
    ebpf.program_mut(spec.name).ok_or(KernelError::Missing { program: spec.name })
}
