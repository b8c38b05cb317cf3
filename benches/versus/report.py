"""What was measured, as text, as the rows of the table in docs/PERFORMANCE.md, and as a chart."""
import pathlib, statistics

from .workloads import WORK


def valid(rounds):
    """The rounds of a row, or none if one of them is wrong: the rounds of two rows are paired by their place."""
    return [] if any(r["wrong"] for r in rounds or []) else rounds or []


def ratio(ours, theirs, key):
    pairs = [a[key] / b[key] for a, b in zip(valid(ours), valid(theirs))]
    return statistics.median(pairs) if pairs else float("nan")


def middle(rounds, key):
    return statistics.median(r[key] for r in rounds)


def report(work, by_server):
    print(f"\n{work}: {WORK[work].unit}/s and CPU per request, with the ratio ours/theirs; medians of paired rounds")
    ours = by_server.get("ours", [])
    for name, rounds in by_server.items():
        if not valid(rounds):
            print(f"  {name:18} INVALID: {next(r['wrong'] for r in rounds if r['wrong'])}")
            continue
        last = rounds[-1]
        notes = [last["errors"], f"{last['idle_bytes']:.0f} B a silent connection" if "idle_bytes" in last else ""]
        notes.append(f"slow readers get {100 * last['share']:.0f} % of their rate" if "share" in last else "")
        print(
            f"  {name:18} {middle(rounds, 'value'):10.0f}/s {ratio(ours, rounds, 'value'):5.2f} |"
            f" {middle(rounds, 'cpu_us'):9.2f} us {ratio(ours, rounds, 'cpu_us'):5.2f} | p99 {middle(rounds, 'p99_ms'):8.3f} ms |"
            f" peak {max(r['peak_kib'] for r in rounds):6} KiB  {' '.join(filter(None, notes))}"
        )


def table(measured):
    """Prints a Markdown row for each workload. A peer that is not there, or whose answers were wrong, has an empty cell."""
    peers = ["limit", "nginx", "lighttpd", "h2o"]
    print(f"| Workload | oneloop | CPU per request | {' | '.join('of ' + name for name in peers)} | p99 (best peer) |")
    print("|---" * (4 + len(peers)) + "|")
    for work in filter(measured.get, WORK):
        by_server = measured[work]
        ours = valid(by_server.get("ours"))
        if not ours:
            continue
        cells = [f"`{work}`: {WORK[work].about}", f"{middle(ours, 'value'):,.0f} {'MB/s' if WORK[work].unit == 'MB' else '/s'}"]
        cpu = middle(ours, "cpu_us")
        cells.append(f"{cpu:,.{0 if cpu > 1000 else 1}f} \u00b5s")
        ratios = [ratio(ours, by_server.get(name), "cpu_us") for name in peers]
        cells += ["" if times != times else f"{times:.2f}" for times in ratios]
        others = [middle(rounds, "p99_ms") for name in peers[1:] if (rounds := valid(by_server.get(name)))]
        best = f" ({min(others):.2f})" if others else ""
        # wrk has one latency for all 16 requests of a pipeline.
        cells.append("" if work.startswith("pipe") else f"{middle(ours, 'p99_ms'):.2f} ms{best}")
        print(f"| {' | '.join(cells)} |")


def draw(measured, path):
    """CPU per request of each server as a multiple of the limit's: one group of bars a workload."""
    colours = {"ours": "#d9480f", "nginx": "#2b8a3e", "lighttpd": "#1971c2", "h2o": "#868e96", "darkhttpd": "#f59f00", "lwan": "#9c36b5"}
    rows, y, names = [], 34, []
    for work in filter(measured.get, WORK):
        by_server = measured[work]
        limit = valid(by_server.get("limit"))
        bars = [(name, rounds) for name, rounds in by_server.items() if name != "limit" and valid(rounds)]
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
