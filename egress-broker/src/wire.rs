//! Records of any length between processes that trust each other: a process and the init that it has started, a
//! command line and the broker that it becomes. Numbers are little-endian, texts have their length before them.
//! What comes from a worker is not of this kind.

use std::io::{self, Read, Write};

/// Bytes of a record: the kernel takes 6 MiB of arguments and environment (execve(2)).
const LONGEST: u32 = 16 << 20;

/// Something that is written as bytes, and read back.
pub(crate) trait Wire: Sized {
    /// Adds it.
    fn put(&self, to: &mut Vec<u8>);

    /// Takes it from the beginning; none where there is something else.
    fn take(from: &mut &[u8]) -> Option<Self>;
}

macro_rules! numbers {
    ($($kind:ty)*) => {$(
        impl Wire for $kind {
            fn put(&self, to: &mut Vec<u8>) {
                to.extend(self.to_le_bytes());
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                let (number, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(Self::from_le_bytes(*number))
            }
        }
    )*};
}

numbers!(u8 u32 u64 i32);

/// A text of any bytes.
impl Wire for Vec<u8> {
    fn put(&self, to: &mut Vec<u8>) {
        put_bytes(self, to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let length = usize::try_from(u32::take(from)?).ok()?;
        let (text, rest) = from.split_at_checked(length)?;
        *from = rest;
        Some(text.to_vec())
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        u8::from(self.is_some()).put(to);
        if let Some(one) = self {
            one.put(to);
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            0 => Some(None),
            1 => Some(Some(T::take(from)?)),
            _ => None,
        }
    }
}

/// A text.
pub(crate) fn put_bytes(bytes: &[u8], to: &mut Vec<u8>) {
    // What is longer than the kernel takes is refused as a whole, by `send`.
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).put(to);
    to.extend(bytes);
}

/// Several of a kind, their count before them.
pub(crate) fn put_all<T: Wire>(all: &[T], to: &mut Vec<u8>) {
    u32::try_from(all.len()).unwrap_or(u32::MAX).put(to);
    all.iter().for_each(|one| one.put(to));
}

/// The counterpart of [`put_all`].
pub(crate) fn take_all<T: Wire>(from: &mut &[u8]) -> Option<Vec<T>> {
    // Grows with what is there, whatever the count says.
    (0..u32::take(from)?).map(|_| T::take(from)).collect()
}

/// # Errors
/// When it is longer than the reader takes, or the other end is gone.
pub(crate) fn send(to: &mut impl Write, message: &impl Wire) -> io::Result<()> {
    let mut bytes = vec![0; size_of::<u32>()];
    message.put(&mut bytes);
    let (head, body) = bytes.split_at_mut(size_of::<u32>());
    let length = u32::try_from(body.len()).ok().filter(|length| *length <= LONGEST);
    let length = length.ok_or_else(|| io::Error::from_raw_os_error(libc::E2BIG))?;
    head.copy_from_slice(&length.to_le_bytes());
    to.write_all(&bytes)
}

/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] when the other end is gone, [`io::ErrorKind::InvalidData`] for anything but
/// a message of this kind.
pub(crate) fn receive<M: Wire>(from: &mut impl Read) -> io::Result<M> {
    let mut length = [0; size_of::<u32>()];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    // Grows with what arrives, whatever the length says.
    from.take(u64::from(length)).read_to_end(&mut bytes)?;
    if u32::try_from(bytes.len()) != Ok(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut rest = bytes.as_slice();
    M::take(&mut rest).filter(|_| rest.is_empty()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
