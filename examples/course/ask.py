#!/usr/bin/env python3
"""The client of the course: asks a server that gives lines back in capitals, and says how long it took.

    python3 examples/course/ask.py [--port 7000] [--silent N] [--times N] [--lines N] [--process PID] [--patience S]

--silent N    first open N connections that say nothing
--times N     ask N times, and tell the median and the worst
--lines N     then send N lines in one send, and count what comes back
--process PID tell how many threads and how much memory the server has
--patience S  wait so many seconds for an answer (2)
"""
import argparse, socket, sys, time
from resource import RLIMIT_NOFILE, getrlimit, setrlimit

options = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip(), add_help=False)
for name, default in {"port": 7000, "silent": 0, "times": 1, "lines": 0, "process": 0, "patience": 2}.items():
    options.add_argument("--" + name, type=int, default=default)
args = options.parse_args()


def connect():
    try:
        connfd = socket.create_connection(("127.0.0.1", args.port), timeout=args.patience)
    except OSError as e:
        sys.exit(f"after {len(silent)} silent connections, no more: {e}")
    connfd.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connfd


def receive(connfd, size):
    """Up to `size` bytes: fewer if the server hangs up, or keeps us waiting."""
    got = b""
    try:
        while len(got) < size and (data := connfd.recv(65536)):
            got += data
    except OSError as e:
        print(f"   {len(got)} of {size} bytes came, then: {e}")
    return got


def ask(connfd, line):
    begun = time.perf_counter()
    connfd.sendall(line)
    return receive(connfd, len(line)), time.perf_counter() - begun


def tell_process(when):
    if args.process:
        lines = dict(line.split(":", 1) for line in open(f"/proc/{args.process}/status"))
        print(f"{when}: " + ", ".join(f"{name} {' '.join(lines[name].split())}" for name in ("Threads", "VmSize", "VmRSS")))


setrlimit(RLIMIT_NOFILE, (getrlimit(RLIMIT_NOFILE)[1],) * 2)
tell_process("before")
silent = []
while len(silent) < args.silent:
    silent.append(connect())
if silent:
    print(f"{args.silent} silent connections stand open")
peer = connect()
answer, took = ask(peer, b"hello\n")
print(f"hello -> {answer.decode().strip() or 'nothing'} after {took * 1e3:.1f} ms")
tell_process("now")
if not answer and silent:
    begun = time.perf_counter()
    for connfd in silent:
        connfd.close()
    print(f"the silent hang up -> {receive(peer, 6).decode().strip()} after {(time.perf_counter() - begun) * 1e3:.1f} ms more")
elif args.times > 1:
    times = sorted(ask(peer, b"hello\n")[1] * 1e6 for _ in range(args.times))
    print(f"{args.times} times: median {times[len(times) // 2]:.0f} us, worst {times[-1]:.0f} us")
if args.lines:
    sent, (answer, took) = 6 * args.lines, ask(peer, b"hello\n" * args.lines)
    print(f"{sent} bytes sent in one send -> {len(answer)} bytes came back")
    if len(answer) < sent:
        answer, took = ask(peer, b"again\n")
        print(f"6 bytes more -> {answer.decode().split()[0]} ... {answer.decode().split()[-1]}")
