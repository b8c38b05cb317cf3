#!/usr/bin/env python3
"""Every line comes back in capitals. Step 2: a process for each peer, and each process may sleep.

    python3 examples/course/fork.py [PORT]              (default 7000; 0 is any free port)
"""
import os, signal, socket, sys
from resource import RLIMIT_NOFILE, getrlimit, setrlimit

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


def converse(connfd):
    """The whole life of one connection."""
    inbox = bytearray()
    try:
        while data := connfd.recv(PIECE):                   # sleeps until something comes
            inbox += data
            connfd.sendall(shout(inbox))                    # sleeps until the kernel has it all
    except OSError:                                         # reset, broken pipe: one peer's trouble
        pass
    connfd.close()


def serve(port):
    sockfd = listen(port)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)           # nobody waits for them: no zombies
    while True:
        connfd, address = sockfd.accept()                   # sleeps until somebody calls
        if os.fork() == 0:
            sockfd.close()
            converse(connfd)
            os._exit(0)
        connfd.close()                                      # the child has it, too


if __name__ == "__main__":
    setrlimit(RLIMIT_NOFILE, (getrlimit(RLIMIT_NOFILE)[1],) * 2)    # as many descriptors as we may
    try:
        serve(int((sys.argv + ["7000"])[1]))
    except KeyboardInterrupt:
        pass
