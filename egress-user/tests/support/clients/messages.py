"""DNS messages written by hand. `messages.py CASE...` sends each case and prints `CASE => RESULT` on a line.

A result is the rcodes that came back, each with flags in lower case (`tc`, `ad`, `aa`), `repeated` where the question
came back byte for byte, `cookie` where that option did; `nothing` where nothing came within a quarter of the deadline
after a query that is answered, and `closed`.
"""
import socket
import struct
import sys

from base import DEADLINE

SERVER = ("93.184.216.53", 53)
ALLOWED = "aLLowed.TEST"
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
COOKIE = 10


def name(text):
    return b"".join(bytes([len(label)]) + label for label in text.encode().split(b".")) + b"\0"


def question(text=ALLOWED, kind=1, klass=1):
    return name(text) + struct.pack("!HH", kind, klass)


def opt(size=1232, version=0, options=b"", flags=0):
    return b"\0" + struct.pack("!HHBBHH", 41, size, 0, version, flags, len(options)) + options


def message(*questions, flags=0x0100, additional=(), number=7):
    head = struct.pack("!HHHHHH", number, flags, len(questions), 0, 0, len(additional))
    return head + b"".join(questions) + b"".join(additional)


def skip(data, at):
    while data[at]:
        if data[at] >= 0xC0:
            return at + 2
        at += 1 + data[at]
    return at + 1


def read(data, asked=b""):
    number, flags, questions, answers, authority, additional = struct.unpack("!HHHHHH", data[:12])
    words, at, rcode = [], 12, flags & 15
    for _ in range(questions):
        at = skip(data, at) + 4
    if asked and data[12:at] == asked:
        words.append("repeated")
    for _ in range(answers + authority + additional):
        at = skip(data, at)
        kind, _, ttl, length = struct.unpack("!HHIH", data[at:at + 10])
        if kind == 41:
            rcode |= ttl >> 24 << 4
            options, end = at + 10, at + 10 + length
            while options < end:
                code, size = struct.unpack("!HH", data[options:options + 4])
                words += ["cookie"] if code == COOKIE else []
                options += 4 + size
        at += 10 + length
    words = [word for bit, word in ((0x0400, "aa"), (0x0200, "tc"), (0x0020, "ad")) if flags & bit] + words
    return " ".join([RCODES.get(rcode, str(rcode))] + words)


def udp(data, asked=b""):
    """What comes back before the answer to a plain query that is sent after it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(DEADLINE)
        sock.connect(SERVER)
        sock.send(data)
        results, last = [], 999
        sock.send(message(question(), number=last))
        while len(results) < 2:
            response = sock.recv(65535)
            if response[:2] != struct.pack("!H", last):
                return read(response, asked)
            # It may have overtaken the other one.
            sock.settimeout(DEADLINE / 4)
            results.append(response)
            try:
                return read(sock.recv(65535), asked)
            except TimeoutError:
                return "nothing"


def framed(data):
    return struct.pack("!H", len(data)) + data


def tcp(writes, answers):
    with socket.create_connection(SERVER, DEADLINE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for data in writes:
            sock.sendall(data)
        stream, results = sock.makefile("rb"), []
        for _ in range(answers):
            length = stream.read(2)
            if not length:
                return "closed"
            results.append(read(stream.read(*struct.unpack("!H", length))))
        return " ".join(sorted(results))


REFUSED = "refused.test"
COOKIES = {"short": b"\x01" * 3, "client": b"\x01" * 8, "both": b"\x02" * 24, "long": b"\x03" * 60}


def cookie(payload):
    return opt(options=struct.pack("!HH", COOKIE, len(payload)) + payload)


CASES = {
    "case": lambda: udp(message(question()), question()),
    "two-in-one-segment": lambda: tcp([framed(message(question())) + framed(message(question(REFUSED)))], 2),
    "byte-by-byte": lambda: tcp([bytes([byte]) for byte in framed(message(question()))], 1),
    "many-pipelined": lambda: tcp([framed(message(question(REFUSED))) * 40], 40),
    "two-questions": lambda: udp(message(question(), question(REFUSED))),
    "no-question": lambda: udp(message()),
    "response": lambda: udp(message(question(REFUSED), flags=0x8180)),
    "pointer-to-itself": lambda: udp(struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1"),
    "pointer-loop": lambda: udp(message(question(), additional=(b"\xc0\x1f\xc0\x1f\0\1\0\1\0\0\0\0\0\0",))),
    "truncated": lambda: udp(message(question())[:20]),
    "eleven-bytes": lambda: udp(b"\0" * 11),
    "notify": lambda: udp(message(question(), flags=4 << 11)),
    "update": lambda: udp(message(question(), flags=5 << 11)),
    "opcode-15": lambda: udp(message(question(), flags=15 << 11)),
    "chaos": lambda: udp(message(question("version.bind", 16, 3))),
    "any": lambda: udp(message(question(kind=255))),
    "axfr": lambda: tcp([framed(message(question(kind=252)))], 1),
    "edns-1": lambda: udp(message(question(), additional=(opt(version=1),))),
    "edns-tiny": lambda: udp(message(question(), additional=(opt(size=0),))),
    "ad-and-cd": lambda: udp(message(question(), flags=0x0130, additional=(opt(flags=0x8000),))),
    **{f"cookie-{which}": lambda payload=payload: udp(message(question(), additional=(cookie(payload),)))
       for which, payload in COOKIES.items()},
}

for case in sys.argv[1:]:
    try:
        result = CASES[case]()
    except (ConnectionError, TimeoutError) as error:
        result = type(error).__name__
    print(f"{case} => {result}", flush=True)
