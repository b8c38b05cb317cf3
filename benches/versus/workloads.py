"""The site, and each workload with the answer that makes its figures valid."""
import dataclasses, gzip, os, re, socket

BROWSER = """Connection: keep-alive
sec-ch-ua-platform: "Linux"
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36
sec-ch-ua: "Not:A-Brand";v="8", "Chromium";v="156"
sec-ch-ua-mobile: ?0
Accept: image/jxl,image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8
Sec-Fetch-Site: same-origin
Sec-Fetch-Mode: no-cors
Sec-Fetch-Dest: image
Referer: http://127.0.0.1/articles/2026/11/the-loop-explained.html
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-US,en;q=0.9
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=2026-11-01T10:20:30.000Z""".split("\n")  # as Chromium asks for an image


@dataclasses.dataclass
class Work:
    about: str  # for the table in docs/PERFORMANCE.md
    path: str = "/1k.html"
    connections: int = 64
    fields: list = dataclasses.field(default_factory=list)  # of the request, behind Host
    script: str = ""  # Lua for wrk
    unit: str = "req"
    status: int = 200
    length: int | None = None  # of the body, as Content-Length says; None is any
    contains: bytes = b""  # of the body
    coding: str | None = None  # Content-Encoding
    revalidates: bool = False  # sends the ETag, or else the date, that the server itself has given
    beside: str = ""  # what else goes on meanwhile
    client: str = "wrk"
    limit_repeats: bool = False  # "limit" sends the same bytes as oneloop
    limit_copies: int = 1  # of the answer, which "limit" sends in turn


MANY = """local n = 0
request = function() n = (n + 7) % 1000 return wrk.format("GET", string.format("/many/%04d.html", n)) end"""
PIPE = """init = function()
  local r = {} for i = 1, 16 do r[i] = wrk.format("GET", string.format(PATH, 60 * i)) end all = table.concat(r)
end
request = function() return all end"""
LARGE = dict(path="/64m.bin", length=64 << 20, unit="MB")
WORK = {
    "1k": Work("1 KiB, 64 connections", length=1024),
    "1k-c1": Work("1 connection", connections=1, length=1024),
    "1k-c1000": Work("1,000 connections", connections=1000, length=1024),
    "16k": Work("16 KiB", "/16k.html", length=16384),
    "100k": Work("100 KiB", "/100k.bin", length=102400),
    "many": Work("1,000 files in turn", "/many/0420.html", length=1024, script=MANY, limit_copies=1000),
    "browser": Work("a head of 700 bytes, as Chromium sends it", fields=BROWSER, length=1024, limit_repeats=True),
    "304": Work("a copy that is still valid", status=304, revalidates=True, limit_repeats=True),
    "gzip": Work("a compressed variant", "/page.html", fields=["Accept-Encoding: gzip"], coding="gzip", limit_repeats=True),
    "range": Work("1,000 bytes of 100 KiB", "/100k.bin", fields=["Range: bytes=1000-1999"], status=206, length=1000, limit_repeats=True),
    "404": Work("a missing file", "/none.html", status=404),
    "listing": Work("a listing of 200 names", "/list/", contains=b"name-199.txt"),
    "log": Work("with an access log in a file", length=1024),
    "pipe16": Work("one file, 16 times in a pipeline", length=1024, script=PIPE.replace("PATH", '"/1k.html"')),
    "pipe-many": Work("16 files in a pipeline", "/many/0420.html", length=1024, script=PIPE.replace("PATH", '"/many/%04d.html"')),
    "close": Work("a connection for each request", fields=["Connection: close"], length=1024),
    "churn": Work("connections that vanish before the end", "/16k.html", length=16384, client="churn"),
    "64m": Work("64 MiB", connections=4, **LARGE),
    "idle8k": Work("beside 8,000 silent connections", length=1024, beside="idle"),
    "mixed": Work("beside four endless downloads", connections=16, length=1024, beside="downloads"),
    "slow": Work("beside 2,000 clients that read 100 KiB/s each", connections=16, length=1024, beside="slow readers"),
}


def make_site(tmp):
    """Writes the served files below `tmp`/www, and the scripts of wrk beside it."""
    tmp.chmod(0o755)  # some servers give up root's rights
    www = tmp / "www"
    for folder in ["many", "list"]:
        (www / folder).mkdir(parents=True)
    for name, size in [("1k.html", 1024), ("index.html", 1024), ("16k.html", 16384), ("100k.bin", 102400), ("64m.bin", 64 << 20)]:
        (www / name).write_bytes(os.urandom(1024) * (size // 1024))
    for i in range(1000):
        (www / "many" / f"{i:04}.html").write_bytes(b"z" * 1024)
    for i in range(200):
        (www / "list" / f"name-{i:03}.txt").write_bytes(b"z" * i)
    page = "".join(f"<p>Paragraph {i} has the number {i * i % 9973}.</p>\n" for i in range(400)).encode()
    (www / "page.html").write_bytes(page)
    (www / "page.html.gz").write_bytes(gzip.compress(page, mtime=0))
    WORK["gzip"].length = (www / "page.html.gz").stat().st_size
    for name, work in WORK.items():
        (tmp / f"{name}.lua").write_text(work.script)


@dataclasses.dataclass
class Answer:
    raw: bytes
    status: int
    head: str
    body: bytes

    def field(self, name):
        found = re.search(rf"(?im)^{name}: *(.*?)\r?$", self.head)
        return found and found[1]


def ask(port, path, fields, with_body=True):
    """One request as wrk sends it, and its answer."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *fields, "", ""]
    with socket.create_connection(("127.0.0.1", port), 5) as peer:
        peer.sendall("\r\n".join(lines).encode())
        raw = b""
        is_chunked, wanted = False, None  # bytes of the body
        while True:
            head, end, body = raw.partition(b"\r\n\r\n")
            if end:
                answer = Answer(raw, int(head.split()[1]), head.decode("latin-1"), body)
                is_chunked = "chunked" in (answer.field("Transfer-Encoding") or "")
                wanted = 0 if answer.status == 304 or not with_body else int(answer.field("Content-Length") or 0)
                if body.endswith(b"\r\n0\r\n\r\n") if is_chunked and with_body else len(body) >= wanted:
                    return answer
            more = peer.recv(1 << 20)
            if not more:
                raise OSError(f"the answer ends after {len(raw)} bytes")
            raw += more


def fields_of(work, port):
    """The request fields of a workload for the server at `port`."""
    if not work.revalidates:
        return work.fields
    first = ask(port, work.path, work.fields)
    tag, date = first.field("ETag"), first.field("Last-Modified")
    return [*work.fields, f"If-None-Match: {tag}" if tag else f"If-Modified-Since: {date}"]


def fault_of(work, answer):
    """Why an answer is not the one that is to be measured; empty if it is."""
    length = answer.field("Content-Length")
    faults = [
        f"status {answer.status}, not {work.status}" if answer.status != work.status else "",
        f"{length} bytes, not {work.length}" if work.length is not None and length != str(work.length) else "",
        f"Content-Encoding {answer.field('Content-Encoding')}" if answer.field("Content-Encoding") != work.coding else "",
        f"no {work.contains.decode()} in the body" if work.contains not in answer.body else "",
    ]
    return "; ".join(filter(None, faults))
