/* Every line comes back in capitals. Step 1: one peer after the other, and each call may sleep.
 *
 *     cc -O2 -o blocking examples/course/c/blocking.c
 *     ./blocking [PORT]                              (default 7000; 0 is any free port)
 */
#define _GNU_SOURCE                             /* memrchr, accept4 */
#include <arpa/inet.h>
#include <ctype.h>
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
    int one = 1, sockfd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(sockfd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(sockfd, (void *)&address, len) < 0 || listen(sockfd, 1024) < 0)
        die("listen");
    getsockname(sockfd, (void *)&address, &len);
    printf("127.0.0.1:%d, process %d\n", ntohs(address.sin_port), getpid());
    fflush(stdout);
    return sockfd;
}

/* The whole life of one connection. */
static void converse(int connfd) {
    struct peer peer = { .connfd = connfd };
    for (;;) {
        /* sleeps until something comes */
        ssize_t got = recv(connfd, peer.inbox + peer.in, PIECE, 0);
        if (got <= 0)                           /* the end; or a reset, one peer's trouble */
            break;
        peer.in += got;
        if (shout(&peer) < 0)
            break;
        for (size_t at = 0; at < peer.out;) {   /* sleeps until the kernel has it all */
            ssize_t sent = send(connfd, peer.outbox + at, peer.out - at, MSG_NOSIGNAL);
            if (sent < 0)                       /* a broken pipe; without the flag, a signal */
                goto gone;
            at += sent;
        }
    }
gone:
    close(connfd);
}

static void serve(int port) {
    int sockfd = listen_on(port);
    for (;;) {
        int connfd = accept(sockfd, NULL, NULL);            /* sleeps until somebody calls */
        if (connfd < 0)
            die("accept");
        converse(connfd);
    }
}

int main(int argc, char **argv) {
    struct rlimit limit;                        /* as many descriptors as we may */
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    serve(argc > 1 ? atoi(argv[1]) : 7000);
}
