"""Programs that write and end: `uploads.py HOW NAME PORT LENGTH` sends the first bytes of the file `upload`.

HOW is how they end, or how they write. Says how many bytes the kernel took.
"""
import os
import signal
import socket
import struct
import sys
import time

how, name, port, length = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
data = open("upload", "rb").read(length)
address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0]
sock = socket.socket(address[0], socket.SOCK_STREAM)
if how == "unsent":
    # The more is in the program's own kernel.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
sock.connect(address[4])
if how in ("full", "full-killed"):
    # As much as the kernel takes.
    sock.setblocking(False)
    taken, quiet = 0, 0
    while taken < length and quiet < 20:
        try:
            taken += sock.send(data[taken:taken + 65536])
            quiet = 0
        except BlockingIOError:
            quiet += 1
            time.sleep(0.01)
    print(f"took {taken}", flush=True)
    if how == "full-killed":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(0)
if how == "sendfile":
    with open("upload", "rb") as file:
        sent = 0
        while sent < length:
            sent += os.sendfile(sock.fileno(), file.fileno(), sent, length - sent)
elif how == "pieces":
    for start in range(0, length, 1000):
        sock.sendall(data[start:start + 1000])
else:
    sock.sendall(data)
print(f"took {length}", flush=True)
if how == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if how == "shut":
    sock.shutdown(socket.SHUT_WR)
if how == "closed":
    sock.close()
if how == "reset":
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
if how == "lingering":
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0xffff))
if how == "child":
    # Another process has it, and dies with the sandbox.
    if os.fork() == 0:
        for output in (0, 1, 2):
            os.close(output)
        time.sleep(0.2)
if how == "stays":
    time.sleep(1000)
os._exit(7 if how == "code" else 0)
