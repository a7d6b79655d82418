"""A slow link on the way to one TCP port: python3 tcp_link.py PORT.

It prints the port that it listens on.  Each line of its input is a rate in bits a second, 0 for none; it ends with its input.
Each direction has a queue of 16 kB, the receive buffer of its socket: what does not fit stays with the sender's kernel.
"""
import socket
import sys
import threading
import time

QUEUE_BYTES = 16384
CHUNK_BYTES = 1200

rate = 0


def carry(source, sink):
    free_at = 0.0
    try:
        while data := source.recv(CHUNK_BYTES):
            if rate:
                free_at = max(free_at, time.monotonic()) + len(data) * 8 / rate
                time.sleep(max(0.0, free_at - time.monotonic()))
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def through(client, port):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE_BYTES)  # before connect(): it bounds the window
    server.connect(("127.0.0.1", port))
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=carry, args=(client, server), daemon=True).start()
    threading.Thread(target=carry, args=(server, client), daemon=True).start()


def accept(front, port):
    while True:
        through(front.accept()[0], port)


def main():
    global rate
    front = socket.socket()
    front.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE_BYTES)
    front.bind(("127.0.0.1", 0))
    front.listen()
    print(front.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(front, int(sys.argv[1])), daemon=True).start()
    for line in sys.stdin:
        rate = int(line)


main()
