//! Loading the kernel object and attaching its programs.

use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    programs::{Program, ProgramError},
};
use egress_common::abi::{self, ProgramSpec};

use super::maps::Maps;
use crate::sys;

/// The built kernel side (docs/kernel-build.md).
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../egress-ebpf/egress.bpf.o");

/// Why the kernel side could not be put in place.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The object as a whole.
    #[error("load egress's kernel object{}", hint_object(.0))]
    Object(#[source] Box<EbpfError>),
    /// One program.
    #[error("load the program {program}, which enforces {enforces}")]
    Load {
        /// Its name.
        program: &'static str,
        /// What it is for.
        enforces: &'static str,
        /// What the kernel said.
        #[source]
        source: Box<Rejected>,
    },
    /// The object lacks a program of the table: object and binary do not belong together.
    #[error("the kernel object has no program {program}; rebuild it with `cargo xtask build-ebpf`")]
    Missing {
        /// Its name.
        program: &'static str,
    },
    /// Attaching.
    #[error("attach {program} to the cgroup {}", cgroup.display())]
    Attach {
        /// Program.
        program: &'static str,
        /// Cgroup directory.
        cgroup: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Pinning.
    #[error("pin the link of {program} at {}", path.display())]
    Pin {
        /// Program.
        program: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A map of the object.
    #[error("use the map {map}")]
    Map {
        /// Its name.
        map: &'static str,
        /// Why.
        #[source]
        source: Box<aya::maps::MapError>,
    },
    /// An address set of the policy does not fit the kernel's map.
    #[error("the policy's addresses do not fit the kernel's map of {}", abi::capacity::ADDRESSES)]
    PolicyTooLarge,
    /// A system call of the set-up.
    #[error("{what}")]
    System {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// What the kernel said of a program, without the hundreds of lines of the verifier's log.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// A right is missing.
    #[error(
        "not permitted: root with CAP_BPF and CAP_NET_ADMIN is needed, and a kernel whose lockdown \
         lets cgroup programs load (see /sys/kernel/security/lockdown)"
    )]
    NotPermitted,
    /// The verifier did not accept it.
    #[error(
        "the kernel's verifier refused it: {0}; please report this with the output of `uname -a`"
    )]
    Verifier(String),
    /// Something else.
    #[error(transparent)]
    Other(ProgramError),
}

impl From<ProgramError> for Rejected {
    fn from(error: ProgramError) -> Self {
        let ProgramError::LoadError { io_error, verifier_log } = &error else {
            return Self::Other(error);
        };
        if io_error.raw_os_error() == Some(libc::EPERM) {
            return Self::NotPermitted;
        }
        let log = verifier_log.to_string();
        tracing::debug!(%log, "verifier");
        // The last lines are statistics; the line before them says what was wrong.
        let statistics = ["processed ", "verification time", "stack depth", "mark_read"];
        let said = log
            .lines()
            .rev()
            .find(|line| !line.is_empty() && !statistics.iter().any(|word| line.starts_with(word)));
        Self::Verifier(format!("{io_error}: {}", said.unwrap_or("no reason given")))
    }
}

fn hint_object(error: &EbpfError) -> &'static str {
    match error {
        EbpfError::MapError(aya::maps::MapError::CreateError { io_error, .. })
            if io_error.raw_os_error() == Some(libc::EPERM) =>
        {
            ": not permitted; root with CAP_BPF is needed"
        }
        _ => "",
    }
}

/// The loaded object, its programs not yet attached.
pub struct Loaded {
    ebpf: Ebpf,
    chooses_errno: bool,
}

/// Links that hold the programs at a cgroup; closing them and removing their pins detaches.
#[derive(Debug)]
pub struct Attached {
    links: Vec<OwnedFd>,
    pins: PathBuf,
}

impl Loaded {
    /// Loads every program. Where the kernel refuses `bpf_set_retval` (before 5.18), a form
    /// without it is loaded: refused socket types answer EPERM then instead of EPROTONOSUPPORT.
    ///
    /// # Errors
    /// When a program does not load; all of them are required.
    pub fn load() -> Result<Self, KernelError> {
        match Self::load_with(1) {
            Err(KernelError::Load { program: "egress_create", .. }) => Self::load_with(0),
            other => other,
        }
    }

    fn load_with(have_set_retval: u8) -> Result<Self, KernelError> {
        let mut ebpf = EbpfLoader::new()
            // No type relocations are in the object: reading the kernel's types would cost 10 ms.
            .btf(None)
            .override_global(abi::global::HAVE_SET_RETVAL, &have_set_retval, true)
            .load(OBJECT)
            .map_err(|error| KernelError::Object(Box::new(error)))?;
        for spec in abi::PROGRAMS {
            load_program(program(&mut ebpf, spec)?).map_err(|source| KernelError::Load {
                program: spec.name,
                enforces: spec.enforces,
                source: Box::new(source.into()),
            })?;
        }
        Ok(Self { ebpf, chooses_errno: have_set_retval == 1 })
    }

    /// Whether the kernel has `bpf_set_retval`, so that each refusal has the errno that fits it;
    /// without it all of them are EPERM.
    pub fn chooses_errno(&self) -> bool {
        self.chooses_errno
    }

    /// Attaches everything at a cgroup, pins the links below `pins`, and hands out the maps.
    ///
    /// # Errors
    /// When anything cannot be attached or pinned; what was attached until then is detached.
    pub fn attach(mut self, cgroup: &Path, pins: &Path) -> Result<(Attached, Maps), KernelError> {
        let directory = fs::File::open(cgroup)
            .map_err(|source| KernelError::System { what: "open the sandbox's cgroup", source })?;
        fs::create_dir(pins).map_err(|source| KernelError::System {
            what: "make the sandbox's directory of pins",
            source,
        })?;
        let mut attached = Attached { links: Vec::new(), pins: pins.to_owned() };
        for spec in abi::PROGRAMS {
            let descriptor =
                program(&mut self.ebpf, spec)?.fd().map_err(|source| KernelError::Load {
                    program: spec.name,
                    enforces: spec.enforces,
                    source: Box::new(source.into()),
                })?;
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
        Ok((attached, Maps::take(&mut self.ebpf)?))
    }
}

impl Drop for Attached {
    /// Detaches: by the time this runs, nothing is left in the cgroup.
    fn drop(&mut self) {
        remove_pins(&self.pins);
        self.links.clear();
    }
}

/// Removes a sandbox's directory of pins; its programs are detached once nobody holds their links.
pub fn remove_pins(directory: &Path) {
    if let Ok(entries) = fs::read_dir(directory) {
        for entry in entries.flatten() {
            let _ = fs::remove_file(entry.path());
        }
        let _ = fs::remove_dir(directory);
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, spec: &ProgramSpec) -> Result<&'a mut Program, KernelError> {
    ebpf.program_mut(spec.name).ok_or(KernelError::Missing { program: spec.name })
}

fn load_program(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::CgroupSkb(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::CgroupSockopt(program) => program.load(),
        Program::SockOps(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}
