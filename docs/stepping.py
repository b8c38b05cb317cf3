#!/usr/bin/env python3
"""Draws docs/stepping.svg: a session of `oneloop --step`, as the program prints it.

    cargo build && docs/stepping.py [--binary target/debug/oneloop]

It runs the commands below with --step-script while a client requests a file. oneloop prints no colours, so the
picture has none.
"""
import argparse, html, pathlib, re, socket, subprocess, sys, tempfile

COMMANDS = ["t", "quiz on", "t", "e", "i", "n", "x c1", "p", "t", "t", "0"]
REQUEST = b"GET /hello.txt HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"
ROOT = pathlib.Path(__file__).resolve().parent.parent
LINE, LEFT, TOP, CHAR = 17, 16, 54, 7.25


def session(binary):
    """Returns the lines of a session, as a person at a terminal sees them."""
    with tempfile.TemporaryDirectory() as place:
        site, script = pathlib.Path(place, "www"), pathlib.Path(place, "script")
        site.mkdir()
        (site / "hello.txt").write_text("hello\n")
        script.write_text("".join(command + "\n" for command in COMMANDS))
        server = subprocess.Popen([binary, "--port", "0", "--step-script", script, site], stdout=subprocess.PIPE, text=True)
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


def draw(lines):
    width = int(max(map(len, lines)) * CHAR + 2 * LEFT)
    height = TOP + LINE * len(lines)
    dots = "".join(f'<circle cx="{x}" cy="18" r="5" fill="#4c5a53"/>' for x in (20, 38, 56))
    rows = "\n".join(
        f'<text x="{LEFT}" y="{TOP + LINE * n}" xml:space="preserve">{html.escape(line, quote=False)}</text>'
        for n, line in enumerate(lines)
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">\
<title>A session of oneloop --step: the loop stops at each wake-up, and the user predicts what the next call will do</title>
<style>rect{{fill:#0f1613}}text{{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#e3eae6}}</style>
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
