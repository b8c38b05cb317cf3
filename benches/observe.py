#!/usr/bin/env python3
"""Measures what the live page costs: CPU time per request, as a ratio to a server without it.

    benches/observe.py [--connections N] [--rounds N] [BINARY]      default: 64, 30, target/release/oneloop

Three servers stay up: one without `--observe`, one with it, and one whose page is open (a client
reads its stream). In each round, `wrk` loads one after the other, in random order, for a second
each. Each ratio is the median of the ratios of all rounds. The servers have the first core and the
clients the second one, so the machine needs two and should be quiet.
"""
import argparse, os, random, re, statistics, subprocess, sys, tempfile

FILE = "x" * 382


def start(binary, options, site):
    """Starts a server, and returns it with the lines that it prints."""
    command = ["taskset", "-c", "0", binary, "--port", "0", "-q", *options, site]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return server, [server.stdout.readline().strip() for _ in range(1 + len(options))]


def cpu_ns(pid):
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0])


def load(server, url, connections):
    """Loads the server for a second. Returns its CPU time for a request, in microseconds."""
    before = cpu_ns(server.pid)
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", "-d1", url + "f.txt"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", output)[1])
    return (cpu_ns(server.pid) - before) / requests / 1000


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--connections", type=int, default=64)
    options.add_argument("--rounds", type=int, default=30)
    options.add_argument("binary", nargs="?", default="target/release/oneloop")
    args = options.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("two cores are needed; use a machine with more")
    with tempfile.TemporaryDirectory() as site:
        with open(os.path.join(site, "f.txt"), "w") as file:
            file.write(FILE)
        servers = {
            "none": start(args.binary, [], site),
            "--observe": start(args.binary, ["--observe"], site),
            "--observe, page open": start(args.binary, ["--observe"], site),
        }
        page = servers["--observe, page open"][1][1]
        reader = subprocess.Popen(["taskset", "-c", "1", "curl", "-sNo", os.devnull, page + "events"])
        try:
            measure(servers, args)
        finally:
            for process in [reader, *(server for server, _ in servers.values())]:
                process.terminate()
                process.wait()


def measure(servers, args):
    times = {name: [] for name in servers}
    for _ in range(args.rounds):
        for name in random.sample(list(servers), len(servers)):
            server, lines = servers[name]
            times[name].append(load(server, lines[0], args.connections))
    for name, own in times.items():
        ratio = statistics.median(a / b for a, b in zip(own, times["none"]))
        print(f"{name:22} {statistics.median(own):7.2f} us   {ratio:.3f}")


if __name__ == "__main__":
    main()
