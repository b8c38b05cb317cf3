#!/usr/bin/env python3
"""A client: the keyboard and the socket in one poll. Step 8: connect without waiting.

    python3 examples/course/connect.py [PORT]           (default 7000, where shout.rs listens)
"""
import errno, os, socket, sys
from select import EPOLLIN, EPOLLOUT, epoll

KEYBOARD = 0                        # standard input, as a descriptor


def start_connecting(address):
    """The socket, at once: the handshake goes on in the kernel (connect(2), EINPROGRESS)."""
    sockfd = socket.socket()
    sockfd.setblocking(False)
    error = sockfd.connect_ex(address)
    print("connect_ex:", errno.errorcode.get(error, "connected"), file=sys.stderr)
    if error not in (0, errno.EINPROGRESS):
        raise OSError(error, os.strerror(error))
    return sockfd


def finish_connecting(sockfd):
    """The socket is writable: the handshake has ended, well or badly."""
    error = sockfd.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    print("SO_ERROR:", errno.errorcode.get(error, 0), file=sys.stderr)
    if error:
        raise OSError(error, os.strerror(error))


def converse(address):
    sockfd, is_connected = start_connecting(address), False
    outbox, has_ended = b"", False
    poller = epoll()
    poller.register(sockfd, EPOLLOUT)
    while True:
        for fd, events in poller.poll():                    # the only line that sleeps
            if fd == KEYBOARD:
                typed = os.read(KEYBOARD, 4096)
                outbox += typed
                if not typed:                               # Ctrl-D: nothing more to send
                    poller.unregister(KEYBOARD)
                    has_ended = True
            elif not is_connected:
                finish_connecting(sockfd)
                is_connected = True
                poller.register(KEYBOARD, EPOLLIN)
            elif events & EPOLLOUT:
                outbox = outbox[sockfd.send(outbox):]
            else:
                answer = sockfd.recv(4096)
                if not answer:
                    return
                os.write(1, answer)
        if has_ended and not outbox:
            sockfd.shutdown(socket.SHUT_WR)                 # our side is done; answers still arrive
            has_ended = False
        # Room to send matters only while there is something to send.
        poller.modify(sockfd, EPOLLIN | (EPOLLOUT if outbox else 0))


if __name__ == "__main__":
    try:
        converse(("127.0.0.1", int((sys.argv + ["7000"])[1])))
    except KeyboardInterrupt:
        pass
    except OSError as error:
        sys.exit("connect.py: %s" % error.strerror)
