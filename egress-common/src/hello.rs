//! The kernel side's reading of a TLS ClientHello (RFC 8446 section 4.1.2): a walk of small reads,
//! written so that the verifiers of Linux 5.17 and later accept it, and generic over where the
//! bytes lie, so that user space runs the very same code in tests and fuzzing.
//!
//! It reads one record that holds one whole hello. What may be a good hello in another form is
//! [`Finding::Unreadable`]: the proxy, which can read it, has to judge. Nothing that passes here may
//! name another host to the proxy's parsers.

use core::hint::black_box;

/// Bytes of a packet or a slice.
pub trait Bytes {
    /// `N` bytes at this offset; none when they are not all there.
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;
    /// Copies `length` bytes (1 to [`NAME_BYTES`] - 1) at this offset to the front of a zeroed
    /// name; false when they are not all there.
    fn load_name(&self, offset: u32, length: u32, name: &mut NameWords) -> bool;
}

/// Bytes of a name with zeros behind it, as words: lower case is made of eight at a time.
pub type NameWords = [u64; NAME_BYTES / 8];

/// Room for a name. The longest is 253 bytes and a dot (RFC 1035 section 2.3.4).
pub const NAME_BYTES: usize = 256;

/// Most extensions that are read; real hellos have about twenty.
pub const MAX_EXTENSIONS: u32 = 64;

/// Every offset into a hello is below this; a power of two, for [`bounded`].
const OFFSETS: u32 = 1 << 15;
/// Most hellos of a connection: a server asks for another one once (RFC 8446 section 4.1.4).
pub const MAX_HELLOS: u32 = 2;
/// The longest fragment of a record (RFC 8446 section 5.1).
const RECORD_LIMIT: u32 = 1 << 14;

/// What is wrong with a first payload.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The hello's end is not there yet.
    Incomplete = 1,
    /// Neither a handshake record nor its beginning.
    NotTls = 2,
    /// Perhaps a good hello, in a form that only the proxy reads: cut into several records, or with
    /// very many extensions.
    Unreadable = 3,
    /// TLS that no server should take.
    Malformed = 4,
    /// No server name.
    NoName = 5,
    /// A server name that the address is not pinned for.
    NotPinned = 6,
    /// Encrypted ClientHello, or what looks like it.
    Encrypted = 7,
    /// The program could change the bytes after they were read.
    SharedPages = 8,
    /// Urgent data: the server may read another stream than the one that was checked.
    Urgent = 9,
    /// Not the bytes that have to come next.
    OutOfOrder = 10,
    /// Not a hello at all: a packet that does not go where the connection goes.
    Diverted = 11,
    /// Where other protocols may pass, what some server may read as an HTTP request.
    Request = 12,
    /// There, too little to tell whether it is one.
    Undecided = 13,
}

impl Finding {
    /// The finding with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Incomplete,
            2 => Self::NotTls,
            3 => Self::Unreadable,
            4 => Self::Malformed,
            5 => Self::NoName,
            6 => Self::NotPinned,
            7 => Self::Encrypted,
            8 => Self::SharedPages,
            9 => Self::Urgent,
            10 => Self::OutOfOrder,
            11 => Self::Diverted,
            12 => Self::Request,
            13 => Self::Undecided,
            _ => return None,
        })
    }
}

/// What a hello says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Bytes of the server name. A part of its key: zeros are legal bytes of what a client sends.
    pub length: u32,
    /// An extension hides another name, or looks like it.
    pub encrypted: bool,
}

/// A walk over the extensions.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// Where the next extension begins.
    next: u32,
    /// Where the hello ends.
    end: u32,
    /// Where the server name extension's data are; 0: none yet.
    name: u32,
    name_length: u32,
    /// Whether an extension hides the name.
    encrypted: u32,
    /// The [`Finding`] of a broken extension, 0 without one.
    broken: u32,
}

/// To the compiler any value below [`OFFSETS`]: the states of a verifier's walk converge only when
/// what is carried from one extension to the next looks alike (6.18: a million instructions
/// without it).
#[inline(always)]
fn bounded(offset: u32) -> u32 {
    black_box(offset) & (OFFSETS - 1)
}

#[inline(always)]
pub(crate) fn word(bytes: [u8; 2]) -> u32 {
    (bytes[0] as u32) << 8 | bytes[1] as u32
}

impl Walk {
    /// Reads what stands before the extensions: `length` bytes of payload from `start` on.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline(always)]
    pub fn begin(bytes: &impl Bytes, start: u32, length: u32) -> Result<Self, Finding> {
        use Finding::{Incomplete, Malformed, NoName, NotTls, Unreadable};
        let load1 = |offset| bytes.load::<1>(offset).map(|[byte]| byte as u32).ok_or(Malformed);
        let load2 = |offset| bytes.load::<2>(offset).map(word).ok_or(Malformed);
        if load1(start)? != 22 || (length > 1 && load1(start + 1)? != 3) {
            return Err(NotTls);
        }
        if length < 5 {
            return Err(Incomplete);
        }
        let record = load2(start + 3)?;
        if record == 0 || record > RECORD_LIMIT {
            return Err(Malformed);
        }
        if length < 5 + record {
            return Err(Incomplete);
        }
        // So short a record holds no hello by itself.
        if record < 4 {
            return Err(Unreadable);
        }
        let Some([kind, high, middle, low]) = bytes.load::<4>(start + 5) else {
            return Err(Malformed);
        };
        if kind != 1 {
            return Err(Malformed);
        }
        let message = 4 + ((high as u32) << 16 | (middle as u32) << 8 | low as u32);
        if message > RECORD_LIMIT {
            return Err(Malformed);
        }
        if message > record {
            return Err(Unreadable);
        }
        // Nothing may follow the hello in its record: no client has more to say.
        if message != record {
            return Err(Malformed);
        }
        let end = start + 5 + record;
        // Behind other records of a large packet: `bounded` would read elsewhere.
        if end >= OFFSETS {
            return Err(Unreadable);
        }
        // Message header, version, random.
        let mut next = start + 5 + 4 + 2 + 32;
        let session = load1(next)?;
        if session > 32 {
            return Err(Malformed);
        }
        next += 1 + session;
        let suites = load2(next)?;
        if suites == 0 || suites % 2 != 0 {
            return Err(Malformed);
        }
        next += 2 + suites;
        let compressions = load1(next)?;
        if compressions == 0 {
            return Err(Malformed);
        }
        next += 1 + compressions;
        if next == end {
            return Err(NoName);
        }
        let extensions = load2(next)?;
        next += 2;
        if next + extensions != end {
            return Err(Malformed);
        }
        Ok(Self { next: bounded(next), end, name: 0, name_length: 0, encrypted: 0, broken: 0 })
    }

    /// Reads one extension; false when there are no more, or this one is broken.
    #[inline(always)]
    pub fn step(&mut self, bytes: &impl Bytes) -> bool {
        if self.next >= self.end {
            return false;
        }
        let Some([k1, k2, l1, l2]) = bytes.load::<4>(self.next) else { return self.stop() };
        let (kind, length) = (word([k1, k2]), word([l1, l2]));
        let data = self.next + 4;
        if data + length > self.end {
            return self.stop();
        }
        match kind {
            // A second one: two readers could take different ones.
            0 if self.name != 0 => return self.stop(),
            0 => (self.name, self.name_length) = (bounded(data), bounded(length)),
            // encrypted_client_hello (RFC 9849) with its drafts, and ESNI before them.
            0xfe08..=0xfe0d | 0xffce => self.encrypted = 1,
            _ => {}
        }
        self.next = bounded(data + length);
        true
    }

    /// Whether an extension hides another name, or looks like it.
    #[inline(always)]
    pub fn is_encrypted(&self) -> bool {
        self.encrypted != 0
    }

    /// Where the hello ends.
    #[inline(always)]
    pub fn end(&self) -> u32 {
        self.end
    }

    #[inline(always)]
    fn stop(&mut self) -> bool {
        self.broken = Finding::Malformed as u32;
        false
    }

    /// After the last step: copies the server name, in lower case and without a trailing dot, to a
    /// zeroed `name`.
    ///
    /// # Errors
    /// What is wrong with the hello.
    #[inline(always)]
    pub fn finish(&self, bytes: &impl Bytes, name: &mut NameWords) -> Result<Said, Finding> {
        use Finding::{Malformed, NoName, Unreadable};
        if self.broken != 0 || self.next > self.end {
            return Err(Malformed);
        }
        if self.next != self.end {
            return Err(Unreadable);
        }
        if self.name == 0 {
            return Err(NoName);
        }
        let Some([l1, l2, kind, n1, n2]) = bytes.load::<5>(self.name) else {
            return Err(Malformed);
        };
        let (list, length) = (word([l1, l2]), word([n1, n2]));
        // One name, of the one kind that there is, and nothing else (RFC 6066 section 3).
        if list + 2 != self.name_length || kind != 0 || length + 3 != list || length == 0 {
            return Err(Malformed);
        }
        let text = self.name + 5;
        let Some([last]) = bytes.load::<1>(text + length - 1) else { return Err(Malformed) };
        let length = if last == b'.' { length - 1 } else { length };
        if length == 0 || length >= NAME_BYTES as u32 {
            return Err(Malformed);
        }
        if !bytes.load_name(text, length, name) {
            return Err(Malformed);
        }
        lower(name, length);
        Ok(Said { length, encrypted: self.encrypted != 0 })
    }
}

/// Upper case ASCII to lower case, all else as it is, in the words of a name of `length` bytes.
#[inline(always)]
pub fn lower(name: &mut NameWords, length: u32) {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let mut index = 0;
    while index < name.len() && (index as u32) * 8 < length {
        let value = name[index];
        let low = value & !HIGH;
        // The high bit of each byte: at least 'A', and above 'Z'. No byte carries into the next.
        let from_a = low + each(0x80 - b'A');
        let above_z = low + each(0x7f - b'Z');
        let upper = from_a & !above_z & HIGH & !value;
        name[index] = value | upper >> 2;
        index += 1;
    }
}

/// A slice, for user space.
impl Bytes for &[u8] {
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.get(offset as usize..)?.first_chunk().copied()
    }

    fn load_name(&self, offset: u32, length: u32, name: &mut NameWords) -> bool {
        let text = self.get(offset as usize..).and_then(|rest| rest.get(..length as usize));
        let Some(text) = text else { return false };
        *name = words(text);
        true
    }
}

/// A name as the kernel's key has it: its bytes, then zeros. What is longer is cut off.
pub fn words(text: &[u8]) -> NameWords {
    let mut bytes = [0; NAME_BYTES];
    for (to, from) in bytes.iter_mut().zip(text) {
        *to = *from;
    }
    let mut name = [0; NAME_BYTES / 8];
    for (word, chunk) in name.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*chunk);
    }
    name
}

/// The bytes of a name, and the zeros behind it.
pub fn bytes(name: &NameWords) -> [u8; NAME_BYTES] {
    let mut bytes = [0; NAME_BYTES];
    for (chunk, word) in bytes.as_chunks_mut().0.iter_mut().zip(name) {
        *chunk = word.to_ne_bytes();
    }
    bytes
}

/// Reads a whole first payload, as the packet hook does it.
///
/// # Errors
/// What is wrong with it.
pub fn read(payload: &[u8]) -> Result<(NameWords, Said), Finding> {
    let length = u32::try_from(payload.len()).map_err(|_| Finding::Malformed)?;
    if length == 0 {
        return Err(Finding::Incomplete);
    }
    let mut walk = Walk::begin(&payload, 0, length)?;
    for _ in 0..MAX_EXTENSIONS {
        if !walk.step(&payload) {
            break;
        }
    }
    let mut name = [0; NAME_BYTES / 8];
    let said = walk.finish(&payload, &mut name)?;
    Ok((name, said))
}
