#!/usr/bin/env python3
"""Measures how long a client waits while another address holds every connection that it can.

    benches/one_address.py BINARY [KIND...]

1,500 connections of 127.0.0.66, which open again as soon as they are closed, meet a server with
--max-connections 1000. Each of them is idle, kept, trickling or slow (a slow reader of a large
file). A client of 127.0.0.77 sends 50 requests a second, half of them on new connections. Each run
takes 20 seconds. The time of a request on a new connection includes the connect.
"""
import os, random, selectors, socket, subprocess, sys, tempfile, threading, time

CONNECTIONS, PLACES, SECONDS, SETTLE = 1500, 1000, 20, 3
REQUEST = b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"


def connect(source, port, window=None):
    sock = socket.socket()
    if window:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    sock.bind((source, 0))
    sock.setblocking(False)
    sock.connect_ex(("127.0.0.1", port))
    return sock


class Attack:
    """The connections of one kind, in a process of their own."""

    def __init__(self, kind, port):
        self.kind, self.port, self.reopened = kind, port, 0
        self.selector = selectors.DefaultSelector()
        self.socks = [None] * CONNECTIONS
        for index in range(CONNECTIONS):
            self.open(index)

    def open(self, index):
        try:
            sock = connect("127.0.0.66", self.port, 2304 if self.kind == "slow" else None)
        except OSError:
            return
        self.socks[index] = sock
        events = selectors.EVENT_READ if self.kind != "slow" else 0
        if self.kind in ("kept", "slow"):
            events |= selectors.EVENT_WRITE
        self.selector.register(sock, events or selectors.EVENT_READ, index)

    def close(self, index):
        sock, self.socks[index] = self.socks[index], None
        if sock:
            self.selector.unregister(sock)
            sock.close()
            self.reopened += 1
        self.open(index)

    def handle(self, key, events):
        sock, index = key.fileobj, key.data
        try:
            if events & selectors.EVENT_WRITE:
                sock.send(REQUEST if self.kind == "kept" else LARGE)
                self.selector.modify(sock, selectors.EVENT_READ, index)
                return
            # A slow reader takes its bytes in `trickle`; it looks for the end only.
            got = sock.recv(4096 if self.kind != "slow" else 1)
            if not got:
                self.close(index)
            elif self.kind == "slow":
                self.selector.unregister(sock)
        except BlockingIOError:
            pass
        except OSError:
            self.close(index)

    def trickle(self):
        """Sends or takes one byte on each connection."""
        for index, sock in enumerate(self.socks):
            try:
                if sock is None:
                    self.open(index)
                elif self.kind == "trickling":
                    sock.send(random.choice(b"abcdef").to_bytes(1, "big"))
                elif self.kind == "slow" and sock not in self.selector.get_map():
                    if not sock.recv(1):
                        sock.close()
                        self.socks[index], self.reopened = None, self.reopened + 1
                        self.open(index)
            except BlockingIOError:
                pass
            except (OSError, ValueError):
                if sock and sock.fileno() in self.selector.get_map():
                    self.selector.unregister(sock)
                if sock:
                    sock.close()
                self.socks[index], self.reopened = None, self.reopened + 1
                self.open(index)

    def run(self):
        end, tick = time.monotonic() + SECONDS + SETTLE, time.monotonic() + 1
        while (now := time.monotonic()) < end:
            for key, events in self.selector.select(max(0, tick - now)):
                self.handle(key, events)
            if time.monotonic() >= tick:
                self.trickle()
                tick = time.monotonic() + 1
        return self.reopened


def ask(sock):
    sock.sendall(REQUEST)
    got = b""
    while not got.endswith(b"small\n"):
        piece = sock.recv(4096)
        if not piece:
            raise OSError("closed")
        got += piece


def client(port, times, failures):
    kept, end, number = None, time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        number += 1
        began = time.monotonic()
        try:
            if number % 2 and kept:
                try:
                    ask(kept)
                except OSError:  # the server closed it meanwhile: ask once more
                    kept.close()
                    kept = socket.create_connection(("127.0.0.1", port), 10, ("127.0.0.77", 0))
                    ask(kept)
            else:
                sock = socket.create_connection(("127.0.0.1", port), 10, ("127.0.0.77", 0))
                ask(sock)
                if kept is None:
                    kept = sock
                else:
                    sock.close()
        except OSError:
            failures.append(time.monotonic() - began)
            kept = None
        else:
            times.append(time.monotonic() - began)
        time.sleep(max(0, 0.02 - (time.monotonic() - began)))


def measure(binary, kind):
    with tempfile.TemporaryDirectory() as site:
        with open(os.path.join(site, "small"), "w") as file:
            file.write("small\n")
        with open(os.path.join(site, "large"), "w") as file:
            file.truncate(8 << 20)
        server = subprocess.Popen(
            [binary, "-q", "--port", "0", "--max-connections", str(PLACES), site],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        try:
            port = int(server.stdout.readline().strip().rstrip("/").rsplit(":", 1)[1])
            attacker = os.fork()
            if attacker == 0:
                print(f"{kind}: {Attack(kind, port).run()} reopened", file=sys.stderr, flush=True)
                os._exit(0)
            time.sleep(SETTLE)
            times, failures = [], []
            client(port, times, failures)
            os.waitpid(attacker, 0)
        finally:
            server.terminate()
            server.wait()
    times.sort()
    at = lambda share: f"{times[int(share * (len(times) - 1))] * 1000:.1f} ms" if times else "-"
    print(f"{kind}: {len(times)} answers, p50 {at(.5)}, p99 {at(.99)}, max {at(1)}, {len(failures)} failed", flush=True)


if __name__ == "__main__":
    for name in sys.argv[2:] or ["idle", "kept", "trickling", "slow"]:
        measure(sys.argv[1], name)
