#!/usr/bin/env bash
# How many system calls a warm request takes, counted by strace and not timed: one read and one write are the goal,
# plus a share of the poll.
#
#   benches/syscalls.sh [SERVER]         default: target/release/oneloop; needs strace and python3
#
# Fails where a request takes more than one read or one write.
set -euo pipefail
server=${1:-target/release/oneloop}
dir=$(mktemp -d)
trap 'kill "${pid:-0}" 2>/dev/null || true; rm -rf "$dir"' EXIT
mkdir "$dir/www"
head -c 1024 /dev/zero | tr '\0' x >"$dir/www/1k.html"
sleep 3 # a file that was written just now is not kept in the cache yet

strace -c -o "$dir/calls" "$server" --port 0 "$dir/www" >"$dir/url" &
pid=$!
for _ in $(seq 100); do [ -s "$dir/url" ] && break; sleep 0.1; done
python3 - "$(cat "$dir/url")" <<'PY'
import socket, sys
host, port = sys.argv[1].removeprefix("http://").rstrip("/").rsplit(":", 1)
peers = [socket.create_connection((host, int(port)), 10) for _ in range(16)]
for _ in range(500):  # 8,000 requests, 16 at a time
    for peer in peers:
        peer.sendall(b"GET /1k.html HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for peer in peers:
        got = b""
        while not got.endswith(b"x" * 1024):
            got += peer.recv(65536)
PY
kill -TERM "$(cat /proc/$pid/task/$pid/children)"
wait $pid || true
cat "$dir/calls"
awk -v requests=8000 '
    $NF == "recvfrom" || $NF == "read" { reads += $4 }
    $NF == "sendto" || $NF == "write" || $NF == "writev" { writes += $4 }
    $NF == "epoll_wait" { polls = $4 }
    $NF == "epoll_ctl" { controls = $4 }
    END {
        printf "%d requests: %.3f reads, %.3f writes, %.3f polls, %.3f epoll_ctl each\n",
            requests, reads / requests, writes / requests, polls / requests, controls / requests
        exit !(reads > 0 && reads < requests * 1.02 && writes < requests * 1.02 && controls < 100)
    }' "$dir/calls"
