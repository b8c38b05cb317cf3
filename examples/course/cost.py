#!/usr/bin/env python3
"""What one call costs that asks "who is ready?", with N connections that are silent and one that is not.

    python3 examples/course/cost.py [N ...]             (default 10 100 1000 10000)
"""
import os, socket, sys, time
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from select import EPOLLIN, POLLIN, epoll, poll, select

ROUNDS, SECONDS = 5, 0.02           # each figure is the best of so many rounds of so many seconds


def connections(n):
    """Our ends of `n` connections, and a socket: their other ends stand in a process of their own,
    which sends a byte on each of them when it is told to, and ends when the socket is closed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    here, there = socket.socketpair()
    if os.fork() == 0:
        here.close()
        peers = [socket.create_connection(listener.getsockname()) for _ in range(n)]
        while there.recv(1):
            for peer in peers:
                peer.send(b"!")
            there.send(b"!")
        os._exit(0)
    there.close()
    return [listener.accept()[0] for _ in range(n)], here


def microseconds(call):
    """For one call: the best of some rounds, since whatever else runs can only make it slower."""
    def seconds(count):
        begun = time.perf_counter()
        for _ in range(count):
            call()
        return time.perf_counter() - begun
    count = 1
    while seconds(count) < SECONDS:
        count *= 2
    return f"{min(seconds(count) for _ in range(ROUNDS)) / count * 1e6:.1f}"


def cost(n):
    ours, control = connections(n)
    ready, peer = socket.socketpair()                       # the one that is ready comes last
    peer.send(b"!")
    fds = [connfd.fileno() for connfd in ours] + [ready.fileno()]
    polled, levels = poll(), epoll()
    for fd in fds:
        polled.register(fd, POLLIN)
        levels.register(fd, EPOLLIN)

    def row():
        return ["-" if max(fds) >= 1024 else microseconds(lambda: select(fds, [], [])),     # FD_SETSIZE
                microseconds(polled.poll), microseconds(lambda: levels.poll(maxevents=n + 1))]
    one = row()
    control.send(b"!")                                      # now all the others speak as well
    control.recv(1)
    print(f"{n:>7}" + "".join(f"{figure:>9}" for figure in one + row()), flush=True)
    control.close()
    os.wait()
    for connfd in ours:
        connfd.close()


if __name__ == "__main__":
    limit = getrlimit(RLIMIT_NOFILE)[1]
    setrlimit(RLIMIT_NOFILE, (limit, limit))
    print("us      one is ready               all are ready")
    print(f"{'n':>7}" + "".join(f"{name:>9}" for name in ("select", "poll", "epoll") * 2))
    for n in map(int, sys.argv[1:] or (10, 100, 1000, 10000)):
        if n + 20 < limit:
            cost(n)
        else:
            print(f"{n:>7}  more than this process may open (ulimit -Hn: {limit})")
