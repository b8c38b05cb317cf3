#!/usr/bin/env python3
"""oneloop beside other servers, under wrk, on one machine; the figures of docs/PERFORMANCE.md come from here.

  cargo build --release && benches/versus.py [--rounds N] [--secs S] [--work 1k,many] [--only ours,nginx] [--draw chart.svg]

Each server has CPU 0 for itself and wrk has CPU 1. The rounds of all servers are interleaved, and ratios are medians of pairs of
rounds. CPU time per request is the steadiest figure on a noisy machine. "limit" is the least that an epoll server can do: it parses
nothing and has one answer. Needs wrk, gcc, taskset and chrt; of the other servers it takes those that are installed (nginx, lighttpd,
h2o, darkhttpd, and what lies in --peers DIR: lwan, static-web-server, miniserve). Do not build anything meanwhile.
"""
import argparse, json, os, pathlib, re, resource, shutil, signal, socket, statistics, subprocess, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
TMP = pathlib.Path(tempfile.mkdtemp(prefix="versus"))
WWW = TMP / "www"
SERVERS = ["ours", "before", "talking", "limit", "nginx", "lighttpd", "h2o", "darkhttpd", "lwan", "static-web-server", "miniserve"]
WORK = {  # name: (arguments of wrk, path, what is counted)
    "1k": (["-c64"], "/1k.html", "req"),
    "1k-c1": (["-c1"], "/1k.html", "req"),
    "1k-c1000": (["-c1000"], "/1k.html", "req"),
    "16k": (["-c64"], "/16k.html", "req"),
    "100k": (["-c64"], "/100k.bin", "req"),
    "many": (["-c64", "-s", str(TMP / "many.lua")], "/", "req"),  # 1,000 files in turn
    "pipe16": (["-c64", "-s", str(TMP / "pipe.lua")], "/1k.html", "req"),
    "pipe-many": (["-c64", "-s", str(TMP / "pipe-many.lua")], "/", "req"),  # 16 different files in a pipeline
    "close": (["-c64", "-s", str(TMP / "close.lua")], "/1k.html", "req"),
    "404": (["-c64"], "/none.html", "req"),
    "64m": (["-c4"], "/64m.bin", "MB"),
    "idle8k": (["-c64"], "/1k.html", "req"),  # 8,000 silent connections beside the load
    "mixed": (["-c16"], "/1k.html", "req"),  # four endless downloads beside the load: its p99 is the point
}


def make_site():
    TMP.chmod(0o755)  # some servers give up root's rights
    (WWW / "many").mkdir(parents=True)
    for name, size in [("1k.html", 1024), ("index.html", 1024), ("16k.html", 16384), ("100k.bin", 102400), ("64m.bin", 64 << 20)]:
        (WWW / name).write_bytes(os.urandom(1024) * (size // 1024))
    for i in range(1000):
        (WWW / "many" / f"{i:04}.html").write_bytes(b"z" * 1024)
    (TMP / "many.lua").write_text("""local n = 0
request = function() n = (n + 7) % 1000 return wrk.format("GET", string.format("/many/%04d.html", n)) end""")
    (TMP / "pipe.lua").write_text("""init = function()
  local r = {} for i = 1, 16 do r[i] = wrk.format("GET", "/1k.html") end all = table.concat(r)
end
request = function() return all end""")
    (TMP / "pipe-many.lua").write_text("""init = function()
  local r = {} for i = 1, 16 do r[i] = wrk.format("GET", string.format("/many/%04d.html", 60 * i)) end all = table.concat(r)
end
request = function() return all end""")
    (TMP / "close.lua").write_text("""request = function() return wrk.format("GET", "/1k.html", {["Connection"] = "close"}) end""")


def config(name, text):
    path = TMP / f"{name}.conf"
    path.write_text(text)
    return str(path)


def command(name, port, options):
    """How to start a server for WWW; a function of the path that is asked for where that matters. None: it is not here."""
    if name == "ours":
        return [options.ours, str(WWW), "--port", str(port)] + options.ours_args.split()
    if name == "talking":  # ours, with every other conversation on the same poller
        flags = ["--tcp-echo", "--udp-echo", "--beacon", "--chat", "--smtp", "--pop3"]
        others = [word for flag in flags for word in (flag, "127.0.0.1:0")]
        return command("ours", port, options) + others
    if name == "before":
        return options.before and [options.before, str(WWW), "--port", str(port)] + options.ours_args.split()
    if name == "limit":
        if not (TMP / "limit").exists():
            subprocess.run(["gcc", "-O2", "-o", TMP / "limit", HERE / "limit.c"], check=True)
        return lambda path: [str(TMP / "limit"), str(port), str(WWW) + (path if (WWW / path[1:]).is_file() else "/1k.html")]
    program = shutil.which(name, path=f"{options.peers}:{os.environ['PATH']}:/usr/sbin")
    return program and [program] + {
        "nginx": lambda: ["-p", str(TMP), "-c", config(name, f"""
worker_processes 1; pid {TMP}/nginx.pid; daemon off; master_process off; error_log /dev/null;
events {{ worker_connections 20000; multi_accept on; }}
http {{ include /etc/nginx/mime.types; access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
open_file_cache max=10000 inactive=60s; open_file_cache_valid 60s; open_file_cache_errors on;
server {{ listen 127.0.0.1:{port} backlog=4096; root {WWW}; }} }}""")],
        "lighttpd": lambda: ["-D", "-f", config(name, f"""
server.document-root = "{WWW}"\nserver.port = {port}\nserver.bind = "127.0.0.1"\nserver.listen-backlog = 4096
server.max-keep-alive-requests = 100000000\nserver.max-fds = 19000\nserver.max-connections = 9500
index-file.names = ("index.html")\nmimetype.assign = (".html" => "text/html", "" => "application/octet-stream")
""")],
        "h2o": lambda: ["-c", config(name, f"""
num-threads: 1\nmax-connections: 10000\nerror-log: /dev/null\nhosts:\n  default:\n    listen:\n      host: 127.0.0.1\n      port: {port}
    paths:\n      /:\n        file.dir: {WWW}
""")],
        "lwan": lambda: ["-c", config(name, f"""
keep_alive_timeout = 15\nquiet = true\nthreads = 1\nlistener 127.0.0.1:{port}
site {{ serve_files / {{ path = {WWW} }} }}
""")],
        "darkhttpd": lambda: [str(WWW), "--port", str(port), "--addr", "127.0.0.1", "--log", "/dev/null"],
        "static-web-server": lambda: f"-a 127.0.0.1 -p {port} -d {WWW} -n 1 -g error --compression=false".split(),
        "miniserve": lambda: ["-i", "127.0.0.1", "-p", str(port), str(WWW)],
    }[name]()


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


def run(start, port, work, secs):
    """One round of one server: what was measured, or None if it did not start or died."""
    arguments, path, unit = WORK[work]
    start = start(path) if callable(start) else start
    server = subprocess.Popen(["taskset", "-c", "0"] + start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wrk = lambda *more: ["taskset", "-c", "1", "wrk", "-t1", *more]
    try:
        if not is_up(port):
            return None
        result, held, beside = {}, [], None
        if work == "idle8k":
            resident = status(server.pid, "VmRSS")
            held = hold(port, 8000)
            result["idle_bytes"] = (status(server.pid, "VmRSS") - resident) * 1024 / max(1, len(held))
        if work == "mixed":
            # Both loads share one CPU. Were they equals, each would wait for the other's time slice of some 4 ms, and that would be
            # the p99 of every server: the downloads take what the small requests leave (SCHED_IDLE).
            downloads = ["chrt", "-i", "0", *wrk("-c4", f"-d{secs + 1}s", f"http://127.0.0.1:{port}/64m.bin")]
            beside = subprocess.Popen(downloads, stdout=subprocess.DEVNULL)
            time.sleep(0.5)
        address, before = f"http://127.0.0.1:{port}{path}", cpu_us(server.pid)
        said = subprocess.run(wrk(f"-d{secs}s", "--latency", *arguments, address), capture_output=True, text=True).stdout
        [connection.close() for connection in held]
        beside and beside.wait()
        if server.poll() is not None:
            return None
        used = cpu_us(server.pid) - before
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1))
        amount, size = re.search(r"Transfer/sec:\s+([\d.]+)(\w+)", said).groups()
        p99, of = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()
        return result | {
            "value": float(amount) * {"B": 1e-6, "KB": 1e-3, "MB": 1, "GB": 1e3}[size] if unit == "MB" else rate,
            "cpu_us": used / max(1, rate * secs),
            "p99_ms": float(p99) * {"us": 1e-3, "ms": 1, "s": 1e3}[of],
            "peak_kib": status(server.pid, "VmHWM"),
            "wrong": work != "404" and "Non-2xx" in said,
            "errors": (re.search(r"Socket errors: (.*)", said) or [0, ""])[1],
        }
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(3)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def ratio(ours, theirs, key):
    pairs = [a[key] / b[key] for a, b in zip(ours, theirs)]
    return statistics.median(pairs) if pairs else float("nan")


def report(work, by_server):
    print(f"\n{work}: {WORK[work][2]}/s and CPU per request, with the ratio ours/theirs; medians of paired rounds")
    ours = by_server.get("ours", [])
    for name, rounds in by_server.items():
        if not rounds:
            print(f"  {name:18} did not start")
            continue
        middle = lambda key: statistics.median(r[key] for r in rounds)
        last = rounds[-1]
        notes = [last["errors"], "INVALID: other answers than 2xx" if last["wrong"] else ""]
        notes.append(f"{last['idle_bytes']:.0f} B a silent connection" if "idle_bytes" in last else "")
        print(
            f"  {name:18} {middle('value'):10.0f}/s {ratio(ours, rounds, 'value'):5.2f} |"
            f" {middle('cpu_us'):9.2f} us {ratio(ours, rounds, 'cpu_us'):5.2f} | p99 {middle('p99_ms'):8.3f} ms |"
            f" peak {max(r['peak_kib'] for r in rounds):6} KiB  {' '.join(filter(None, notes))}"
        )


def draw(measured, path):
    """CPU per request of each server as a multiple of the limit's: one group of bars a workload."""
    colours = {"ours": "#d9480f", "nginx": "#2b8a3e", "lighttpd": "#1971c2", "h2o": "#868e96", "darkhttpd": "#f59f00", "lwan": "#9c36b5"}
    rows, y, names = [], 34, []
    for work, by_server in measured.items():
        limit = by_server.get("limit")
        bars = [(name, rounds) for name, rounds in by_server.items() if name != "limit" and rounds and not rounds[-1]["wrong"]]
        if not limit or not bars:
            continue
        rows.append(f'<text x="8" y="{y + 6 * len(bars) + 3}" class="w">{work}</text>')
        for name, rounds in bars:
            names += [name] if name not in names else []
            times = ratio(rounds, limit, "cpu_us")
            width, colour = min(times, 4) * 140, colours.get(name, "#adb5bd")
            rows.append(f'<rect x="84" y="{y}" width="{width:.0f}" height="10" fill="{colour}"/>')
            rows.append(f'<text x="{90 + width:.0f}" y="{y + 9}">{times:.2f}{" (cut)" if times > 4 else ""}</text>')
            y += 12
        y += 12
    keys = [
        f'<rect x="{84 + 120 * i}" y="10" width="10" height="10" fill="{colours.get(name, "#adb5bd")}"/>'
        f'<text x="{98 + 120 * i}" y="19">{"oneloop" if name == "ours" else name}</text>'
        for i, name in enumerate(names)
    ]
    rule = f'<line x1="224" x2="224" y1="28" y2="{y - 8}" stroke="currentColor" stroke-dasharray="2 3"/>'
    style = "<style>text{font:10px system-ui,sans-serif;fill:currentColor}.w{font-weight:600}svg{color:#495057}@media(prefers-color-scheme:dark){svg{color:#adb5bd}}</style>"
    body = "\n".join([style, *keys, *rows, rule])
    title = "<title>CPU per request, as a multiple of a minimal epoll server (dashed); bars are cut at 4</title>"
    pathlib.Path(path).write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {y}" role="img">{title}\n{body}\n</svg>\n')


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
    parser.add_argument("--json", metavar="FILE", help="what was measured, round by round; an existing one is drawn with --rounds 0")
    parser.add_argument("--draw", metavar="FILE", help="a chart of CPU per request, as SVG")
    options = parser.parse_args()
    if options.rounds == 0:
        measured = json.loads(pathlib.Path(options.json).read_text())
    else:
        make_site()
        names = [name for name in options.only.split(",") if command(name, 1, options)]
        able = lambda work: [name for name in names if (name, work) != ("limit", "mixed")]  # that has but one answer
        measured, port = {work: {name: [] for name in able(work)} for work in options.work.split(",")}, 21000
        for work, by_server in measured.items():
            for _ in range(options.rounds):
                for name in by_server:
                    port += 1
                    by_server[name] += filter(None, [run(command(name, port, options), port, work, options.secs)])
            report(work, by_server)
    if options.json and options.rounds:
        pathlib.Path(options.json).write_text(json.dumps(measured, indent=1))
    if options.draw:
        draw(measured, options.draw)


try:
    main()
finally:
    shutil.rmtree(TMP, ignore_errors=True)
