/* Every line comes back in capitals. Step 4: one thread, and only poll() may sleep.
 *
 *     cc -O2 -o poll examples/course/c/poll.c
 *     ./poll [PORT]                              (default 7000; 0 is any free port)
 */
#define _GNU_SOURCE                             /* memrchr, accept4 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* bytes read in one go; nobody may make us keep a longer line */
enum { PIECE = 4096, LONGEST = 1000 };

struct peer {
    int connfd;
    size_t in, out;                             /* bytes of a line's beginning, and of an answer */
    char inbox[LONGEST + PIECE], outbox[LONGEST + PIECE];
};

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Moves the whole lines of the inbox to the outbox, in capitals. What follows them is no line
 * yet, and stays. Returns -1 if it can become none. */
static int shout(struct peer *peer) {
    char *last = memrchr(peer->inbox, '\n', peer->in);
    peer->out = last ? last + 1 - peer->inbox : 0;
    for (size_t i = 0; i < peer->out; i++)
        peer->outbox[i] = toupper((unsigned char)peer->inbox[i]);
    peer->in -= peer->out;
    memmove(peer->inbox, peer->inbox + peer->out, peer->in);
    return peer->in > LONGEST ? -1 : 0;
}

static int listen_on(int port) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    socklen_t len = sizeof address;
    int one = 1, sockfd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(sockfd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(sockfd, (void *)&address, len) < 0 || listen(sockfd, 1024) < 0)
        die("listen");
    getsockname(sockfd, (void *)&address, &len);
    printf("127.0.0.1:%d, process %d\n", ntohs(address.sin_port), getpid());
    fflush(stdout);
    return sockfd;
}

/* The next caller; or NULL, if there is none after all. */
static struct peer *accept_peer(int sockfd) {
    /* from now on no call on it sleeps */
    int connfd = accept4(sockfd, NULL, NULL, SOCK_NONBLOCK);
    if (connfd < 0) {
        if (errno == EAGAIN)
            return NULL;
        die("accept");
    }
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        die("calloc");
    peer->connfd = connfd;
    return peer;
}

/* What can be done for a peer without sleeping. 0: it is gone. */
static int converse(struct peer *peer) {
    if (peer->out == 0) {                       /* while we owe, we do not read */
        ssize_t got = recv(peer->connfd, peer->inbox + peer->in, PIECE, 0);
        if (got < 0)
            return errno == EAGAIN;             /* nothing there; or a reset, one peer's trouble */
        if (got == 0)
            return 0;
        peer->in += got;
        if (shout(peer) < 0)
            return 0;
    }
    if (peer->out > 0) {                        /* what does not fit goes next time */
        ssize_t sent = send(peer->connfd, peer->outbox, peer->out, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN;
        peer->out -= sent;
        memmove(peer->outbox, peer->outbox + sent, peer->out);
    }
    return 1;
}

static void serve(int port) {
    int sockfd = listen_on(port);
    size_t room = sysconf(_SC_OPEN_MAX), count = 1;
    struct pollfd *watched = calloc(room, sizeof *watched);
    struct peer **peers = calloc(room, sizeof *peers);      /* by descriptor */
    if (!watched || !peers)
        die("calloc");
    watched[0] = (struct pollfd){ .fd = sockfd, .events = POLLIN };
    for (;;) {
        if (poll(watched, count, -1) < 0)                   /* the only line that sleeps */
            die("poll");
        for (size_t i = count; i-- > 0;) {      /* from the end, where entries come and go */
            int fd = watched[i].fd;
            if (!watched[i].revents)
                continue;
            if (fd == sockfd) {
                struct peer *peer = accept_peer(sockfd);
                if (peer) {
                    peers[peer->connfd] = peer;
                    watched[count++] = (struct pollfd){ .fd = peer->connfd, .events = POLLIN };
                }
            } else if (converse(peers[fd])) {
                watched[i].events = peers[fd]->out ? POLLOUT : POLLIN;
            } else {
                close(fd);
                free(peers[fd]);
                watched[i] = watched[--count];              /* the last one takes the free place */
            }
        }
    }
}

int main(int argc, char **argv) {
    struct rlimit limit;                        /* many descriptors; serve() has room for each */
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 1 << 20 ? limit.rlim_max : 1 << 20;
    setrlimit(RLIMIT_NOFILE, &limit);
    serve(argc > 1 ? atoi(argv[1]) : 7000);
}
