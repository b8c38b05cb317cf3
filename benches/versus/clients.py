#!/usr/bin/env python3
"""The clients that wrk cannot be. Both print what they did as JSON.

  clients.py churn PORT PATH SECS          4,000 connections a second that vanish before the end of their answers
  clients.py slow PORT PATH COUNT RATE     COUNT clients that read RATE bytes a second each, until standard input ends;
                                           the first line that they print says that all of them read
"""
import json, resource, select, socket, struct, sys, time

AT_ONCE = 8
CONNECTIONS_PER_SECOND = 4000
TICK = 0.1  # a slow reader reads so often, in seconds


def request(port, path):
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def connect(port):
    peer = socket.socket()
    peer.connect(("127.0.0.1", port))
    return peer


def churn(port, path, secs):
    """Half of the clients reset the connection once they have asked. The others read 1 KiB, and close while the rest comes,
    which the kernel turns into a reset."""
    asked, no_linger = request(port, path), struct.pack("ii", 1, 0)
    made, failed, times, start = 0, 0, [], time.perf_counter()
    while (now := time.perf_counter() - start) < secs:
        if (early := made / CONNECTIONS_PER_SECOND - now) > 0:
            time.sleep(early)
        begin = time.perf_counter()
        peers = [connect(port) for _ in range(AT_ONCE)]
        for index, peer in enumerate(peers):
            peer.sendall(asked)
            if index % 2:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
                peer.close()
        for peer in peers[::2]:
            failed += not peer.recv(1024)
            times.append(time.perf_counter() - begin)
            peer.close()
        made += AT_ONCE
    times.sort()
    took = time.perf_counter() - start
    print(json.dumps({"count": made, "rate": made / took, "failed": failed, "p99_ms": 1000 * times[len(times) * 99 // 100]}))


def slow(port, path, count, rate):
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    asked, piece, peers = request(port, path), bytearray(int(rate * TICK)), []
    for _ in range(count):
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # or the kernel would read in their place
        peer.connect(("127.0.0.1", port))
        peer.sendall(asked)
        peers.append(peer)
    for peer in peers:
        if not peer.recv_into(piece):
            sys.exit("a slow reader gets nothing")
        peer.setblocking(False)
    print(json.dumps({"reading": len(peers)}), flush=True)
    read, start, due, step = 0, time.perf_counter(), 0.0, max(1, count // 100)
    while True:
        for first in range(0, count, step):
            due += TICK * step / count
            if select.select([sys.stdin], [], [], max(0, start + due - time.perf_counter()))[0]:
                took = time.perf_counter() - start
                print(json.dumps({"share": read / took / (count * rate)}))
                return
            for peer in peers[first : first + step]:
                try:
                    read += peer.recv_into(piece)
                except BlockingIOError:
                    pass


if __name__ == "__main__":
    kind, port, path, *numbers = sys.argv[1:]
    {"churn": churn, "slow": slow}[kind](int(port), path, *map(int, numbers))
