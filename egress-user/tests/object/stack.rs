//! How much of the stack each program takes, reckoned from the object as the verifier of Linux 6.1 reckons it
//! (`check_max_stack_depth` and `update_stack_depth` in kernel/bpf/verifier.c, v6.1): of each function the lowest place
//! below its frame pointer that it uses, at least one byte, rounded up to 32, and the sum over the deepest chain of
//! calls and callbacks. Newer kernels with a JIT round to 16. What 6.1 does not look at, as it knows a static to be
//! zero, is counted here.

use std::collections::{BTreeMap, BTreeSet};

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SymbolKind};

// Instruction set of eBPF (RFC 9669): operation codes, classes in their low three bits, and a source of calls.
const LOAD_CONSTANT: u8 = 0x18;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const MOVE: u8 = 0xbf;
const ADD_CONSTANT: u8 = 0x07;
const LDX: u8 = 1;
const ST: u8 = 2;
const STX: u8 = 3;
const JMP: u8 = 5;
const JMP32: u8 = 6;
/// BPF_JMP32 | BPF_JA: its target stands in the constant.
const LONG_JUMP: u8 = 0x06;
const TO_FUNCTION: u8 = 1;
const FRAME_POINTER: u8 = 10;
const SIZE: u64 = 8;

/// Where a function begins: its section, and the offset there.
type Place = (usize, u64);

/// A function of the object.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: String,
    /// Bytes of its own frame.
    pub(super) depth: u64,
    calls: BTreeSet<Place>,
}

/// The functions of an object.
pub(super) struct Functions(BTreeMap<Place, Function>);

#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    target: u8,
    source: u8,
    offset: i16,
    constant: i32,
}

impl Functions {
    pub(super) fn of(object: &[u8]) -> Self {
        let object = object::File::parse(object).expect("an object");
        let mut found = BTreeMap::new();
        for symbol in object.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
            let (Some(section), true) = (symbol.section_index(), symbol.size() > 0) else {
                continue;
            };
            let section = object.section_by_index(section).expect("a function's section");
            let data = section.data().expect("its code");
            let start = usize::try_from(symbol.address()).expect("an offset");
            let end = start + usize::try_from(symbol.size()).expect("a size");
            let code: Vec<Instruction> =
                data[start..end].as_chunks::<8>().0.iter().map(instruction).collect();
            // What an instruction refers to: the symbol's place, and whether its own constant counts from there.
            let mut refers = BTreeMap::new();
            for (at, relocation) in section.relocations() {
                let RelocationTarget::Symbol(index) = relocation.target() else { continue };
                let to = object.symbol_by_index(index).expect("a symbol");
                let Some(section) = to.section_index() else { continue };
                refers.insert(at, ((section.0, to.address()), to.kind() == SymbolKind::Section));
            }
            let place = (section.index().0, symbol.address());
            let (depth, calls) = walk(&code, place, &refers);
            let name = symbol.name().expect("a name").to_owned();
            found.insert(place, Function { name, depth, calls });
        }
        // A constant's address is no call.
        let known: BTreeSet<Place> = found.keys().copied().collect();
        for function in found.values_mut() {
            function.calls.retain(|place| known.contains(place));
        }
        Self(found)
    }

    /// The deepest chain of calls from this function on, and what it takes.
    pub(super) fn deepest(&self, name: &str) -> (u64, Vec<&Function>) {
        let place = self.0.iter().find(|(_, one)| one.name == name).map(|(place, _)| place);
        self.from(place.unwrap_or_else(|| panic!("no function {name}")))
    }

    fn from(&self, place: &Place) -> (u64, Vec<&Function>) {
        let function = &self.0[place];
        let own = function.depth.max(1).next_multiple_of(32);
        let below = function.calls.iter().map(|call| self.from(call));
        let (deepest, mut chain) = below.max_by_key(|(depth, _)| *depth).unwrap_or_default();
        chain.insert(0, function);
        (own + deepest, chain)
    }
}

fn instruction(bytes: &[u8; 8]) -> Instruction {
    let [code, registers, o1, o2, c1, c2, c3, c4] = *bytes;
    Instruction {
        code,
        target: registers & 0xf,
        source: registers >> 4,
        offset: i16::from_le_bytes([o1, o2]),
        constant: i32::from_le_bytes([c1, c2, c3, c4]),
    }
}

/// The depth of a function's frame, and what it calls: registers that hold an address of the frame are followed from
/// one target of a jump to the next.
fn walk(
    code: &[Instruction],
    (section, start): Place,
    refers: &BTreeMap<u64, (Place, bool)>,
) -> (u64, BTreeSet<Place>) {
    let targets = targets(code);
    let mut lowest = 0;
    let mut calls = BTreeSet::new();
    let beginning = BTreeMap::from([(FRAME_POINTER, 0_i64)]);
    let mut frame = beginning.clone();
    let mut index = 0;
    while let Some(&one) = code.get(index) {
        if targets.contains(&index) {
            frame.clone_from(&beginning);
        }
        let position = start + index as u64 * SIZE;
        let reference = refers.get(&position);
        let behind =
            |place: &Place, constant: i64| (place.0, place.1.wrapping_add_signed(constant));
        let constant = i64::from(one.constant);
        index += 1;
        match one.code {
            LOAD_CONSTANT => {
                // A callback: in two instructions.
                index += 1;
                frame.remove(&one.target);
                if let Some((place, is_section)) = reference {
                    calls.insert(behind(place, if *is_section { constant } else { 0 }));
                }
            }
            CALL => {
                let next = (constant + 1) * SIZE.cast_signed();
                if one.source == TO_FUNCTION {
                    calls.insert(match reference {
                        Some((place, is_section)) => {
                            behind(place, if *is_section { next } else { 0 })
                        }
                        None => behind(&(section, position), next),
                    });
                }
                frame.retain(|register, _| *register > 5);
            }
            MOVE => {
                let address = frame.get(&one.source).copied();
                match address {
                    Some(address) if one.offset == 0 => frame.insert(one.target, address),
                    _ => frame.remove(&one.target),
                };
            }
            ADD_CONSTANT => {
                if let Some(address) = frame.get_mut(&one.target) {
                    *address += constant;
                    lowest = lowest.min(*address);
                }
            }
            other => {
                let (register, is_written) = match other & 7 {
                    LDX => (Some(one.source), true),
                    ST | STX => (Some(one.target), false),
                    JMP | JMP32 => (None, false),
                    _ => (None, true),
                };
                if let Some(address) = register.and_then(|register| frame.get(&register)) {
                    lowest = lowest.min(address + i64::from(one.offset));
                }
                if is_written {
                    frame.remove(&one.target);
                }
            }
        }
    }
    (lowest.unsigned_abs(), calls)
}

fn targets(code: &[Instruction]) -> BTreeSet<usize> {
    let is_jump = |code: u8| matches!(code & 7, JMP | JMP32) && code != CALL && code != EXIT;
    let jumps = code.iter().enumerate().filter(|(_, one)| is_jump(one.code));
    let target = |(index, one): (usize, &Instruction)| {
        let by = if one.code == LONG_JUMP { one.constant } else { i32::from(one.offset) };
        index.checked_add_signed(isize::try_from(by).ok()? + 1)
    };
    // The second half of a constant looks like no jump: its code is zero.
    jumps.filter_map(target).collect()
}
