//! bpf(2) calls that aya 0.14 has no way to make: a link that can be pinned for every attach type
//! (aya's link of a setsockopt program cannot), pinning by descriptor, making a ring buffer that is put into an
//! array of maps, and reading and removing an element at once.

use std::{
    ffi::CString,
    io,
    marker::PhantomData,
    mem::MaybeUninit,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    os::unix::ffi::OsStrExt,
    path::Path,
};

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_DELETE_ELEM: libc::c_int = 3;
const BPF_MAP_GET_NEXT_KEY: libc::c_int = 4;
const BPF_MAP_LOOKUP_AND_DELETE_ELEM: libc::c_int = 21;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_MAP_TYPE_RINGBUF: u32 = 27;

/// The part of `union bpf_attr` that BPF_LINK_CREATE reads for cgroups.
#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

/// The part of `union bpf_attr` that BPF_MAP_CREATE reads for a ring buffer.
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
}

/// The part of `union bpf_attr` that element commands read.
#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The part of `union bpf_attr` that BPF_OBJ_PIN and BPF_OBJ_GET read.
#[repr(C)]
struct ObjectPin {
    path: u64,
    descriptor: u32,
    flags: u32,
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_long> {
    // SAFETY: the kernel reads exactly the given size of a live record.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Whether the kernel refuses whoever has no CAP_BPF an element of a map that is open, as before Linux 5.19 with
/// `kernel.unprivileged_bpf_disabled`. To be asked by a thread without capabilities.
pub fn is_refused_without_rights() -> bool {
    // The right is asked for before the descriptor is looked at, which is none.
    let attributes = Element { map: u32::MAX, padding: 0, key: 0, value: 0, flags: 0 };
    let asked = bpf(BPF_MAP_LOOKUP_ELEM, &attributes);
    asked.is_err_and(|error| error.raw_os_error() == Some(libc::EPERM))
}

/// Attaches a loaded cgroup program. Closing the last descriptor (and pin) of the link detaches.
///
/// No flags: a cgroup link always stacks, and any other flag is EINVAL (seen on 6.18).
///
/// # Errors
/// What BPF_LINK_CREATE gives.
pub fn link_create(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    attach_type: u32,
) -> io::Result<OwnedFd> {
    let attributes = LinkCreate {
        program: program.as_raw_fd().cast_unsigned(),
        target: cgroup.as_raw_fd().cast_unsigned(),
        attach_type,
        flags: 0,
    };
    let descriptor = bpf(BPF_LINK_CREATE, &attributes)?;
    let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
    // SAFETY: a descriptor that the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// A ring buffer of so many bytes, a power of two and of the page size.
///
/// # Errors
/// What BPF_MAP_CREATE gives.
pub fn ring_create(bytes: u32) -> io::Result<OwnedFd> {
    let attributes = MapCreate {
        map_type: BPF_MAP_TYPE_RINGBUF,
        key_size: 0,
        value_size: 0,
        max_entries: bytes,
        flags: 0,
    };
    let descriptor = i32::try_from(bpf(BPF_MAP_CREATE, &attributes)?).map_err(io::Error::other)?;
    // SAFETY: a descriptor that the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Pins a link, program or map at a path of a bpffs.
///
/// # Errors
/// What BPF_OBJ_PIN gives; EINVAL where the path is on no bpffs.
pub fn object_pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    bpf(
        BPF_OBJ_PIN,
        &ObjectPin {
            path: path.as_ptr() as u64,
            descriptor: object.as_raw_fd().cast_unsigned(),
            flags: 0,
        },
    )?;
    Ok(())
}

/// Whether nothing is in a pinned map, of whatever keys up to eight bytes.
///
/// # Errors
/// When there is no map, or it may not be opened.
pub fn is_pinned_map_empty(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let at = ObjectPin { path: path.as_ptr() as u64, descriptor: 0, flags: 0 };
    let descriptor = i32::try_from(bpf(BPF_OBJ_GET, &at)?).map_err(io::Error::other)?;
    // SAFETY: a descriptor that the kernel has just made for us.
    let map = unsafe { OwnedFd::from_raw_fd(descriptor) };
    let mut key = 0_u64;
    let first = Element {
        map: map.as_raw_fd().cast_unsigned(),
        padding: 0,
        key: 0,
        value: (&raw mut key) as u64,
        flags: 0,
    };
    match bpf(BPF_MAP_GET_NEXT_KEY, &first) {
        Ok(_) => Ok(false),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(true),
        Err(error) => Err(error),
    }
}

/// A hash map whose keys and values are as large as these records.
#[derive(Debug)]
pub struct SizedMap<K, V> {
    map: OwnedFd,
    records: PhantomData<fn(K) -> V>,
}

impl<K: egress_common::Pod, V: egress_common::Pod> SizedMap<K, V> {
    /// With the sizes that the kernel tells of this map.
    ///
    /// # Errors
    /// When they are others.
    pub fn new(map: OwnedFd, key_size: u32, value_size: u32) -> io::Result<Self> {
        let fits =
            |size: u32, record: usize| usize::try_from(size).is_ok_and(|size| size == record);
        if fits(key_size, size_of::<K>()) && fits(value_size, size_of::<V>()) {
            Ok(Self { map, records: PhantomData })
        } else {
            Err(io::Error::other("a map with records of another size"))
        }
    }

    /// Removes an element and gives what it was (Linux 5.14); none where there is none.
    pub fn take(&self, key: &K) -> Option<V> {
        self.read(BPF_MAP_LOOKUP_AND_DELETE_ELEM, std::ptr::from_ref(key))
    }

    /// Removes the elements whose values are such. What others change meanwhile may be passed over.
    /// Gives how many were.
    pub fn remove_where(&self, is_such: impl Fn(&V) -> bool) -> u64 {
        let mut such = Vec::new();
        let mut at: Option<K> = None;
        while let Some(key) =
            self.read::<K>(BPF_MAP_GET_NEXT_KEY, at.as_ref().map_or(std::ptr::null(), |key| key))
        {
            let value = self.read::<V>(BPF_MAP_LOOKUP_ELEM, &raw const key);
            if value.is_some_and(|value| is_such(&value)) {
                such.push(key);
            }
            at = Some(key);
        }
        let delete = |key: &K| bpf(BPF_MAP_DELETE_ELEM, &self.element(key, 0)).is_ok();
        such.iter().map(|key| u64::from(delete(key))).sum()
    }

    fn element(&self, key: *const K, value: u64) -> Element {
        Element {
            map: self.map.as_raw_fd().cast_unsigned(),
            padding: 0,
            key: key as u64,
            value,
            flags: 0,
        }
    }

    /// A command that writes a whole key or value.
    fn read<T: egress_common::Pod>(&self, command: libc::c_int, key: *const K) -> Option<T> {
        const { assert!(size_of::<T>() == size_of::<K>() || size_of::<T>() == size_of::<V>()) };
        let mut value = MaybeUninit::<T>::uninit();
        bpf(command, &self.element(key, value.as_mut_ptr() as u64)).ok()?;
        // SAFETY: the kernel has written the whole record, as large as `new` has made sure of, and
        // every bit pattern is one.
        Some(unsafe { value.assume_init() })
    }
}
