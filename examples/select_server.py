#!/usr/bin/env python3
"""A file server in one thread and one select(): the program that oneloop's loop mirrors.

    python3 examples/select_server.py [DIR] [PORT]          (defaults: static 8000)

Start at HTTPServer.turn(). One rule holds everywhere: nobody waits but select(). Sockets never
block, so a read takes what has come, a write leaves what fits, and the rest is for another turn.
Left out, to stay small: deadlines (a silent peer stays for ever), caching, ranges, request bodies,
and a Ctrl-C that comes a moment before select() sleeps: it is heeded when somebody else wakes us.
"""
import mimetypes, os, re, sys
from collections import namedtuple
from email.utils import formatdate
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit
from select import select
from socket import IPPROTO_TCP, SHUT_WR, SO_REUSEADDR, SOL_SOCKET, TCP_NODELAY, socket
from urllib.parse import unquote_to_bytes

PIECE, MAX_HEAD, END = 65536, 16384, b"\r\n\r\n"    # bytes moved in one go; bytes of a request head
# select() takes descriptors below 1,024, and a peer may hold two of them: a socket and a file.
MAX_CONNECTIONS = (min(1024, getrlimit(RLIMIT_NOFILE)[0]) - 16) // 2
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
FIELD = rf"({TOKEN}):([^\x00-\x08\n-\x1f\x7f]*)\r\n"
HEAD = re.compile(rf"({TOKEN}) ([!-~]+) HTTP/1\.([0-9])\r\n((?:{FIELD})*)")
Request = namedtuple("Request", "method target persists consumed")


class Refusal(Exception):
    """An answer that is not a file: raised where the trouble is seen, rendered by plan()."""


class Connection:
    """One peer: bytes not yet understood; bytes, and the rest of a file, not yet sent."""
    def __init__(self, connfd):
        self.connfd, self.fileno = connfd, connfd.fileno    # select() asks each item for fileno()
        self.inbox, self.outbox, self.body, self.left = bytearray(), bytearray(), None, 0
        self.last = False                   # the answer under way is the last one

    def owed(self):
        """Is anything unsent, or read but unanswered? Of the latter, no select() would tell."""
        return self.outbox or self.left or END in self.inbox


class HTTPServer:
    def __init__(self, host="127.0.0.1", port=8000, dir="static"):
        self.address, self.root = (host, port), Path(dir).resolve(strict=True)
        self.rlist, self.wlist, self.xlist = [], [], []     # xlist: TCP's urgent byte, not for us
        self.create_socket()
        self.bind()

    def create_socket(self):
        self.sockfd = socket()
        self.sockfd.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        self.sockfd.setblocking(False)      # a caller may be gone between select() and accept()

    def bind(self):
        self.sockfd.bind(self.address)

    def serve_forever(self):
        self.sockfd.listen()
        print("http://%s:%d/" % self.sockfd.getsockname(), flush=True)
        self.rlist.append(self.sockfd)
        while True:
            self.turn()

    def turn(self):
        rs, ws, xs = self.wait()
        for r in rs + ws:
            if r is self.sockfd:
                self.accept()
            else:
                self.handle(r)

    def wait(self):
        return select(self.rlist, self.wlist, self.xlist)   # the only line where we ever sleep

    def accept(self):
        """One caller a turn is enough: select() is level-triggered, and will name us again."""
        try:
            connfd, address = self.sockfd.accept()
        except OSError:
            return
        connfd.setblocking(False)
        connfd.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)      # a file's last bytes must not wait
        self.rlist.append(Connection(connfd))
        if len(self.rlist + self.wlist) > MAX_CONNECTIONS:  # A full house: callers wait in the
            self.rlist.remove(self.sockfd)                  # backlog, and must not wake us in vain.

    def handle(self, c):
        """Converse with one peer: one read, one request, one write; then it is others' turn."""
        try:
            if c in self.rlist and not self.read(c):
                return self.close(c)        # end of input; and all that it asked for is sent
            self.receive(c)
            self.flush(c)
            if c.last and not c.owed():
                # To close with bytes unread would send a reset, which can destroy our answer on
                # its way. So close our side only, and discard what comes until the peer closes.
                c.connfd.shutdown(SHUT_WR)
        except BlockingIOError:             # "ready" is a hint: nothing there, or no room left
            pass
        except OSError:                     # reset, broken pipe, shrunken file: one peer's trouble
            return self.close(c)
        # A peer is in one list only. While we owe, we do not read: TCP holds the peer back. While
        # we do not, we stay out of wlist: sockets are mostly writable, and we should never sleep.
        now, then = (self.wlist, self.rlist) if c.owed() else (self.rlist, self.wlist)
        if c in then:
            then.remove(c)
            now.append(c)

    def read(self, c):
        data = c.connfd.recv(PIECE)
        if not c.last:
            c.inbox += data
        return data

    def receive(self, c):
        """Answer one whole request, once the answer before it is out of our hands."""
        if c.outbox or c.left:
            return
        request = None
        try:
            request = parse(c.inbox)
            if request is None:             # readable does not mean that a request is complete
                return
            found = find(self.root, locate(request))
        except Refusal as refusal:
            found = refusal
        self.answer(c, request, found)

    def answer(self, c, request, found):
        head, c.body, c.left = plan(request, found)
        c.outbox += head
        c.last = not (request and request.persists)
        del c.inbox[:None if c.last else request.consumed]

    def flush(self, c):
        """Try now: only when the kernel's buffer is full is there anything to wait for."""
        if c.left and len(c.outbox) < PIECE:
            piece = c.body.read(min(PIECE, c.left))
            if not piece:                   # better a short body than another answer inside it
                raise OSError("the file shrank")
            c.outbox += piece
            c.left -= len(piece)
        if c.outbox:
            sent = c.connfd.send(c.outbox)
            del c.outbox[:sent]             # a partial write is no error: the rest goes next

    def close(self, c):
        (self.rlist if c in self.rlist else self.wlist).remove(c)
        c.connfd.close()
        if self.sockfd not in self.rlist:
            self.rlist.append(self.sockfd)


# From here on nothing knows of sockets: bytes in, a plan out.

def parse(inbox):
    """The first request in `inbox`, or None while its head is not all there."""
    text, end, _ = bytes(inbox[:MAX_HEAD]).partition(END)
    if not end and len(inbox) < MAX_HEAD:
        return None
    head = end and HEAD.fullmatch(text.decode("latin-1") + "\r\n")
    if not head:
        raise Refusal(400)
    method, target, minor, lines = head.group(1, 2, 3, 4)
    fields = [(name, value.strip()) for name, value in re.findall(FIELD, lines.lower())]
    names = [name for name, value in fields]
    if names.count("host") != 1 and minor != "0":
        raise Refusal(400)
    said = re.split(r"\s*,\s*", ",".join(value for name, value in fields if name == "connection"))
    persists = "close" not in said and (minor != "0" or "keep-alive" in said)
    if "content-length" in names or "transfer-encoding" in names:
        persists = False    # a body must never pass for the next request: answer, and hang up
    return Request(method, target, persists, len(text + END))


def locate(request):
    """The target as a path beneath the root. It is split first and decoded after, once: so an
    encoded slash cannot become a separator, and `..` has nowhere to hide."""
    if request.method not in ("GET", "HEAD"):
        raise Refusal(405)
    path = re.sub("(?i)^http://[^/?#]+/?", "/", request.target).partition("?")[0]
    if not path.startswith("/") or re.search("#|%(?![0-9A-Fa-f]{2})", path):
        raise Refusal(400)
    names = [os.fsdecode(unquote_to_bytes(name)) for name in path.split("/")]
    if any(name.startswith(".") or "/" in name or "\0" in name for name in names):
        raise Refusal(404)                  # no parent folders, and no hidden files either
    return "/".join([name for name in names if name] + ["index.html"] * (not names[-1]))


def find(root, path):
    """The open file. (For files select() is no help: while a slow disk turns, everyone waits.)"""
    try:
        file = (root / path).resolve(strict=True)           # and after the last symbolic link,
        if file.is_relative_to(root) and file.is_file():    # is it still beneath the root?
            return file.open("rb")
    except (OSError, RuntimeError):         # RuntimeError: links in a circle
        pass
    raise Refusal(404)


def plan(request, found):
    """What to send for `found`, an open file or a Refusal: the head, the body, and its size."""
    if isinstance(found, Refusal):
        status = HTTPStatus(found.args[0])
        page = f"<!doctype html><title>{status.phrase}</title><h1>{status} {status.phrase}</h1>\n"
        body, size, kind = BytesIO(page.encode()), len(page), "text/html"
    else:
        status, body, size = HTTPStatus.OK, found, os.fstat(found.fileno()).st_size
        kind = mimetypes.guess_type(found.name)[0] or "application/octet-stream"
    head = [f"HTTP/1.1 {status:d} {status.phrase}", f"Date: {formatdate(usegmt=True)}",
            f"Content-Type: {kind}" + "; charset=utf-8" * kind.startswith("text/"),
            f"Content-Length: {size}", "Allow: GET, HEAD",          # a 405 must say it, all may
            "Connection: " + ("keep-alive" if request and request.persists else "close"), "\r\n"]
    if request and request.method == "HEAD":
        size = 0                            # the same head as GET, and no body after it
    return "\r\n".join(head).encode(), body, size


if __name__ == "__main__":
    dir, port = (sys.argv[1:] + ["static", "8000"][len(sys.argv) - 1:])[:2]
    try:
        HTTPServer(dir=dir, port=int(port)).serve_forever()
    except KeyboardInterrupt:
        pass
