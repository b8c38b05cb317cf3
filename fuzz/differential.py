#!/usr/bin/env python3
"""Compares what oneloop, hyper and h11 make of mutated requests: differential.py [COUNT [SEED]]

Needs h11 (PyPI), and builds examples/verdicts.rs. Exits 1 if two parsers that accept a request do
not agree on what follows it: that is how a request is smuggled. Otherwise it prints how often one
accepts what another refuses, and the shortest example of each kind.
"""
import collections, pathlib, random, subprocess, sys

import h11

HERE = pathlib.Path(__file__).resolve().parent
SENTINEL = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
PIECES = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b"\0", b"\x7f", b"\x80", b"0", b"5", b"-", b"+", b"%", b"..", b"#", b"?",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: 5, 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Host: b\r\n", b"Connection: close\r\n",
    b"Connection: keep-alive\r\n", b"Expect: 100-continue\r\n", b" chunked", b"HTTP/1.0", b"HTTP/2.0", b"POST", b"HEAD", b"CONNECT",
    b"0\r\n\r\n", b"5\r\nhello\r\n", b"hello", b";a=b", b"X: y\r\n z\r\n", b"Content-Length : 5\r\n", b"http://a", b"*", b"a@b", b"[::1]",
]
BASES = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a?b HTTP/1.1\r\nHost: a:80\r\nX: y\r\n\r\n",
    b"HEAD / HTTP/1.0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: x\r\n\r\n",
    b"GET http://a/b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
]


def mutated(random):
    data = random.choice(BASES)
    for _ in range(random.choice([0, 1, 1, 1, 2, 2, 3])):
        at = random.randrange(len(data) + 1)
        if random.random() < 0.3:  # at the start of a line
            at = random.choice([i + 2 for i in range(len(data)) if data[i : i + 2] == b"\r\n"] or [0])
        end = at + random.choice([0, 0, 0, 1, 2])
        data = data[:at] + random.choice(PIECES) + data[end:]
    return data + SENTINEL


def by_h11(data):
    connection, seen, start = h11.Connection(h11.SERVER), [], None
    try:
        connection.receive_data(data)
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                return seen, "open"
            if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return seen, "closed"
            if isinstance(event, h11.Request):
                start = f"{event.method.decode('latin-1')} {event.target.decode('latin-1')}"
            if isinstance(event, h11.EndOfMessage):
                seen.append(start)
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is h11.MUST_CLOSE or connection.their_state is h11.MUST_CLOSE:
                    return seen, "closed"
                connection.start_next_cycle()
    except h11.ProtocolError:
        return seen, "refused"


def kind(mine, theirs, name):
    """What the difference is, or None. "SMUGGLED" begins the one that must not be."""
    (seen, reason), (other, other_end) = mine, theirs
    end = reason.split(":")[0]
    both = min(len(seen), len(other))
    # Absolute targets may be printed in another form, so the methods and the number are compared.
    if any(a.split(" ")[0] != b.split(" ")[0] for a, b in zip(seen, other)):
        return f"SMUGGLED: another request than {name}"
    if len(seen) > both:
        return f"oneloop accepts, {name} " + ("refuses" if other_end == "refused" else f"is {other_end}")
    if len(other) > both:
        return f"{name} accepts, oneloop " + (reason if end == "refused" else f"is {end}")
    if "refused" in (end, other_end) and end != other_end and "closed" not in (end, other_end):
        return f"oneloop {reason}, {name} {other_end}"
    return None


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    build = ["cargo", "build", "--quiet", "--example", "verdicts", "--message-format=short"]
    subprocess.run(build, cwd=HERE, check=True)
    program = HERE / "target/debug/examples/verdicts"
    generator = random.Random(seed)
    inputs = [mutated(generator) for _ in range(count)]
    text = "".join(data.hex() + "\n" for data in inputs)
    lines = subprocess.run([program], input=text, capture_output=True, text=True, check=True).stdout.split("\n")
    kinds = collections.defaultdict(list)
    for data, line in zip(inputs, lines, strict=False):
        mine, hypers = ((verdict.split("|")[:-1], verdict.split("|")[-1]) for verdict in line.split("\t"))
        for name, theirs in ("hyper", hypers), ("h11", by_h11(data)):
            found = kind(mine, theirs, name)
            if found:
                kinds[found].append((data, mine, theirs))
    for found, examples in sorted(kinds.items()):
        print(f"{len(examples):6}  {found}")
        for data, mine, theirs in sorted(examples, key=lambda example: len(example[0]))[: 1000 if "-v" in sys.argv else 3]:
            print(f"        {data.removesuffix(SENTINEL)!r}\n            {mine} {theirs}")
    print(f"{count} inputs, seed {seed}")
    return 1 if any(found.startswith("SMUGGLED") for found in kinds) else 0


sys.exit(main())
