#!/usr/bin/env bash
# aya 0.14.0: `EbpfLoader::new()` reads and parses the kernel's whole type information (several megabytes,
# some ten milliseconds), also where the next call is `.btf(None)`, which says that none is wanted.
#
# One would guess that a builder does its costly default when it is used, or not at all when the caller
# replaces it: the documentation of `btf` says that the loader "defaults to loading BTF info", and that None
# is for objects without relocations. But the default is computed in `new`, and the type has no other
# constructor. Programs that start often and have no relocations pay for it each time.
#
# Measured by /proc/self/io (rchar: bytes that read(2) gave). Needs cargo and a kernel with
# /sys/kernel/btf/vmlinux; no rights. Exit 0: it behaves as told here; 1: it has changed; 2: not tried.
set -euo pipefail
[ -r /sys/kernel/btf/vmlinux ] || { echo "this kernel tells no types"; exit 2; }
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "trial"
version = "0.0.0"
edition = "2024"
[dependencies]
aya = "=0.14.0"
TOML
cat >src/main.rs <<'RUST'
fn bytes_read() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

fn main() {
    let before = bytes_read();
    let mut loader = aya::EbpfLoader::new();
    let new = bytes_read();
    loader.btf(None);
    println!("{} {}", new - before, bytes_read() - new);
}
RUST
cargo run --quiet >out
read -r by_new by_none <out
types="$(wc -c </sys/kernel/btf/vmlinux)"
echo "aya 0.14.0: the kernel's types have $types bytes; new() read $by_new, btf(None) $by_none"
# Seen: "the kernel's types have 5515236 bytes; new() read 5515368, btf(None) 132" (132 is /proc/self/io itself).
[ "$by_new" -ge "$types" ] && [ "$by_none" -lt 1000 ]
