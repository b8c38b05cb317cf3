#!/usr/bin/env python3
"""oneloop beside other servers, under wrk, on one machine; the figures of docs/PERFORMANCE.md come from here.

  cargo build --release && benches/versus.py [--rounds N] [--secs S] [--work 1k,many] [--only ours,nginx] [--draw chart.svg]

Each server has CPU 0 for itself, and wrk has CPU 1. The rounds of all servers are interleaved, and ratios are medians of pairs of
rounds. CPU time per request is the steadiest figure on a noisy machine. "limit" is the least that an epoll server can do: it parses
nothing and sends the same answer each time (in `many` 1,000 copies in turn, because the others read 1,000 files). Before a server
is measured, it must give the answer that the workload is about (status, length, coding). If it does not, or does not start, or
ends before its round does, its row is INVALID. The script needs wrk, gcc, taskset and chrt. It measures the servers that are
installed (nginx, lighttpd, h2o, darkhttpd) or in --peers DIR (lwan, static-web-server, miniserve). Do not build anything meanwhile.

  benches/versus.py --json run.json --work 304,gzip     measures two workloads, and keeps the others of an earlier run.json
  benches/versus.py --json run.json --rounds 0 --table  prints run.json as the table in docs/PERFORMANCE.md
"""
import argparse, json, pathlib, re, resource, shutil, signal, socket, subprocess, sys, tempfile, time

from versus import report
from versus.servers import SERVERS, command
from versus.workloads import WORK, ask, fault_of, fields_of, make_site

HERE = pathlib.Path(__file__).resolve().parent
TMP = pathlib.Path(tempfile.mkdtemp(prefix="versus"))
CLIENT_CPU = ["taskset", "-c", "1"]
# For a load that shares the client's CPU with the one that is measured. Were they equals, each would wait for the other's time
# slice of some 4 ms, and that would be the p99 of every server: SCHED_IDLE takes what the measured load leaves.
BESIDE = ["chrt", "-i", "0", *CLIENT_CPU]
SLOW_READERS, SLOW_RATE = 2000, 100 << 10


def client(kind, *arguments):
    return [sys.executable, str(HERE / "versus/clients.py"), kind, *map(str, arguments)]


def wrk(port, work, secs, fields):
    script = ["-s", str(TMP / f"{work}.lua")] if WORK[work].script else []
    headers = [word for field in fields for word in ("-H", field)]
    address = f"http://127.0.0.1:{port}{WORK[work].path}"
    return ["wrk", "-t1", f"-c{WORK[work].connections}", f"-d{secs}s", "--latency", *script, *headers, address]


def hold(port, count):
    """Opens `count` connections, has an answer on each, and leaves them open."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
    held = []
    try:
        for _ in range(count):
            held.append(socket.create_connection(("127.0.0.1", port), 2))
            held[-1].sendall(b"GET /1k.html HTTP/1.1\r\nHost: localhost\r\n\r\n")
            got = 0
            while got < 1124 and (more := len(held[-1].recv(65536))):
                got += more
    except OSError:
        pass
    return held


def is_up(port):
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


def status(pid, field):
    return int(re.search(rf"{field}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))


def cpu_us(pid):
    """CPU time of all threads: to the nanosecond, where /proc/PID/stat counts ticks of 10 ms."""
    return sum(int(task.read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1000


def end(server):
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(3)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def start(arguments):
    return subprocess.Popen(["taskset", "-c", "0", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def fixed_answer(work, port, options):
    """The arguments of "limit": what oneloop sends to this workload's request, or a file to send behind a head of its own."""
    if not WORK[work].limit_repeats:
        path, copies = TMP / "www" / WORK[work].path[1:], WORK[work].limit_copies
        return [str(path if path.is_file() else TMP / "www/1k.html"), *([str(copies)] if copies > 1 else [])]
    ours, path = start(command("ours", port, work, options, TMP)), TMP / f"{work}.answer"
    try:
        if is_up(port):
            path.write_bytes(ask(port, WORK[work].path, fields_of(WORK[work], port)).raw)
    finally:
        end(ours)
    return ["--answer", str(path)]


class Beside:
    """What goes on beside the measured load."""

    def __init__(self, kind, server, port, secs):
        self.kind, self.found, self.held, self.process = kind, {}, [], None
        if kind == "idle":
            resident = status(server.pid, "VmRSS")
            self.held = hold(port, 8000)
            self.found["idle_bytes"] = (status(server.pid, "VmRSS") - resident) * 1024 / max(1, len(self.held))
        if kind == "downloads":
            self.process = subprocess.Popen([*BESIDE, *wrk(port, "64m", secs + 1, [])], stdout=subprocess.DEVNULL)
            time.sleep(0.5)
        if kind == "slow readers":
            # They must get their rate, or a server that starves them would look cheap. Each of their steps takes some 0.1 ms.
            readers = [*CLIENT_CPU, *client("slow", port, "/64m.bin", SLOW_READERS, SLOW_RATE)]
            self.process = subprocess.Popen(readers, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.process.stdout.readline()

    def end(self):
        for connection in self.held:
            connection.close()
        if self.process:
            said = self.process.communicate()[0]
            self.found |= json.loads(said) if said else {"share": 0} if self.kind == "slow readers" else {}


def measure(work, port, secs, fields):
    """Runs the measured load: how much was done in a second, how many requests, the p99, and what went wrong."""
    if WORK[work].client == "churn":
        said = subprocess.run([*CLIENT_CPU, *client("churn", port, WORK[work].path, secs)], capture_output=True, text=True).stdout
        found = json.loads(said or '{"count": 0, "rate": 0, "p99_ms": 0, "failed": 1}')
        wrong = f"{found['failed']} connections got nothing" if found["failed"] else ""
        return {"value": found["rate"], "p99_ms": found["p99_ms"], "errors": "", "wrong": wrong}, found["count"]
    said = subprocess.run([*CLIENT_CPU, *wrk(port, work, secs, fields)], capture_output=True, text=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1))
    amount, size = re.search(r"Transfer/sec:\s+([\d.]+)(\w+)", said).groups()
    p99, of = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()
    return {
        "value": float(amount) * {"B": 1e-6, "KB": 1e-3, "MB": 1, "GB": 1e3}[size] if WORK[work].unit == "MB" else rate,
        "p99_ms": float(p99) * {"us": 1e-3, "ms": 1, "s": 1e3}[of],
        "errors": (re.search(r"Socket errors: (.*)", said) or [0, ""])[1],
        "wrong": "other answers than 2xx" if WORK[work].status < 400 and "Non-2xx" in said else "",
    }, int(re.search(r"(\d+) requests in", said).group(1))


def run(arguments, port, work, secs):
    """One round of one server: what was measured, or what was `wrong`."""
    log = TMP / "access.log"
    log.unlink(missing_ok=True)
    server = start(arguments)
    try:
        if not is_up(port):
            return {"wrong": "did not start"}
        fields = fields_of(WORK[work], port)
        wrong = fault_of(WORK[work], ask(port, WORK[work].path, fields, with_body=WORK[work].unit != "MB"))
        has_own_answer = arguments[0].endswith("/limit") and not WORK[work].limit_repeats
        if wrong and not has_own_answer:
            return {"wrong": wrong}
        if WORK[work].script:  # of many files, each of which a server opens once and keeps
            subprocess.run([*CLIENT_CPU, *wrk(port, work, 1, fields)], stdout=subprocess.DEVNULL)
        beside, before = Beside(WORK[work].beside, server, port, secs), cpu_us(server.pid)
        result, count = measure(work, port, secs, fields)
        beside.end()
        if server.poll() is not None:
            return {"wrong": "died"}
        result |= beside.found | {"cpu_us": (cpu_us(server.pid) - before) / max(1, count), "peak_kib": status(server.pid, "VmHWM")}
    finally:
        end(server)
    logged = log.read_bytes().count(b"\n") if log.exists() else 0
    if work == "log" and logged < 0.99 * count:
        result["wrong"] = f"{logged} lines in the log for {count} requests"
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--secs", type=int, default=4)
    parser.add_argument("--work", default=",".join(WORK))
    parser.add_argument("--only", default=",".join(SERVERS))
    parser.add_argument("--ours", default=str(HERE.parent / "target/release/oneloop"))
    parser.add_argument("--before", metavar="PROGRAM", help="another build of oneloop, to be compared in the same run")
    parser.add_argument("--ours-args", default="")
    parser.add_argument("--peers", default="peers", metavar="DIR")
    parser.add_argument("--json", metavar="FILE", help="what was measured, round by round; with --rounds 0 it is only read")
    parser.add_argument("--draw", metavar="FILE", help="a chart of CPU per request, as SVG")
    parser.add_argument("--table", action="store_true", help="print the rows of a Markdown table")
    options = parser.parse_args()
    for work in options.work.split(","):
        if work not in WORK:
            parser.error(f"no workload is called {work}; there are {', '.join(WORK)}")
    path = pathlib.Path(options.json or TMP / "measured.json")
    measured = json.loads(path.read_text()) if path.exists() else {}
    if options.rounds:
        make_site(TMP)
    port = 21000
    for work in options.work.split(",") if options.rounds else []:
        start_of = {name: command(name, 0, work, options, TMP) for name in options.only.split(",")}
        by_server = measured[work] = {name: [] for name, arguments in start_of.items() if arguments}
        port += 1
        repeated = fixed_answer(work, port, options) if "limit" in by_server else []
        for _ in range(options.rounds):
            for name in by_server:
                port += 1
                arguments = command(name, port, work, options, TMP) + (repeated if name == "limit" else [])
                by_server[name].append(run(arguments, port, work, options.secs))
        report.report(work, by_server)
        path.write_text(json.dumps(measured, indent=1))
    if options.table:
        report.table(measured)
    if options.draw:
        report.draw(measured, options.draw)


try:
    main()
finally:
    shutil.rmtree(TMP, ignore_errors=True)
