"""Attempts by other sockets than TCP and UDP, and by what a program finds around itself."""
import ctypes
import mmap
import os
import socket
import struct

from base import DEADLINE, SECRET, family, new

libc = ctypes.CDLL(None, use_errno=True)


def ping(address):
    is_v6 = ":" in address
    sock = new(address, socket.SOCK_DGRAM, 58 if is_v6 else 1)
    sock.sendto(struct.pack("!BBHHH", 128 if is_v6 else 8, 0, 0, 1, 1) + SECRET, (address, 0))
    return "ok" if sock.recv(4096) else "closed"


def raw(address):
    sock = new(address, socket.SOCK_RAW, 1)
    body = struct.pack("!BBHHH", 8, 0, 0, 7, 1) + b"\0" * 8
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    sock.sendto(body[:2] + struct.pack("!H", total) + body[4:], (address, 0))
    return "ok"


def raw_ip(address):
    """A whole IP header of its own making, with UDP inside."""
    sock = new(address, socket.SOCK_RAW, socket.IPPROTO_RAW)
    datagram = struct.pack("!HHHH", 4000, 9999, 8 + len(SECRET), 0) + SECRET
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0, b"\0" * 4,
                         socket.inet_aton(address))
    sock.sendto(header + datagram, (address, 0))
    return "ok"


def packet(device, address):
    """A frame straight to the device: no socket hook ever sees it."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    datagram = struct.pack("!HHHH", 4000, 9999, 8 + len(SECRET), 0) + SECRET
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0,
                         socket.inet_aton("93.184.216.2"), socket.inet_aton(address))
    sock.sendto(header + datagram, (device, 0x0800, 0, 0, b"\xff" * 6))
    return "ok"


def make(domain, kind, protocol):
    """Only makes a socket, by numbers."""
    descriptor = libc.socket(int(domain), int(kind), int(protocol))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "socket")
    os.close(descriptor)
    return "ok"


def io_uring(address, port):
    """Connects and sends by a ring, without the system calls of either."""
    setup, enter = 425, 426
    parameters = (ctypes.c_uint32 * 30)()
    ring = libc.syscall(setup, 4, parameters)
    if ring < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")
    sq, cq = parameters[10:18], parameters[20:28]
    submissions = mmap.mmap(ring, sq[6] + 4 * 4, offset=0)
    completions = mmap.mmap(ring, cq[5] + 16 * parameters[1], offset=0x8000000)
    entries = mmap.mmap(ring, 64 * 4, offset=0x10000000)

    def do(number, opcode, descriptor, pointer, length, offset):
        entries[0:64] = struct.pack("BBHiQQI36x", opcode, 0, 0, descriptor, offset, pointer, length)
        submissions[sq[6]:sq[6] + 16] = struct.pack("IIII", 0, 0, 0, 0)
        submissions[sq[1]:sq[1] + 4] = struct.pack("I", number + 1)
        libc.syscall(enter, ring, 1, 1, 1, None, 0)
        (result,) = struct.unpack("i", completions[cq[5] + 16 * number + 8:cq[5] + 16 * number + 12])
        if result < 0:
            raise OSError(-result, "io_uring")

    sock = socket.socket(family(address), socket.SOCK_STREAM)
    target = ctypes.create_string_buffer(
        struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", int(port), socket.inet_aton(address)), 16)
    op_connect, op_send = 16, 26
    do(0, op_connect, sock.fileno(), ctypes.addressof(target), 0, 16)
    payload = ctypes.create_string_buffer(SECRET)
    do(1, op_send, sock.fileno(), ctypes.addressof(payload), len(SECRET), 0)
    return "ok"


def sendmmsg(address, port):
    """Two datagrams in one call."""
    sock = new(address, socket.SOCK_DGRAM)
    name = ctypes.create_string_buffer(
        struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", int(port), socket.inet_aton(address)), 16)
    body = ctypes.create_string_buffer(SECRET)
    vector = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(body), len(SECRET)), 16)
    message = struct.pack("QI4xQQQQi4xI4x", ctypes.addressof(name), 16, ctypes.addressof(vector), 1, 0, 0, 0, 0)
    messages = ctypes.create_string_buffer(message * 2, 128)
    if libc.sendmmsg(sock.fileno(), messages, 2, 0) < 0:
        raise OSError(ctypes.get_errno(), "sendmmsg")
    return "ok"


def unix(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(DEADLINE)
    sock.connect("\0" + path[1:] if path.startswith("@") else path)
    return "ok"


def descriptor(number):
    """What an inherited descriptor is, if it is open."""
    return "ok " + os.readlink(f"/proc/self/fd/{number}").split(":")[0]


def write(number):
    """Writes to an inherited descriptor."""
    os.write(int(number), SECRET)
    return "ok"


def resolve(name):
    found = {entry[4][0] for entry in socket.getaddrinfo(name, 443, 0, socket.SOCK_STREAM)}
    return "ok " + " ".join(sorted(found))
