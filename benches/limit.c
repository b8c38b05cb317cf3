// The least that an epoll server can do: it parses nothing, and sends the same answer for each empty line that it reads.
// usage: limit PORT FILE [COUNT]    Sends FILE behind a head: from memory up to 1 MiB, or else with sendfile.
//                                   With COUNT, it has that many copies in memory and sends them in turn, as
//                                   a server has to read different memory for each of many files.
//        limit PORT --answer FILE   Sends FILE, which holds a whole answer with its head.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEERS 20000
#define AT_ONCE 32 // the most answers in one write, for pipelines
#define SLICE (2 << 20)

static off_t left[PEERS], at[PEERS]; // how much of the file each peer still has to get, and from which offset
static int file;

static void send_file(int peer) {
    while (left[peer] > 0) {
        ssize_t sent = sendfile(peer, file, &at[peer], left[peer] > SLICE ? SLICE : left[peer]);
        if (sent <= 0) return;
        left[peer] -= sent;
    }
}

static void welcome(int poller, int listener) {
    int peer, yes = 1;
    while ((peer = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
        setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        left[peer] = 0;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data.fd = peer};
        epoll_ctl(poller, EPOLL_CTL_ADD, peer, &event);
    }
}

int main(int count, char **argument) {
    int is_whole = count == 4 && !strcmp(argument[2], "--answer"), is_in_turn = count == 4 && !is_whole;
    int copies = is_in_turn ? atoi(argument[3]) : AT_ONCE, next = 0;
    if (count < 3 || count > 4 || copies < 1 || (file = open(argument[2 + is_whole], O_RDONLY)) < 0)
        return fputs("usage: limit PORT FILE [COUNT], or limit PORT --answer FILE\n", stderr), 2;
    signal(SIGPIPE, SIG_IGN);
    struct stat status;
    fstat(file, &status);
    int is_large = !is_whole && status.st_size > 1 << 20, yes = 1;
    char *answers = malloc((size_t)(600 + (is_large ? 0 : status.st_size)) * copies);
    long length = is_whole ? 0 : sprintf(answers,
        "HTTP/1.1 200 OK\r\nServer: limit\r\nDate: Fri, 20 Nov 2026 09:18:59 GMT\r\nContent-Type: text/html; charset=utf-8\r\n"
        "Content-Length: %ld\r\nLast-Modified: Fri, 20 Nov 2026 09:18:59 GMT\r\nETag: \"655b1c3a-400\"\r\nAccept-Ranges: bytes\r\n\r\n",
        (long)status.st_size);
    if (!is_large) length += pread(file, answers + length, status.st_size, 0);
    for (int i = 1; i < copies; i++) memcpy(answers + length * i, answers, length);

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(atoi(argument[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) return perror("limit"), 1;
    int poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[1024];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);

    static char input[65536];
    for (;;) {
        int ready = epoll_wait(poller, events, 1024, -1);
        for (int i = 0; i < ready; i++) {
            int peer = events[i].data.fd;
            if (peer == listener) {
                welcome(poller, listener);
                continue;
            }
            if (events[i].events & EPOLLOUT) send_file(peer);
            if (!(events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))) continue;
            ssize_t got = read(peer, input, sizeof input);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 0) {
                close(peer);
                continue;
            }
            int asked = 0, is_last = memmem(input, got, "close", 5) != 0;
            for (char *end = input; (end = memmem(end, input + got - end, "\r\n\r\n", 4)); end += 4) asked++;
            while (asked > 0) {
                int now = is_large ? 1 : asked > AT_ONCE ? AT_ONCE : asked;
                if (now > copies - next) now = copies - next;
                if (send(peer, answers + length * next, length * now, is_large ? MSG_MORE : 0) < 0) break;
                if (is_in_turn) next = (next + now) % copies;
                asked -= now;
                if (is_large) at[peer] = 0, left[peer] = status.st_size, send_file(peer);
            }
            if (is_last && left[peer] == 0) close(peer);
        }
    }
}
