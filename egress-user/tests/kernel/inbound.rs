//! What others begin: an answer to them is a way out like any other.
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::support::{CLIENT, PYTHON, Running, World};
use super::{ALLOWED, OTHER, OTHER_V6, SECRET, two_sites};

/// Python that listens on every address, by TCP and UDP on one port, and answers everybody.
const SERVER: &str = "import socket, threading\n\
    tcp = socket.socket(); tcp.bind(('0.0.0.0', 0)); tcp.listen()\n\
    port = tcp.getsockname()[1]\n\
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(('0.0.0.0', port))\n\
    def datagrams():\n  \
      while True:\n    \
        asker = udp.recvfrom(100)[1]\n    \
        try: udp.sendto(b'SECRET', asker); print('sent', flush=True)\n    \
        except OSError as e: print(e.strerror, flush=True)\n\
    threading.Thread(target=datagrams, daemon=True).start()\n\
    print(port, 'listens', flush=True)\n\
    while True:\n  \
      s = tcp.accept()[0]\n  \
      s.sendall(b'SECRET')\n  \
      s.close()";

fn server() -> String {
    SERVER.replace("SECRET", SECRET)
}

fn port(server: &Running<'_>) -> u16 {
    let text = server.says("listens");
    text.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a port")
}

/// How long an answer is waited for that should not come, and one that should.
const REFUSED: Duration = Duration::from_secs(1);
const ANSWERED: Duration = Duration::from_secs(60);

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn who_connects_from_outside_gets_no_answer() {
    let world = two_sites();
    let inside = world.egress(ALLOWED).start([PYTHON, "-c", &server()]);
    let at: SocketAddr = format!("{CLIENT}:{}", port(&inside)).parse().expect("an address");
    let connected = world.far_netns().enter(|| TcpStream::connect_timeout(&at, REFUSED));
    connected.expect_err("a server inside was reached");
    world.far_netns().enter(|| ask(&at, REFUSED)).expect_err("a datagram was answered");
    inside.says("Operation not permitted");
    // Not even a SYN-ACK, whose options and sequence number a program has a say in.
    world.arrived().none();

    let bare = world.direct().start([PYTHON, "-c", &server()]);
    let at: SocketAddr = format!("{CLIENT}:{}", port(&bare)).parse().expect("an address");
    let answer = world.far_netns().enter(|| {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut TcpStream::connect(at)?, &mut text)?;
        std::io::Result::Ok((text, ask(&at, ANSWERED)?))
    });
    let (stream, datagram) = answer.expect("the same without the filter");
    assert_eq!((stream.as_str(), datagram.as_str()), (SECRET, SECRET));
}

fn ask(at: &SocketAddr, patience: Duration) -> std::io::Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(patience))?;
    let mut answer = [0; 100];
    socket.send_to(b"ask", at)?;
    let length = socket.recv(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// Python that makes TCP sockets by the system calls of other ABIs, each in a process of its own: 32-bit
/// i386 by `int 0x80` (socketcall is not needed: 359 is socket), the same from a 32-bit program (ELF32, which asks for
/// AF_VSOCK), and x32 by its bit.
const OTHER_ABIS: &str = "import ctypes, mmap, os, struct, tempfile\n\
    def i386():\n  \
      code = bytes.fromhex('53b867010000bb02000000b90100000031d2cd805bc3')\n  \
      page = mmap.mmap(-1, 4096, prot=7); page.write(code)\n  \
      at = ctypes.addressof(ctypes.c_char.from_buffer(page))\n  \
      return ctypes.CFUNCTYPE(ctypes.c_int)(at)()\n\
    def x32():\n  \
      libc = ctypes.CDLL(None, use_errno=True)\n  \
      return libc.syscall(ctypes.c_long(0x40000000 | 41), 2, 1, 0)\n\
    def elf32():\n  \
      code = bytes.fromhex('b867010000bb28000000b90100000031d2cd8089c3c1eb1fb801000000cd80')\n  \
      at, size = 0x08048000, 84 + len(code)\n  \
      head = b'\\x7fELF\\1\\1\\1' + bytes(9) + struct.pack('<HHIIIIIHHHHHH', 2, 3, 1, at + 84, 52, 0, 0, 52, 32, 1, 0, 0, 0)\n  \
      head += struct.pack('<IIIIIIII', 1, 0, at, at, size, size, 5, 4096)\n  \
      path = os.path.join(tempfile.mkdtemp(), 'elf32')\n  \
      open(path, 'wb').write(head + code); os.chmod(path, 0o755)\n  \
      try: os.execv(path, [path])\n  \
      except OSError as error: return -1\n\
    for attempt in (i386, elf32, x32):\n  \
      child = os.fork()\n  \
      if child == 0: os._exit(0 if attempt() >= 0 else 1)\n  \
      status = os.waitpid(child, 0)[1]\n  \
      print(attempt.__name__, 'killed by', os.WTERMSIG(status)) if os.WIFSIGNALED(status) else \
        print(attempt.__name__, 'made' if status == 0 else 'failed')";

#[cfg(target_arch = "x86_64")]
#[test]
#[ignore = "kernel: needs root"]
pub(super) fn system_calls_of_other_abis_end_the_process() {
    let world = World::new().build();
    let out = world.egress(&[]).run([PYTHON, "-c", OTHER_ABIS]);
    // SIGSYS; a kernel without the ABI does not come so far.
    // x32 is killed for its bit, whether the kernel has that ABI (CONFIG_X86_X32_ABI) or not.
    out.succeeded().said("i386 killed by 31\n").said("x32 killed by 31\n");
    let bare = world.direct().run([PYTHON, "-c", OTHER_ABIS]);
    if bare.succeeded().text().contains("i386 killed") {
        super::support::skip("this kernel has no 32-bit system calls to compare with");
    }
    // Where it executes 32-bit programs, theirs end at their first call.
    out.said("elf32 killed by 31\n");
    for attempt in ["i386", "elf32", "x32"] {
        let ended = bare.text().contains(&format!("{attempt} made"))
            || bare.text().contains(&format!("{attempt} failed"));
        assert!(ended, "{attempt} without the filter\n{bare}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn the_policy_may_let_others_connect() {
    let world = two_sites();
    let options = ["--set", "network.allow_inbound=true", "--allow", "allowed.test"];
    let inside = world.egress(&options).start([PYTHON, "-c", &server()]);
    let port = self::port(&inside);
    let read = |at: SocketAddr| {
        let mut text = String::new();
        let mut stream = TcpStream::connect_timeout(&at, ANSWERED)?;
        stream.set_read_timeout(Some(ANSWERED))?;
        std::io::Read::read_to_string(&mut stream, &mut text)?;
        std::io::Result::Ok(text)
    };
    let at: SocketAddr = format!("{CLIENT}:{port}").parse().expect("an address");
    let far = world.far_netns().enter(|| read(at)).expect("the far side is answered");
    let here = SocketAddr::from(([127, 0, 0, 1], port));
    let near = world.client_netns().enter(|| read(here)).expect("a program outside is answered");
    assert_eq!((far.as_str(), near.as_str()), (SECRET, SECRET));
    // A datagram is nobody's connection.
    world.far_netns().enter(|| ask(&at, REFUSED)).expect_err("a datagram was answered");
    inside.says("Operation not permitted");
    // Whom a rule denies gets no answer, either.
    let denying = [&options[..], &["--deny", "93.184.216.1"]].concat();
    let other = world.egress(&denying).start([PYTHON, "-c", &server()]);
    let denied = SocketAddr::new(at.ip(), self::port(&other));
    let connected = world.far_netns().enter(|| TcpStream::connect_timeout(&denied, REFUSED));
    connected.expect_err("a denied address was answered");
    // Nothing else is open by it.
    let probes = [
        format!("connect {OTHER} 443"),
        format!("udp {OTHER} 9999"),
        format!("send {OTHER_V6} 22"),
    ];
    let host = format!("connect 127.0.0.1 {}", world.host_port());
    let before = world.arrived_at(OTHER).count();
    let out = world.egress(&options).probes(&[&probes[..], std::slice::from_ref(&host)].concat());
    for probe in probes.iter().chain([&host]) {
        out.probe(probe, super::REFUSED);
    }
    assert_eq!(world.arrived_at(OTHER).count(), before, "{out}");
    assert_eq!(world.host_contacts(), [], "{out}");
}
