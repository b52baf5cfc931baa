"""What a program may try with a connection that goes straight out, besides odd ways to send its hello.

`attacks.py ADDRESS PORT NAME OTHER ATTACK...`: for each ATTACK a connection to ADDRESS; NAME is what its hello names,
OTHER an address that is not pinned. Prints `ATTACK => RESULT` in the words of `hellos.py`. `go` waits for a line of
input.
"""
import ctypes
import errno
import fcntl
import mmap
import os
import select
import socket
import struct
import sys
import threading
import time

from base import new, way, word
from hellos import DEADLINE, MSG_ZEROCOPY, SO_ZEROCOPY, connected, fast_open, hello, pieces, result

AF_UNSPEC = struct.pack("@H14x", socket.AF_UNSPEC)
libc = ctypes.CDLL(None, use_errno=True)
KEPT = []


def disconnect(sock):
    if libc.connect(sock.fileno(), AF_UNSPEC, len(AF_UNSPEC)) != 0:
        raise OSError(ctypes.get_errno(), "disconnect")


def outcome(work):
    try:
        return work()
    except OSError as error:
        return word(error)


def said(sock, payload):
    sock.sendall(payload)
    return result(sock)


class Attacks:
    def __init__(self, address, port, name, other):
        self.address, self.port, self.name, self.other = address, int(port), name, other
        self.good, self.bad = hello("allowed.test"), hello(name)

    def verified(self):
        sock = connected(self.address, self.port)
        assert said(sock, self.good) == "answer"
        return sock

    def reconnect(self):
        """The verdict on a socket's first connection is none on its next."""
        sock = self.verified()
        disconnect(sock)
        elsewhere = outcome(lambda: sock.connect((self.other, self.port)) or "connected")
        other_port = outcome(lambda: sock.connect((self.address, 8080)) or "connected")
        disconnect(sock)
        sock.connect((self.address, self.port))
        return f"{elsewhere} {other_port} {way(sock)} " + outcome(lambda: said(sock, self.bad))

    def fast_open_reconnect(self):
        sock = self.verified()
        disconnect(sock)
        elsewhere = outcome(lambda: sock.sendto(self.bad, socket.MSG_FASTOPEN, (self.other, self.port)))
        sock.sendto(self.bad, socket.MSG_FASTOPEN, (self.address, self.port))
        return f"{elsewhere} " + outcome(lambda: result(sock))

    def connect_twice(self):
        sock = connected(self.address, self.port)
        again = outcome(lambda: sock.connect((self.other, self.port)) or "connected")
        return f"{again} " + outcome(lambda: said(sock, self.bad))

    def address_after(self):
        """sendto() of a connected TCP socket has an address that the kernel does not read."""
        sock = connected(self.address, self.port)
        sock.sendto(self.bad, (self.other, self.port))
        return outcome(lambda: result(sock))

    def repair(self):
        sock = connected(self.address, self.port)
        return outcome(lambda: sock.setsockopt(socket.IPPROTO_TCP, 19, 1) or "repaired")

    def options_after(self):
        """None of these changes where a judged connection goes; those that would are refused."""
        sock = self.verified()
        routed = outcome(lambda: sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x83\x07\x04\x5d\xb8\xd8\x23\0"))
        marked = outcome(lambda: sock.setsockopt(socket.SOL_SOCKET, 36, 1) or "marked")
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 3)
        sock.sendall(b"\x15\x03\x03\x00\x02\x01\x00")
        return f"{routed} {marked} " + outcome(lambda: result(sock))

    def zerocopy_after(self):
        """Once the server has answered, the program may share its memory with what it sends."""
        sock = self.verified()
        sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
        held = bytearray(b"\x15\x03\x03\0\x02\x02\0")
        sent = outcome(lambda: sock.send(held, MSG_ZEROCOPY))
        return f"{sent} " + outcome(lambda: result(sock))

    def second_name(self):
        """Of two hellos in one segment the first counts; the server reads no second one."""
        sock = connected(self.address, self.port)
        return outcome(lambda: said(sock, self.bad + self.good))

    def empty_segments(self):
        """Segments without payload move nothing on."""
        sock = connected(self.address, self.port)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        time.sleep(1.5)
        return outcome(lambda: said(sock, self.bad))

    def whole(self):
        sock = connected(self.address, self.port)
        return f"{way(sock)} " + outcome(lambda: said(sock, self.bad))

    def good_again(self):
        sock = connected(self.address, self.port)
        return f"{way(sock)} " + outcome(lambda: said(sock, self.good))

    def keep(self):
        KEPT.append(self.verified())
        return "answer"

    def idle(self):
        KEPT.append(connected(self.address, self.port))
        return "open"

    def later(self, sock, payload):
        """Sends when it is told to; somebody else may change something before."""
        print(f"descriptor {sock.fileno()}", flush=True)
        sys.stdin.readline()
        # The rest of an answer that came in pieces is none to what is sent now.
        sock.setblocking(False)
        try:
            while sock.recv(65536):
                pass
        except BlockingIOError:
            pass
        sock.settimeout(DEADLINE)
        return outcome(lambda: said(sock, payload))

    def judged_later(self, name):
        self.good = hello(name)
        return self.later(self.verified(), bytes(100))

    def fresh_later(self):
        return self.later(connected(self.address, self.port), self.good)

    def nonblocking(self):
        """connect, send and poll, as event loops do: the refusal wakes them."""
        sock = new(self.address, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.connect_ex((self.address, self.port))
        watch = select.epoll()
        watch.register(sock, select.EPOLLOUT)
        watch.poll(DEADLINE)
        sock.send(self.bad)
        watch.modify(sock, select.EPOLLIN)
        woken = watch.poll(DEADLINE)
        flags = woken[0][1] if woken else 0
        names = ("EPOLLIN", "EPOLLERR", "EPOLLHUP")
        return " ".join(name for name in names if flags & getattr(select, name)) + " " + errno.errorcode.get(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "none")

    def blocked_reader(self):
        """A thread that already waits in recv."""
        sock = connected(self.address, self.port)
        got = []
        reader = threading.Thread(target=lambda: got.append(outcome(lambda: result(sock))))
        reader.start()
        sock.sendall(self.bad)
        reader.join()
        return got[0]

    def blocked_writer(self):
        """A thread that waits for room."""
        sock = connected(self.address, self.port)
        return outcome(lambda: sock.sendall(self.bad + bytes(64 << 20)) or "sent")

    def shut(self):
        sock = connected(self.address, self.port)
        sock.sendall(self.bad)
        return outcome(lambda: sock.shutdown(socket.SHUT_WR) or result(sock))

    def linger(self):
        sock = connected(self.address, self.port)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, int(3 * DEADLINE)))
        sock.send(self.bad)
        began = time.monotonic()
        sock.close()
        return "closed" if time.monotonic() - began < DEADLINE else "waited"

    def corked_close(self):
        sock = connected(self.address, self.port)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        sock.send(self.bad[:300])
        sock.close()
        return "closed"

    def reset_close(self):
        sock = connected(self.address, self.port)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.send(self.bad)
        sock.close()
        return "closed"

    def cookie(self):
        """Fast Open with a cookie that the server has given: asked for first, then used."""
        for _ in range(2):
            fast_open(self.address, self.port, self.good, "fast-open").close()
        sock = fast_open(self.address, self.port, self.bad, "fast-open")
        return outcome(lambda: result(sock))

    def flood(self):
        """Refused and half hellos, each of another name. No more at once than the far side has descriptors for."""
        for number in range(1000):
            sock = connected(self.address, self.port)
            payload = hello(f"n{number}.{self.name}") if number % 2 == 0 else self.bad[:100]
            sock.send(payload)
            if number % 3 == 0:
                KEPT.append(sock)
            else:
                sock.close()
        return "done"

    def upload(self):
        """More than 64 KiB in one packet, where the device takes it."""
        sock = connected(self.address, 7000)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
        sock.sendall(b"a line\n")
        block = bytes(1 << 20)
        for _ in range(64):
            sock.sendall(block)
        sock.shutdown(socket.SHUT_WR)
        return f"{way(sock)} {sock.recv(64).decode().strip()}"

    def locked(self):
        """Holds the refused socket's lock: a send from memory that nobody provides."""
        UFFDIO_API, UFFDIO_REGISTER = 0xC018AA3F, 0xC020AA00
        try:
            fault = fcntl.ioctl(os.open("/dev/userfaultfd", os.O_RDWR), 0xAA00, os.O_CLOEXEC)
        except OSError:
            return "no userfaultfd"
        fcntl.ioctl(fault, UFFDIO_API, struct.pack("QQQ", 0xAA, 0, 0))
        memory = mmap.mmap(-1, 1 << 16)
        at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        fcntl.ioctl(fault, UFFDIO_REGISTER, struct.pack("QQQQ", at, 1 << 16, 1, 0))
        for _ in range(16):
            sock = connected(self.address, self.port)
            KEPT.append(sock)
            sender = threading.Thread(target=lambda: libc.send(sock.fileno(), ctypes.c_void_p(at), 4096, 0), daemon=True)
            # Half of it, so that it is not yet refused, then a send that does not come back.
            sock.send(self.bad[:100])
            sender.start()
        # Until all of them have been given up.
        time.sleep(4)
        return outcome(lambda: socket.getaddrinfo("six.test", 443) and "resolved")

    def foreign(self):
        """A network namespace of the program's own, with the pinned address in it."""
        user = os.getuid()
        if libc.unshare(0x10000000 | 0x40000000) != 0:
            return "unshare " + errno.errorcode[ctypes.get_errno()]
        with open("/proc/self/uid_map", "w") as users:
            users.write(f"0 {user} 1")
        os.system(f"ip link set lo up && ip addr add {self.address}/32 dev lo")
        server = socket.create_server((self.address, self.port))
        sock = new(self.address, socket.SOCK_STREAM)
        got = outcome(lambda: sock.connect((self.address, self.port)) or "connected")
        server.close()
        return got

    def leaks(self):
        """Every end that a connection can have."""
        for _ in range(200):
            sock = connected(self.address, self.port)
            sock.close()
            self.reset_close()
            outcome(lambda: self.verified().close())
            outcome(lambda: self.whole())
            # Nobody answers there: given up before the SYN is answered.
            sock = new(self.other, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.connect_ex((self.other, self.port))
            sock.close()
        return "done"

    def run(self, attack):
        try:
            attack, *argument = attack.split("=", 1)
            return getattr(self, attack.replace("-", "_"))(*argument)
        except OSError as error:
            return word(error)


def main():
    attacks = Attacks(*sys.argv[1:5])
    for attack in sys.argv[5:]:
        if attack == "go":
            print("ready", flush=True)
            sys.stdin.readline()
        else:
            print(f"{attack} => {attacks.run(attack)}", flush=True)
    sys.stdout.flush()
    os._exit(0)


main()
