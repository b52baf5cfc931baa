"""Stories of loopback.py in which somebody outside has, shares or takes a port; and the outsider's part of them."""
import concurrent.futures
import ctypes
import socket
import struct
import sys
import threading

from base import SECRET
from loopback_base import attempt, echo, echoed, listening, new, serve


def at(address, port):
    return echoed(address, int(port))


def many(address, port):
    """Sends the secret a hundred times, each by a connection of its own, and says how often it came back."""
    def one(_):
        sock = new(address)
        sock.settimeout(1)
        try:
            return echoed(address, int(port), sock)
        except OSError:
            return False
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        return "came back %d" % sum(pool.map(one, range(100)))


def to_datagrams(address, port):
    sock = new(address, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.sendto(SECRET, (address, int(port)))
    return True


def steered():
    """Shares a port with whoever is outside, by a program that gives every connection to the first of the group, and
    then to the second."""
    reuse = [socket.SO_REUSEPORT]
    port = int(sys.stdin.readline())
    listener = listening(port=port, options=reuse)
    serve(listener, echo, 1000)
    print("shares", flush=True)
    results = [many("127.0.0.1", port)]
    for index in (0, 1):
        # struct sock_fprog of one instruction: BPF_RET | BPF_K
        code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, index))
        program = struct.pack("H6xQ", 1, ctypes.addressof(code))
        so_attach_reuseport_cbpf = 51
        listener.setsockopt(socket.SOL_SOCKET, so_attach_reuseport_cbpf, program)
        results.append(many("127.0.0.1", port))
    return ", ".join(results)


def steered_datagrams(option, afterwards):
    """The same with datagrams, and an option that is `kept` or `unset` behind the bind, where it has counted."""
    port = int(sys.stdin.readline())
    server = new("127.0.0.1", socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
    server.bind(("127.0.0.1", port))
    if afterwards == "unset":
        server.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 0)
    print("shares", flush=True)
    results = set()
    for _ in range(100):
        results.add(attempt(lambda: to_datagrams("127.0.0.1", port)))
        sock = new("127.0.0.1", socket.SOCK_DGRAM)
        sock.connect(("127.0.0.1", port))
        results.add(attempt(lambda: sock.send(SECRET) == len(SECRET)))
    return " ".join(sorted(results))


def closing():
    """Closes the listener while its client connects, over and over; somebody outside waits for the port."""
    port, results = int(sys.stdin.readline()), set()
    for _ in range(400):
        try:
            listener = listening(port=port, options=[socket.SO_REUSEADDR])
        except OSError:
            results.add(attempt(lambda: echoed("127.0.0.1", port)))
            continue
        thread = threading.Thread(target=listener.close)
        sock = new("127.0.0.1")
        sock.settimeout(0.05)
        thread.start()
        try:
            sock.connect(("127.0.0.1", port))
            sock.sendall(SECRET)
        except OSError:
            pass
        thread.join()
        sock.close()
    return "tried"


def taken():
    """Listens, lets the port go, and tries to reach whoever has taken it since; then the same with datagrams."""
    listener, server = listening(), None
    port = listener.getsockname()[1]
    server = new("127.0.0.1", socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", port))
    serve(listener, echo)
    before = attempt(lambda: echoed("127.0.0.1", port))
    kept = new("127.0.0.1", socket.SOCK_DGRAM)
    kept.connect(("127.0.0.1", port))
    kept.send(SECRET)
    listener.close()
    server.close()
    print(f"{port} closed", flush=True)
    sys.stdin.readline()
    after = [attempt(lambda: echoed("127.0.0.1", port)), attempt(lambda: to_datagrams("127.0.0.1", port)),
             attempt(lambda: kept.send(SECRET) == len(SECRET))]
    return before + " then " + " ".join(after)


def waiting(address, port):
    """Listens, says where, and answers until its standard input ends."""
    listener = listening(address, int(port))
    serve(listener, echo, 1000)
    print(f"{listener.getsockname()[1]} listens", flush=True)
    sys.stdin.readline()
    return True


def outsider(option="-", kind="tcp"):
    """Listens outside, tells the port, and everything that it gets."""
    sock = new("127.0.0.1", socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    if option != "-":
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
    sock.settimeout(None)
    sock.bind(("127.0.0.1", 0))
    if kind == "tcp":
        sock.listen()
    print(f"{sock.getsockname()[1]} outside", flush=True)
    def run():
        while True:
            if kind == "tcp":
                peer = sock.accept()[0]
                print("reached from", peer.getpeername(), flush=True)
            else:
                print("got", sock.recv(100), flush=True)
    threading.Thread(target=run, daemon=True).start()
    sys.stdin.readline()
    return True


def lurking():
    """Takes a port again and again, and says whether anybody came."""
    sock = listening()
    port = sock.getsockname()[1]
    print(f"{port} outside", flush=True)
    sock.close()
    is_over, came = threading.Event(), 0
    threading.Thread(target=lambda: (sys.stdin.readline(), is_over.set()), daemon=True).start()
    while not is_over.is_set():
        try:
            listener = listening(port=port, options=[socket.SO_REUSEADDR])
        except OSError:
            continue
        listener.settimeout(0.001)
        try:
            listener.accept()
            came += 1
        except OSError:
            pass
        listener.close()
    return "came %d" % came
