#!/usr/bin/env python3
"""Every line comes back in capitals. Step 4: one thread, and only poll() may sleep.

    python3 examples/course/poll.py [PORT]              (default 7000; 0 is any free port)
"""
import os, socket, sys
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from select import POLLIN, POLLOUT, poll

PIECE, LONGEST = 4096, 1000         # bytes read in one go; nobody may make us keep a longer line


def shout(inbox):
    """The whole lines of `inbox`, in capitals. What follows them is no line yet, and stays."""
    end = inbox.rfind(b"\n") + 1
    answer = inbox[:end].upper()
    del inbox[:end]
    if len(inbox) > LONGEST:
        raise OSError("a line without end")
    return answer


def listen(port):
    sockfd = socket.create_server(("127.0.0.1", port), backlog=1024)    # socket(2), bind(2), listen(2)
    print("127.0.0.1:%d, process %d" % (sockfd.getsockname()[1], os.getpid()), flush=True)
    return sockfd


class Peer:
    """One connection: what a thread has in its local variables stands here."""
    def __init__(self, connfd):
        self.connfd, self.inbox, self.outbox = connfd, bytearray(), bytearray()


def accept(sockfd):
    """The next caller; or None, if there is none after all."""
    try:
        connfd, address = sockfd.accept()
    except BlockingIOError:
        return None
    connfd.setblocking(False)                               # from now on no call on it sleeps
    return Peer(connfd)


def converse(peer):
    """What can be done for a peer without sleeping. False: it is gone."""
    try:
        if not peer.outbox:                                 # while we owe, we do not read
            data = peer.connfd.recv(PIECE)
            if not data:
                return False
            peer.inbox += data
            peer.outbox += shout(peer.inbox)
        if peer.outbox:                                     # what does not fit goes next time
            del peer.outbox[:peer.connfd.send(peer.outbox)]
    except BlockingIOError:                                 # nothing there, or no room left
        pass
    except OSError:                                         # reset, broken pipe: one peer's trouble
        return False
    return True


def serve(port):
    sockfd = listen(port)
    sockfd.setblocking(False)
    peers = {}                                              # by descriptor
    watched = poll()
    watched.register(sockfd.fileno(), POLLIN)
    while True:
        for fd, events in watched.poll():                   # the only line that sleeps
            if fd == sockfd.fileno():
                if peer := accept(sockfd):
                    peers[peer.connfd.fileno()] = peer
                    watched.register(peer.connfd.fileno(), POLLIN)
            elif converse(peers[fd]):
                watched.modify(fd, POLLOUT if peers[fd].outbox else POLLIN)
            else:
                watched.unregister(fd)
                peers.pop(fd).connfd.close()


if __name__ == "__main__":
    setrlimit(RLIMIT_NOFILE, (getrlimit(RLIMIT_NOFILE)[1],) * 2)    # as many descriptors as we may
    try:
        serve(int((sys.argv + ["7000"])[1]))
    except KeyboardInterrupt:
        pass
