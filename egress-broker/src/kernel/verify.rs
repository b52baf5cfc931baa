//! Programs given to the kernel, several at once: it verifies each in the thread that loads it, without
//! a lock for who has rights (`bpf_check`, kernel/bpf/verifier.c), and that is most of a run's start.

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

use aya::{
    Ebpf,
    programs::{Program, ProgramError},
};
use egress_common::abi::{self, ProgramSpec};

use super::error::KernelError;

/// What takes the kernel longest is begun first, so that nothing long is left for one thread.
const LONGEST: [&str; 3] = ["egress_packet", "egress_connect6", "egress_connect4"];

/// More threads have nothing to do: the two longest take as long as all others together.
const THREADS: usize = 3;

/// Loads every program of the object.
///
/// # Errors
/// When there is one that is missing or does not load: of several, that which is first in [`abi::PROGRAMS`].
pub(super) fn load_all(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    let mut found: BTreeMap<String, &mut Program> =
        ebpf.programs_mut().map(|(name, program)| (name.to_owned(), program)).collect();
    let mut waiting = Vec::with_capacity(abi::PROGRAMS.len());
    for (place, spec) in abi::PROGRAMS.iter().enumerate() {
        let program = found.remove(spec.name).ok_or(KernelError::Missing { program: spec.name })?;
        waiting.push((place, spec, program));
    }
    // Taken from the end.
    let order = |name| LONGEST.iter().rev().position(|longest| *longest == name);
    waiting.sort_by_key(|(_, spec, _)| order(spec.name));
    let (waiting, failed) = (Mutex::new(waiting), Mutex::new(BTreeMap::new()));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work = || {
        while let Some((place, spec, program)) = next() {
            if let Err(error) = load(program) {
                let error = error_of(spec, error);
                failed.lock().unwrap_or_else(PoisonError::into_inner).insert(place, error);
            }
        }
    };
    let helpers = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS) - 1;
    thread::scope(|scope| {
        for _ in 0..helpers {
            // Where there can be no thread, those that are here load more.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.into_values().next().map_or(Ok(()), Err)
}

fn error_of(spec: &ProgramSpec, source: ProgramError) -> KernelError {
    KernelError::Load {
        program: spec.name,
        enforces: spec.enforces,
        source: Box::new(source.into()),
    }
}

fn load(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::CgroupDevice(program) => program.load(),
        Program::CgroupSkb(program) => program.load(),
        Program::CgroupSock(program) => program.load(),
        Program::CgroupSockAddr(program) => program.load(),
        Program::CgroupSockopt(program) => program.load(),
        Program::SockOps(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}
