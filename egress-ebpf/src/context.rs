//! The only pointer code: safe readers and writers over the kernel's contexts, maps and helpers.
//!
//! The kernel's verifier proves every access below before the program may run; the SAFETY notes say
//! which promise of the kernel each access rests on.

mod device;
mod held;
mod line;
mod owner;
mod packet;
mod payload;
mod sock_addr;
mod socket_record;
mod sockops;
pub mod usage;

use aya_ebpf::{
    helpers::{
        bpf_get_current_comm,
        generated::{
            bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id,
            bpf_get_current_pid_tgid, bpf_get_current_uid_gid, bpf_get_prandom_u32,
            bpf_ktime_get_boot_ns, bpf_set_retval,
        },
    },
    maps::HashMap,
    programs::{SockContext, SockoptContext},
};
use core::{
    mem::MaybeUninit,
    ptr::{read_volatile, write_volatile},
};
use egress_common::{
    Address,
    event::{HelloEvent, Hook, Unverified},
    flow::{FlowKey, FlowValue, SocketOwner},
    hello::NAME_BYTES,
    pin::{NameKey, NameValue, PinKey, PinValue},
    sandbox::Sandbox,
};

pub use device::Device;
pub use held::{write_head, write_held};
pub use owner::{At, Ends, InheritedStorage, Receiver};
pub use packet::{Packet, follows_lines, has_loop};
pub use sock_addr::{Family, SockAddr};
pub use socket_record::SocketRecord;
use socket_record::socket_record;
pub use sockops::SockOps;
pub use usage::Owner;

/// Return values of the cgroup hooks.
pub const PASS: i32 = 1;
pub const REFUSE: i32 = 0;

pub const AF_INET: u32 = 2;
pub const AF_INET6: u32 = 10;
pub const SOCK_STREAM: u32 = 1;
pub const SOCK_DGRAM: u32 = 2;
pub const IPPROTO_TCP: u32 = 6;
pub const IPPROTO_UDP: u32 = 17;
const EPROTONOSUPPORT: i32 = 93;
const ECONNREFUSED: i32 = 111;

/// Written by the loader: 1 where the kernel has `bpf_set_retval` (5.18). The verifier knows the
/// value and never looks at the call where it is 0.
#[unsafe(no_mangle)]
static HAVE_SET_RETVAL: u8 = 0;

/// Who is running: only true in hooks that run in the program's own context.
#[derive(Clone, Copy)]
pub struct Process {
    pub tgid: u32,
    pub uid: u32,
    pub comm: [u8; 16],
}

impl Process {
    #[inline(always)]
    pub fn current() -> Self {
        let (tgid, uid) = Self::ids();
        Self { tgid, uid, comm: bpf_get_current_comm().unwrap_or([0; 16]) }
    }

    /// Thread group and user, without the name.
    #[inline(always)]
    pub fn ids() -> (u32, u32) {
        // SAFETY: the helpers take no pointers.
        let (ids, users) = unsafe { (bpf_get_current_pid_tgid(), bpf_get_current_uid_gid()) };
        ((ids >> 32) as u32, users as u32)
    }

    /// For hooks that run in any context.
    pub const NOBODY: Self = Self { tgid: 0, uid: 0, comm: [0; 16] };
}

#[inline(always)]
pub fn current_cgroup() -> u64 {
    // SAFETY: takes no pointer.
    unsafe { bpf_get_current_cgroup_id() }
}

/// 0 when the current cgroup is not that deep.
#[inline(always)]
pub fn current_ancestor(level: i32) -> u64 {
    // SAFETY: takes no pointer.
    unsafe { bpf_get_current_ancestor_cgroup_id(level) }
}

#[inline(always)]
pub fn boot_ns() -> u64 {
    // SAFETY: takes no pointer.
    unsafe { bpf_ktime_get_boot_ns() }
}

#[inline(always)]
pub fn random() -> u32 {
    // SAFETY: takes no pointer.
    unsafe { bpf_get_prandom_u32() }
}

/// Makes a refused socket(2) answer EPROTONOSUPPORT instead of EPERM, so that callers fall back.
#[inline(always)]
pub fn answer_protocol_not_supported() {
    answer(EPROTONOSUPPORT);
}

/// Makes a connect answer what it would where nobody listens.
#[inline(always)]
pub fn answer_nobody_listens() {
    answer(ECONNREFUSED);
}

/// Makes what is refused answer this errno, below 4096; where it is 0, or the kernel lets no hook choose, EPERM.
#[inline(always)]
pub fn answer(errno: i32) {
    // SAFETY: a static that the loader has frozen; volatile, since to the compiler it is constant.
    if errno != 0 && unsafe { read_volatile(&raw const HAVE_SET_RETVAL) } == 1 {
        // SAFETY: takes no pointer.
        unsafe { bpf_set_retval(-errno) };
    }
}

/// A copy of a map's value.
#[inline(always)]
pub fn lookup<K, V: Copy>(map: &HashMap<K, V>, key: &K) -> Option<V> {
    // SAFETY: the element is copied before the program ends, within the RCU section that the
    // kernel holds around it; a concurrent write can tear only between words, and every value
    // here is judged again in user space.
    unsafe { map.get(key) }.copied()
}

/// The flags of a sandbox; none of one that is no more.
#[inline(always)]
pub fn flags(sandboxes: &HashMap<u64, Sandbox>, id: u64) -> u32 {
    match sandboxes.get_ptr(&id) {
        // SAFETY: as in `lookup`; a word of it alone.
        Some(sandbox) => unsafe { read_volatile(&raw const (*sandbox).flags) },
        None => 0,
    }
}

/// Marks the record of a socket that has closed.
#[inline(always)]
pub fn set_ended(flows: &HashMap<FlowKey, FlowValue>, key: &FlowKey) {
    if let Some(flow) = flows.get_ptr_mut(key) {
        // SAFETY: within the RCU section that the kernel holds around the element. Should it be
        // another's by now, that one is only cleared away sooner, when it is old and not taken.
        unsafe { write_volatile(&raw mut (*flow).ended, 1) };
    }
}

/// Fills a reserved record of the event ring, field by field: the stack has no room for a second
/// name.
#[inline(always)]
pub fn write_hello(
    record: *mut HelloEvent,
    packet: Packet,
    socket: SocketRecord,
    finding: u8,
    key: &NameKey,
) {
    let (sandbox, tgid, uid) = socket.who();
    let (address, port) = socket.original();
    // SAFETY: the ring has given room for the whole record, which nobody reads before it is
    // submitted; every field is written.
    unsafe {
        let event = &raw mut (*record).event;
        (&raw mut (*event).time_ns).write(boot_ns());
        (&raw mut (*event).sandbox).write(sandbox);
        (&raw mut (*event).cookie).write(packet.cookie());
        (&raw mut (*event).address).write(address);
        (&raw mut (*event).port).write(port);
        (&raw mut (*event).hook).write(Hook::Hello as u8);
        (&raw mut (*event).reason).write(0);
        (&raw mut (*event).protocol).write(IPPROTO_TCP as u16);
        (&raw mut (*event).family).write(0);
        (&raw mut (*event).socket_type).write(0);
        (&raw mut (*event).tgid).write(tgid);
        (&raw mut (*event).uid).write(uid);
        (&raw mut (*event).comm).write([0; 16]);
        (&raw mut (*event).minor).write(0);
        (&raw mut (*event).reserved).write(0);
        (&raw mut (*record).finding).write(finding);
        (&raw mut (*record).hellos).write(socket.hellos() as u8);
        (&raw mut (*record).reserved).write([0; 2]);
        (&raw mut (*record).name_length).write(key.length);
        (&raw mut (*record).name).write(key.name);
    }
}

/// A key without a name: word by word, as `memset` is a loop over bytes here.
#[inline(always)]
pub fn empty_key(key: &mut MaybeUninit<NameKey>, sandbox: u64, address: Address) -> &mut NameKey {
    let key = key.as_mut_ptr();
    // SAFETY: within the key, of which every byte is written before it is taken for one.
    unsafe {
        (&raw mut (*key).sandbox).write(sandbox);
        (&raw mut (*key).address).write(address);
        (&raw mut (*key).length).write(0);
        (&raw mut (*key).reserved).write(0);
        let name = (&raw mut (*key).name).cast::<u64>();
        let mut index = 0;
        while index < NAME_BYTES / 8 {
            write_volatile(name.add(index), 0);
            index += 1;
        }
        &mut *key
    }
}

/// What a pin says of one port.
pub struct PinOfPort {
    /// 0 without a pin.
    pub expires_ns: u64,
    pub is_open: bool,
    pub is_direct: bool,
    pub is_unread: bool,
}

/// What the pin says of a port, without a copy of its lists: the stack has no room for them.
#[inline(always)]
pub fn pin_of(pins: &HashMap<PinKey, PinValue>, key: &PinKey, port: u16) -> PinOfPort {
    let Some(pin) = pins.get_ptr(key) else {
        return PinOfPort { expires_ns: 0, is_open: false, is_direct: false, is_unread: false };
    };
    // SAFETY: as in `lookup`, without a copy of the whole.
    let pin = unsafe { &*pin };
    PinOfPort {
        expires_ns: pin.expires_ns,
        is_open: pin.ports.contains(port),
        is_direct: pin.direct.contains(port),
        is_unread: pin.unread.contains(port),
    }
}

/// By which connections to the address are counted that name nobody; 0 is none.
#[inline(always)]
pub fn live_of(pins: &HashMap<PinKey, PinValue>, key: &PinKey) -> u64 {
    // SAFETY: as in `lookup`, without a copy of the whole.
    pins.get_ptr(key).map_or(0, |pin| unsafe { (*pin).live })
}

/// Fields of a name's value: (expires_ns, pin), where the port is one of its.
#[inline(always)]
pub fn named(names: &HashMap<NameKey, NameValue>, key: &NameKey, port: u16) -> Option<(u64, u64)> {
    let value = names.get_ptr(key)?;
    // SAFETY: as in `lookup`, without a copy of the whole.
    let value = unsafe { &*value };
    value.ports.contains(port).then_some((value.expires_ns, value.pin))
}

/// Notes how many hellos of a connection have left.
#[inline(always)]
pub fn note_hellos(unverified: &HashMap<u64, Unverified>, cookie: &u64, hellos: u32) {
    if let Some(value) = unverified.get_ptr_mut(cookie) {
        // SAFETY: as in `add`; user space reads it as a whole word.
        unsafe { (&raw mut (*value).hellos).write(hellos) };
    }
}

/// Adds to a shared count, where there is one for the key: 1, or -1 as its two's complement.
#[inline(always)]
pub fn add<K>(counts: &HashMap<K, u64>, key: &K, amount: u64) {
    if let Some(value) = counts.get_ptr_mut(key) {
        usage::add(value, amount);
    }
}

/// The context of sock_create.
pub struct Socket {
    ctx: SockContext,
}

impl Socket {
    #[inline(always)]
    pub fn new(ctx: SockContext) -> Self {
        Self { ctx }
    }

    /// Says whose it is, from now on.
    #[inline(always)]
    pub fn set_owner(&self, owner: SocketOwner) {
        owner::set_owner(self.ctx.sock.cast(), owner);
    }

    /// (family, type, protocol).
    #[inline(always)]
    pub fn kind(&self) -> (u32, u32, u32) {
        let sock = self.ctx.sock;
        // SAFETY: the context is valid for the whole program.
        unsafe {
            (
                read_volatile(&raw const (*sock).family),
                read_volatile(&raw const (*sock).type_),
                read_volatile(&raw const (*sock).protocol),
            )
        }
    }
}

/// The context of setsockopt.
pub struct SockOpt {
    ctx: SockoptContext,
}

impl SockOpt {
    #[inline(always)]
    pub fn new(ctx: SockoptContext) -> Self {
        Self { ctx }
    }

    /// (level, option name).
    #[inline(always)]
    pub fn name(&self) -> (i32, i32) {
        let ctx = self.ctx.sockopt;
        // SAFETY: the context is valid for the whole program.
        unsafe {
            (read_volatile(&raw const (*ctx).level), read_volatile(&raw const (*ctx).optname))
        }
    }

    /// Remembers it of the socket.
    #[inline(always)]
    pub fn add_option(&self, option: u32) {
        // SAFETY: as in `name`; every member of the union has the same meaning to the verifier.
        owner::add_option(unsafe { (*self.ctx.sockopt).__bindgen_anon_1.sk }, option);
    }

    /// Lets the kernel use the caller's own value untouched: without this, values over a page
    /// fail with EFAULT.
    #[inline(always)]
    pub fn leave_value(&self) {
        // SAFETY: as above; volatile, since LLVM would merge it with neighbouring fields.
        unsafe { write_volatile(&raw mut (*self.ctx.sockopt).optlen, 0) };
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
