#!/usr/bin/env python3
"""Counts the requests that fail while a server is restarted on sockets that stay open.

    benches/restart.py [--restarts N] [--clients N] [BINARY]      default: 10, 50, target/release/oneloop

This script keeps the listening socket, as a service manager does (LISTEN_FDS). In each restart a new
server starts, the old one gets SIGTERM, and the script waits for its end; in every second restart the
new one starts only then. Half of the clients open a connection for each request, half keep theirs
until a response says `Connection: close`. A kept connection that is closed between two requests is
not a failure if the request succeeds on a new one: RFC 9112 section 9.3.1 lets a client repeat it.
If `wrk` is installed, it loads the servers as well, and its errors are counted.
Fails if a request fails.
"""
import argparse, os, shutil, signal, socket, subprocess, sys, tempfile, threading, time

BODY = b"hello\n" * 100
START = 'exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"'


class Client(threading.Thread):
    """Sends requests until `stop` is set."""

    def __init__(self, port, keeps, stop):
        super().__init__(daemon=True)
        self.port, self.keeps, self.stop = port, keeps, stop
        self.responses, self.repeated, self.failures, self.longest = 0, 0, [], 0.0
        self.connection, self.is_used = None, False

    def run(self):
        while not self.stop.is_set():
            begun = time.monotonic()
            try:
                self.ask()
                self.responses += 1
            except (OSError, ValueError) as error:
                self.failures.append(repr(error))
                self.connection = None
            self.longest = max(self.longest, time.monotonic() - begun)

    def ask(self):
        was_used = self.is_used
        try:
            self.ask_once()
        except ConnectionError:
            self.connection, self.is_used = None, False
            if not was_used:
                raise
            self.repeated += 1
            self.ask_once()

    def ask_once(self):
        if self.connection is None:
            self.connection, self.is_used = socket.create_connection(("127.0.0.1", self.port), 30), False
        wish = "keep-alive" if self.keeps else "close"
        self.connection.sendall(f"GET /f HTTP/1.1\r\nHost: localhost\r\nConnection: {wish}\r\n\r\n".encode())
        got = b""
        while b"\r\n\r\n" not in got or len(got) < got.index(b"\r\n\r\n") + 4 + len(BODY):
            part = self.connection.recv(65536)
            if not part and not got:
                raise ConnectionResetError("closed without a response")
            if not part:
                raise ValueError(f"cut short: {got!r}")
            got += part
        head, body = got.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 200 ") or body != BODY:
            raise ValueError(f"wrong: {got!r}")
        self.is_used = True
        if b"\r\nConnection: close" in head:
            self.connection.close()
            self.connection, self.is_used = None, False


def start(binary, directory, listener, options):
    command = ["sh", "-c", START, binary, *options, directory]
    server = subprocess.Popen(command, stdin=listener, stdout=subprocess.PIPE)
    server.stdout.readline()
    return server


def restart(binary, directory, listener, options, server, overlaps):
    new = start(binary, directory, listener, options) if overlaps else None
    server.send_signal(signal.SIGTERM)
    code = server.wait(timeout=60)
    assert code == 0, f"the server has ended with {code}"
    return new or start(binary, directory, listener, options)


def measure(args, directory, options):
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    port, stop = listener.getsockname()[1], threading.Event()
    server = start(args.binary, directory, listener, options)
    clients = [Client(port, number % 2 == 0, stop) for number in range(args.clients)]
    for client in clients:
        client.start()
    secs = args.restarts + 1
    load = None
    if shutil.which("wrk"):
        command = ["wrk", "-t1", f"-c{args.clients}", f"-d{secs}s", f"http://127.0.0.1:{port}/f"]
        load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for number in range(args.restarts):
        time.sleep(0.3)
        server = restart(args.binary, directory, listener, options, server, number % 2 == 0)
    report = load.communicate()[0] if load else ""
    stop.set()
    for client in clients:
        client.join(60)
    server.send_signal(signal.SIGTERM)
    server.wait(timeout=60)
    failures = [failure for client in clients for failure in client.failures]
    failures += [line.strip() for line in report.splitlines() if "errors" in line or "Non-2xx" in line]
    by_wrk = sum(int(line.split()[0]) for line in report.splitlines() if " requests in " in line)
    responses, repeated = (sum(getattr(client, name) for client in clients) for name in ("responses", "repeated"))
    longest = max(client.longest for client in clients)
    print(f"{' '.join(options) or 'without options'}: {args.restarts} restarts, {responses} responses, "
          f"{by_wrk} by wrk, {repeated} repeated, the longest took {longest * 1000:.0f} ms, "
          f"{len(failures)} failures {failures[:3]}")
    return len(failures)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("binary", nargs="?", default="target/release/oneloop")
    args = parser.parse_args()
    args.binary = os.path.abspath(args.binary)
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "f"), "wb") as file:
            file.write(BODY)
        failures = [measure(args, directory, options) for options in ([], ["--shutdown-delay", "300ms"])]
    sys.exit(any(failures))


main()
