"""Clients of protocols that are not HTTP, and requests that are sent to the ports of these.

`opaque.py talk NAME FAMILY WHAT...`: has a talk of each kind; prints `WHAT WAY` where the server saw this socket's own
address and port, and all that was said. `opaque.py send NAME FAMILY PORT HOW WHAT...`: sends something over a connection
each; prints `WHAT WAY RESULT`. HOW is `whole`, `bytes` (one by one), `halves` (with a pause between), or `pause=N`
(seconds between the parts); RESULT is how many bytes the server got, where it got all. `opaque.py way NAME PORT...` prints the way of each.
"""
import socket
import sys
import time

import base

LONG = b"\x00\x00\x01\x00" + bytes(range(128, 255)) * 2 + b"\x00\x00"
# Whether the server speaks first, and what the client says, each behind the answer to the one before.
TALKS = {
    "ftp": (21, True, [b"USER anonymous\r\n", b"PASV\r\n"]),
    "ssh": (22, True, [b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\0\5\xdc\6\x14" + LONG]),
    "smtp": (25, True, [b"EHLO client.test\r\n", b"MAIL FROM:<a@a.test>\r\n"]),
    "pop3": (110, True, [b"CAPA\r\n", b"STLS\r\n"]),
    "imap": (143, True, [b"a1 CAPABILITY\r\n", b"a2 STARTTLS\r\n"]),
    "ldap": (389, False, [b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0"]),
    "submission": (587, True, [b"EHLO client.test\r\n", b"STARTTLS\r\n"]),
    "rsync": (873, True, [b"@RSYNCD: 31.0\n", b"module\n"]),
    "mqtt": (1883, False, [b"\x10\x12\0\x04MQTT\x04\x02\0\x3c\0\x06client"]),
    "mysql": (3306, True, [b"\x20\0\0\1\x85\xae\xff\x19\0\0\0\1\x21" + bytes(23), LONG]),
    "postgres": (5432, False, [b"\0\0\0\x08\x04\xd2\x16\x2f", b"\0\0\0\x13\0\3\0\0user\0anna\0\0"]),
    "amqp": (5672, False, [b"AMQP\0\0\x09\1", b"\1\0\0\0\0\0\x04\0\x0a\0\x0b\xce"]),
    "redis": (6379, False, [b"*1\r\n$4\r\nPING\r\n", b"*2\r\n$3\r\nGET\r\n$1\r\n/\r\n"]),
    "cassandra": (9042, False, [b"\4\0\0\0\5\0\0\0\0", b"\4\0\0\1\1\0\0\0\x16"]),
    "kafka": (9092, False, [b"\0\0\0\x1a\0\x12\0\0\0\0\0\1\0\x10kafka-python-2.0"]),
    "git": (9418, False, [b"0033git-upload-pack /project.git\0host=allowed.test\0"]),
    "memcached": (11211, False, [b"get key\r\n", b"get /\r\n"]),
    "mongodb": (27017, False, [b"\x3a\1\0\0\1\0\0\0\0\0\0\0\xd4\7\0\0\0\0\0\0\x10ismaster\0\1\0\0\0"]),
}
GREETS = {port for port, greets, _ in TALKS.values() if greets}
HOST = b"Host: denied.test\r\n\r\n"
SAID = {
    "get": b"GET / HTTP/1.1\r\n" + HOST,
    "post": b"POST /x HTTP/1.1\r\n" + HOST,
    "lower": b"get / http/1.1\r\n" + HOST,
    "novel": b"NOVEL /x HTTP/1.1\r\n" + HOST,
    "odd-token": b"g!t_x /x HTTP/1.0\r\n" + HOST,
    "crlf": b"\r\n\r\nGET / HTTP/1.1\r\n" + HOST,
    "blanks": b" \t \r\n \x0b GET\t/ \tHTTP/1.1\r\n" + HOST,
    "lf": b"\nGET / HTTP/1.1\n" + HOST,
    "absolute": b"GET http://denied.test/ HTTP/1.1\r\n" + HOST,
    "absolute-novel": b"NOVEL http://denied.test/ HTTP/1.1\r\n" + HOST,
    "connect": b"CONNECT denied.test:80 HTTP/1.1\r\n" + HOST,
    "server": b"OPTIONS * HTTP/1.1\r\n" + HOST,
    "no-version": b"GET /denied.test\r\n",
    "heads": b"HEAD /\r\n" + HOST,
    "preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0denied.test",
    "proxy-1": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n" + HOST,
    "proxy-2": b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET / HTTP/1.1\r\n" + HOST,
    # Begins as no request does, and goes on as one.
    "binary-first": b"\0\0\0\x08\x04\xd2\x16\x2f|\xfe / HTTP/1.1\r\n" + HOST,
    "words-first": b"{ a b c|d / e HTTP/1.1\r\n" + HOST,
    # The same, behind a whole line: what an HTTP server has refused by then.
    "line-first": b"EHLO a\r\n|GET / HTTP/1.1\r\n" + HOST,
    "version": b"SSH-2|.0-x\r\n",
    "request": b"\0\0\0\x08|\x04\xd2\x16\x2f",
    "word": b"ruok",
}


def connect(name, port, family):
    kind = {"4": socket.AF_INET, "6": socket.AF_INET6}[family]
    address = socket.getaddrinfo(name, port, kind, socket.SOCK_STREAM)[0][4]
    sock = base.new(address[0], socket.SOCK_STREAM)
    sock.connect(address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def to_itself(sock):
    """Whether the kernel's own table has this socket connected where it was to go: what is redirected is not."""
    inode = f" {__import__('os').fstat(sock.fileno()).st_ino} "
    lines = [line for end in ("tcp", "tcp6") for line in open(f"/proc/self/net/{end}") if inode in line]
    return [int(line.split()[2].split(":")[1], 16) for line in lines] == [sock.getpeername()[1]]


def talk(name, family, what):
    port, greets, said = TALKS[what]
    with connect(name, port, family) as sock:
        if greets and not sock.recv(200):
            return "no greeting"
        total = 0
        for message in said:
            sock.sendall(message)
            total += len(message)
            peer, its_port, seen = sock.recv(200).decode().split()
            own = sock.getsockname()
            if (peer, int(its_port), int(seen)) != (own[0], own[1], total):
                return f"own {own}, the server saw {peer} {its_port} {seen} of {total}"
        way = base.way(sock)
        return way if (way == "direct") == to_itself(sock) else "in doubt"


def send(sock, how, data):
    parts = data.split(b"|")
    if how == "whole":
        parts = [b"".join(parts)]
    elif how == "bytes":
        parts = [bytes([byte]) for byte in b"".join(parts)]
    elif how == "halves":
        data = b"".join(parts)
        parts = [data[: len(data) // 2], data[len(data) // 2 :]]
    pause = {"halves": 0.2}.get(how, float(how[6:]) if how.startswith("pause=") else 0)
    for at, part in enumerate(parts):
        if at > 0:
            time.sleep(pause)
        sock.sendall(part)


def ended(sock, how, what):
    try:
        if sock.getpeername()[1] in GREETS:
            sock.recv(200)
        send(sock, how, SAID[what])
        got, length = b"", len(SAID[what].replace(b"|", b""))
        # Until the server has all of it.
        while not got.endswith(f" {length}\n".encode()):
            more = sock.recv(1000)
            if not more:
                return "closed"
            got += more
            if b"HTTP/1.1" in got:
                return " ".join(got[got.index(b"HTTP/1.1"):].decode("latin1").split()[:2])
        return str(length)
    except OSError as error:
        return base.word(error)


action, name, *rest = sys.argv[1:]
if action == "talk":
    family, *whats = rest
    for what in whats or TALKS:
        try:
            print(what, talk(name, family, what), flush=True)
        except OSError as error:
            print(what, base.word(error), flush=True)
elif action == "way":
    for port in rest:
        with connect(name, int(port), "4") as sock:
            print(port, base.way(sock), flush=True)
else:
    family, port, how, *whats = rest
    for what in whats:
        with connect(name, int(port), family) as sock:
            way = base.way(sock)
            print(what, way, ended(sock, how, what), flush=True)
