//! Every raw system call; the only `unsafe` of the crate. Uses nothing of ours but the contract.
#![expect(unsafe_code, reason = "system calls that no crate here wraps; each with its SAFETY note")]

pub mod access;
pub mod allowlist;
pub mod bounding_set;
pub mod bpf;
pub mod descriptors;
mod file_systems;
pub mod handed;
pub mod held_socket;
pub mod inherited;
pub mod landlock;
pub mod link;
pub mod mapped;
pub mod mounts;
pub mod peer_devices;
pub mod pod;
pub mod process;
pub mod seccomp;
pub mod sockets;
pub mod spawn;
