#!/usr/bin/env python3
"""Lets good and bad clients use a server for a long time, and checks every byte that it sends.

    benches/soak.py [--secs N] [BINARY]       default: 600 seconds, target/release/oneloop

The clients are fast and slow, pipeline, ask for ranges and conditionally, list a directory, give up
in the middle, and send what is no HTTP, while other files are replaced and rewritten. Fails if a
response is wrong or stale, if memory or descriptors grow, or if the server uses the CPU afterwards.
If `wrk` is installed, it loads the server as well.
"""
import argparse, asyncio, hashlib, os, random, re, shutil, signal, socket, struct, subprocess, sys, tempfile, time

LARGE, CHUNK = 3_000_000, 65536
COUNTS = {}


def count(what, number=1):
    COUNTS[what] = COUNTS.get(what, 0) + number


def pattern(length):
    return b"".join(struct.pack(">I", i * 2654435761 % 2**32) for i in range(length // 4 + 1))[:length]


class Connection:
    """A client connection that parses responses strictly."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port, **options):
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**22, **options))

    def send(self, path, method="GET", fields=""):
        self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode())

    async def response(self, method="GET", pause=0.0):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("ascii")
        lines = head.split("\r\n")
        version, status = lines[0].split(" ")[:2]
        assert version == "HTTP/1.1", head
        fields = dict(line.split(": ", 1) for line in lines[1:-2])
        body = b""
        if method == "HEAD" or status in ("304", "204"):
            pass
        elif fields.get("Transfer-Encoding") == "chunked":
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            assert await self.reader.readexactly(2) == b"\r\n"
        else:
            left = int(fields["Content-Length"])
            while left:
                part = await self.reader.read(min(left, CHUNK))
                assert part, f"cut short by {left} bytes: {head}"
                body, left = body + part, left - len(part)
                if pause:
                    await asyncio.sleep(pause)
        count("responses")
        return int(status), fields, body

    async def ask(self, path, method="GET", fields="", pause=0.0):
        self.send(path, method, fields)
        return await self.response(method, pause)

    def close(self, reset=False):
        sock = self.writer.get_extra_info("socket")
        if reset and sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.close()


class Soak:
    def __init__(self, port, root, end):
        self.port, self.root, self.end = port, root, end
        self.files = {"/small.txt": b"small\n", "/medium.bin": pattern(50_000), "/large.bin": pattern(LARGE)}
        for path, content in self.files.items():
            with open(root + path, "wb") as file:
                file.write(content)
        os.makedirs(root + "/list")
        for i in range(50):
            open(f"{root}/list/{i}.txt", "w").close()
        time.sleep(3)  # the tag of a large file that was written just now is not final

    def connect(self, **options):
        return Connection.open(self.port, **options)

    async def repeat(self, client):
        while time.time() < self.end:
            try:
                await client()
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                # Only the clients that misbehave may be cut off.
                raise AssertionError(f"{client.__name__}: {error!r}") from error

    async def fast(self):
        peer = await self.connect()
        for _ in range(50):
            path, content = random.choice(list(self.files.items()))
            status, _, body = await peer.ask(path)
            assert (status, body) == (200, content), (path, status, len(body))
            assert (await peer.ask("/missing"))[0] == 404
            assert (await peer.ask(path, "HEAD"))[0] == 200
        peer.close()

    async def pipelining(self):
        peer = await self.connect()
        paths = [random.choice(["/small.txt", "/medium.bin"]) for _ in range(random.randint(2, 100))]
        for path in paths:
            peer.send(path)
        for path in paths:
            status, _, body = await peer.response()
            assert (status, body) == (200, self.files[path]), (path, status, len(body))
        peer.close()
        count("pipelines")

    async def ranges(self):
        peer = await self.connect()
        for _ in range(20):
            path = random.choice(["/medium.bin", "/large.bin"])
            content = self.files[path]
            first = random.randrange(len(content))
            last = min(first + random.randrange(200_000), len(content) - 1)
            status, _, body = await peer.ask(path, fields=f"Range: bytes={first}-{last}\r\n")
            assert (status, body) == (206, content[first:last + 1]), (path, first, last, status)
            status, fields, body = await peer.ask(path, fields="Range: bytes=0-1,9-9\r\n")
            assert status == 206 and fields["Content-Type"].startswith("multipart/byteranges"), fields
            parts = re.findall(rb"Content-Range: bytes (\d+)-(\d+)/\d+\r\n\r\n", body)
            assert parts == [(b"0", b"1"), (b"9", b"9")], parts
        peer.close()
        count("ranges", 40)

    async def conditional(self):
        peer = await self.connect()
        for path in self.files:
            _, fields, _ = await peer.ask(path, "HEAD")
            status, _, body = await peer.ask(path, fields=f"If-None-Match: {fields['ETag']}\r\n")
            assert (status, body) == (304, b""), (path, status)
            count("not modified")
        peer.close()
        await asyncio.sleep(0.01)

    async def listing(self):
        peer = await self.connect()
        status, _, body = await peer.ask("/list/", fields="Accept: application/json\r\n")
        assert status == 200 and body.count(b'"name"') == 50, (status, body[:200])
        peer.close()
        count("listings")
        await asyncio.sleep(0.01)

    async def slow_reader(self):
        peer = await self.connect()
        path = random.choice(["/medium.bin", "/large.bin"])
        status, _, body = await peer.ask(path, pause=0.05)
        assert (status, body) == (200, self.files[path]), (path, status, len(body))
        peer.close()
        count("slow downloads")

    async def slow_writer(self):
        peer = await self.connect()
        for byte in b"GET /small.txt HTTP/1.1\r\nHost: localhost\r\n\r\n":
            peer.writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
        assert (await peer.response())[2] == b"small\n"
        peer.close()

    async def giving_up(self):
        peer = await self.connect()
        peer.send(random.choice(list(self.files)))
        if random.random() < 0.5:
            await peer.reader.read(random.randint(1, 5000))
        peer.close(reset=random.random() < 0.5)
        count("given up")
        await asyncio.sleep(0.002)

    async def malformed(self):
        peer = await self.connect()
        junk = random.choice([b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/1.1\n\n", b"A" * 20_000,
                              b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", os.urandom(300) + b"\r\n\r\n",
                              b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"])
        try:
            peer.writer.write(junk)
            peer.writer.write_eof()
            answer = await peer.reader.read()
            assert not answer or answer.startswith(b"HTTP/1.1 4") or answer.startswith(b"HTTP/1.1 5"), answer[:100]
        except ConnectionError:
            pass
        peer.close()
        count("malformed")
        await asyncio.sleep(0.002)

    async def rewriting(self):
        """Replaces a file or rewrites it in place. The next request must see the new content."""
        name, peer = f"changes-{random.random()}.txt", await self.connect()
        for version in range(100):
            content = hashlib.sha256(f"{name} {version}".encode()).hexdigest() * random.choice([1, 100, 5000])
            target = f"{self.root}/{name}"
            written = target if version % 2 else target + ".new"
            with open(written, "w") as file:
                file.write(content)
            if written != target:
                os.rename(written, target)
            status, _, body = await peer.ask("/" + name)
            assert (status, body) == (200, content.encode()), f"stale: {name} {version} {status} {len(body)}"
            count("changes seen")
        os.remove(target)
        assert (await peer.ask("/" + name))[0] == 404, "it is deleted"
        peer.close()

    async def run(self):
        clients = [self.fast] * 4 + [self.pipelining] * 2 + [self.ranges] * 2 + [self.conditional, self.listing]
        clients += [self.slow_reader] * 20 + [self.slow_writer] * 10 + [self.giving_up] * 2 + [self.malformed] * 2
        clients += [self.rewriting] * 2
        await asyncio.gather(*(self.repeat(client) for client in clients))


class Process:
    """The memory, descriptors and CPU time of the server."""

    def __init__(self, pid):
        self.pid, self.samples = pid, []

    def rss(self):
        with open(f"/proc/{self.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            return sum(map(int, stat.read().rsplit(") ", 1)[1].split()[11:13]))

    async def sample(self, end):
        while time.time() < end:
            self.samples.append(self.rss())
            await asyncio.sleep(0.5)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary", nargs="?", default="target/release/oneloop")
    parser.add_argument("--secs", type=float, default=600)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        server = subprocess.Popen([options.binary, "-p", "0", "--listing", f"--access-log={os.devnull}", root],
                                  stdout=subprocess.PIPE, text=True)
        try:
            port = int(server.stdout.readline().rstrip("/\n").rsplit(":", 1)[1])
            process, end = Process(server.pid), time.time() + options.secs + 3
            soak = Soak(port, root, end)
            before, load = process.descriptors(), None
            if shutil.which("wrk"):
                load = subprocess.Popen(["wrk", "-t1", "-c64", f"-d{int(options.secs)}s", f"http://127.0.0.1:{port}/small.txt"],
                                        stdout=subprocess.PIPE, text=True)
            await asyncio.gather(soak.run(), process.sample(end))
            if load:
                found = re.search(r"(\d+) requests in", load.communicate()[0])
                count("responses to wrk", int(found[1]))
            await asyncio.sleep(3)  # lingering connections end
            cpu, after = process.cpu(), process.descriptors()
            await asyncio.sleep(2)
            idle = process.cpu() - cpu
            quarter = len(process.samples) // 4
            early, late = sorted(process.samples[quarter:2 * quarter]), sorted(process.samples[-quarter:])
            early, late = early[len(early) // 2], late[len(late) // 2]
            print(", ".join(f"{number:,} {what}" for what, number in COUNTS.items()))
            print(f"memory {early} -> {late} KiB (peak {max(process.samples)}), descriptors {before} -> {after}, "
                  f"CPU in 2 idle seconds {idle * 10} ms")
            assert late < early * 1.1 + 512, "memory grows"
            # The cache of small files may keep a descriptor of each watched directory.
            assert after <= before + 1, "descriptors grow"
            assert idle <= 2, "the server uses the CPU while it is idle"
            server.send_signal(signal.SIGTERM)
            assert server.wait(10) == 0, "it does not end"
        finally:
            server.kill()


asyncio.run(main())
