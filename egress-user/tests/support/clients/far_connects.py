"""The far side of connects.py: servers of a kind that only it needs, on each address that is given. Says `ready`.

7100 tells who has come; 7101 resets at once; 7102 has a queue that is full for ever; 7104 is like 7100.
"""
import socket
import struct
import sys
import threading


def listen(address, port, queue=64):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind((address, port))
    server.listen(queue)
    return server


def tell(server):
    while True:
        client, peer = server.accept()
        client.sendall(f"{peer[0]} {peer[1]}\n".encode())
        KEPT.append(client)


def reset(server):
    while True:
        client, _ = server.accept()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()


KEPT = []
for address in sys.argv[1:]:
    for port, serve in [(7100, tell), (7101, reset), (7104, tell)]:
        threading.Thread(target=serve, args=(listen(address, port),), daemon=True).start()
    full = listen(address, 7102, 0)
    KEPT.append(full)
    for _ in range(2):
        filling = socket.socket(full.family, socket.SOCK_STREAM)
        filling.setblocking(False)
        filling.connect_ex((address, 7102))
        KEPT.append(filling)
print("ready", flush=True)
threading.Event().wait()
