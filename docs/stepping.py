#!/usr/bin/env python3
"""Draws docs/stepping.svg: a session of `oneloop --step`, as the program prints it.

    cargo build && docs/stepping.py [--binary target/debug/oneloop]

It runs the commands below with --step-script while a client requests a file. CLICOLOR_FORCE makes oneloop print the
colours of a terminal, and the picture has the same ones.
"""
import argparse, html, os, pathlib, re, socket, subprocess, sys, tempfile

COMMANDS = ["t", "quiz on", "t", "e", "i", "n", "x c1", "p", "t", "t", "0"]
REQUEST = b"GET /hello.txt HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"
ROOT = pathlib.Path(__file__).resolve().parent.parent
COLORS = (
    ".c1{font-weight:bold}.c1-36{font-weight:bold;fill:#6fd3d8}.c2{fill:#8a968f}"
    ".c31{fill:#ff8a80}.c32{fill:#8fd694}.c33{fill:#f2c96d}.c35{fill:#d9a6ec}"
)
LINE, LEFT, TOP, CHAR = 17, 16, 54, 7.25


def session(binary):
    """Returns the lines of a session, as a person at a terminal sees them."""
    with tempfile.TemporaryDirectory() as place:
        site, script = pathlib.Path(place, "www"), pathlib.Path(place, "script")
        site.mkdir()
        (site / "hello.txt").write_text("hello\n")
        script.write_text("".join(command + "\n" for command in COMMANDS))
        environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"CLICOLOR_FORCE": "1"}
        server = subprocess.Popen([binary, "--port", "0", "--step-script", script, site], stdout=subprocess.PIPE, text=True, env=environment)
        port = int(re.search(r":(\d+)/", server.stdout.readline()).group(1))
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(REQUEST)
            client.recv(65536)
        lines = ["$ oneloop --step www", "http://127.0.0.1:8000/"]
        while "close reason=" not in lines[-1]:
            lines.append(server.stdout.readline().rstrip().replace(f":{port}", ":8000"))
        server.terminate()
        server.wait()
    return lines


def spans(line):
    """Returns the line as SVG text, with a tspan for each colour."""
    styled = re.sub(r"\x1b\[(1;36|[\d]+)m(.*?)\x1b\[0m", lambda m: f"\0{m[1]}\1{m[2]}\2", line)
    text = html.escape(styled, quote=False)
    return re.sub("\0(.*?)\1(.*?)\2", lambda m: f'<tspan class="c{m[1].replace(";", "-")}">{m[2]}</tspan>', text)


def draw(lines):
    plain = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines]
    width = int(max(map(len, plain)) * CHAR + 2 * LEFT)
    height = TOP + LINE * len(lines)
    dots = "".join(f'<circle cx="{x}" cy="18" r="5" fill="#4c5a53"/>' for x in (20, 38, 56))
    rows = "\n".join(
        f'<text x="{LEFT}" y="{TOP + LINE * n}" xml:space="preserve">{spans(line)}</text>'
        for n, line in enumerate(lines)
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">\
<title>A session of oneloop --step: the loop stops at each wake-up, and the user predicts what the next call will do</title>
<style>rect{{fill:#0f1613}}text{{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#e3eae6}}{COLORS}</style>
<rect width="{width}" height="{height}" rx="8"/>{dots}
{rows}
</svg>
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", default=ROOT / "target/debug/oneloop")
    lines = session(parser.parse_args().binary)
    pathlib.Path(__file__).with_name("stepping.svg").write_text(draw(lines))
    sys.stdout.write("\n".join(lines) + "\n")
