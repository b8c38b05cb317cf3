/* Every line comes back in capitals. Step 5: one thread, and the kernel keeps the list.
 *
 *     cc -O2 -o epoll examples/course/c/epoll.c
 *     ./epoll [PORT]                              (default 7000; 0 is any free port)
 */
#define _GNU_SOURCE                             /* memrchr, accept4 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
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
    for (;;) {                                  /* drain: until a call would block */
        if (peer->out == 0) {                   /* while we owe, we do not read */
            ssize_t got = recv(peer->connfd, peer->inbox + peer->in, PIECE, 0);
            if (got < 0)
                return errno == EAGAIN;         /* nothing there; or a reset, one peer's trouble */
            if (got == 0)
                return 0;
            peer->in += got;
            if (shout(peer) < 0)
                return 0;
        }
        if (peer->out > 0) {                    /* what does not fit goes next time */
            ssize_t sent = send(peer->connfd, peer->outbox, peer->out, MSG_NOSIGNAL);
            if (sent < 0)
                return errno == EAGAIN;
            peer->out -= sent;
            memmove(peer->outbox, peer->outbox + sent, peer->out);
        }
    }
}

static void serve(int port) {
    int sockfd = listen_on(port), watched = epoll_create1(0);
    struct epoll_event events[64], event = { .events = EPOLLIN | EPOLLET, .data.ptr = NULL };
    if (watched < 0 || epoll_ctl(watched, EPOLL_CTL_ADD, sockfd, &event) < 0)
        die("epoll");
    for (;;) {
        int count = epoll_wait(watched, events, 64, -1);    /* the only line that sleeps */
        if (count < 0)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;         /* the kernel keeps it for us */
            if (!peer) {
                while ((peer = accept_peer(sockfd))) {
                    event = (struct epoll_event){ EPOLLIN | EPOLLOUT | EPOLLET, { .ptr = peer } };
                    if (epoll_ctl(watched, EPOLL_CTL_ADD, peer->connfd, &event) < 0)
                        die("epoll_ctl");
                }
            } else if (!converse(peer)) {
                close(peer->connfd);                        /* the kernel takes it off its list */
                free(peer);
            }
        }
    }
}

int main(int argc, char **argv) {
    struct rlimit limit;                        /* as many descriptors as we may */
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    serve(argc > 1 ? atoi(argv[1]) : 7000);
}
