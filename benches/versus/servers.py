"""How each server is started for a workload, as its users would configure it for speed."""
import os, pathlib, shutil, subprocess

SERVERS = ["ours", "before", "talking", "limit", "nginx", "lighttpd", "h2o", "darkhttpd", "lwan", "static-web-server", "miniserve"]
# What a server cannot do. ("limit" has but one answer, makes none, and has no log.)
CANNOT = {
    "limit": ["mixed", "slow", "log", "listing"],
    "lighttpd": ["gzip"],  # it sends only what it has compressed itself
    "darkhttpd": ["gzip"],
    "lwan": ["gzip", "log"],
    "static-web-server": ["log"],
    "miniserve": ["gzip", "log"],
}


def command(name, port, work, options, tmp):
    """The command that starts a server, or None if it is not here or cannot do the workload."""
    www, log = tmp / "www", tmp / "access.log"
    if work in CANNOT.get(name, []):
        return None
    if name in ["ours", "before"]:
        program = options.ours if name == "ours" else options.before
        more = {"log": [f"--access-log={log}"], "listing": ["--listing"]}.get(work, [])
        return program and [program, str(www), "--port", str(port), *more, *options.ours_args.split()]
    if name == "talking":  # ours, with every other conversation on the same poller
        flags = ["--tcp-echo", "--udp-echo", "--beacon", "--chat", "--smtp", "--pop3"]
        return command("ours", port, work, options, tmp) + [word for flag in flags for word in (flag, "127.0.0.1:0")]
    if name == "limit":
        if not (tmp / "limit").exists():
            subprocess.run(["gcc", "-O2", "-o", tmp / "limit", pathlib.Path(__file__).parent.parent / "limit.c"], check=True)
        return [str(tmp / "limit"), str(port)]  # and what it sends
    program = shutil.which(name, path=f"{options.peers}:{os.environ['PATH']}:/usr/sbin")
    return program and [program, *CONFIGURED[name](port, work, www, log, lambda text: config(tmp / f"{name}.conf", text))]


def config(path, text):
    path.write_text(text)
    return str(path)


def nginx(port, work, www, log, config):
    more = {"gzip": "gzip_static on;", "listing": "autoindex on;"}.get(work, "")
    return ["-p", str(www.parent), "-c", config(f"""
worker_processes 1; pid {www.parent}/nginx.pid; daemon off; master_process off; error_log /dev/null;
events {{ worker_connections 20000; multi_accept on; }}
http {{ include /etc/nginx/mime.types; access_log {log if work == "log" else "off"}; sendfile on; tcp_nopush on;
keepalive_requests 100000000; open_file_cache max=10000 inactive=60s; open_file_cache_valid 60s; open_file_cache_errors on;
server {{ listen 127.0.0.1:{port} backlog=4096; root {www}; {more} }} }}""")]


def lighttpd(port, work, www, log, config):
    more = {
        "log": f'server.modules = ("mod_accesslog")\naccesslog.filename = "{log}"',
        "listing": 'server.modules = ("mod_dirlisting")\ndir-listing.activate = "enable"',
    }.get(work, "")
    return ["-D", "-f", config(f"""
server.document-root = "{www}"\nserver.port = {port}\nserver.bind = "127.0.0.1"\nserver.listen-backlog = 4096
server.max-keep-alive-requests = 100000000\nserver.max-fds = 19000\nserver.max-connections = 9500
index-file.names = ("index.html")\nmimetype.assign = (".html" => "text/html", "" => "application/octet-stream")\n{more}
""")]


def h2o(port, work, www, log, config):
    more = {"gzip": "file.send-compressed: ON", "listing": "file.dirlisting: ON", "log": f"access-log: {log}"}.get(work, "")
    return ["-c", config(f"""
num-threads: 1\nmax-connections: 10000\nerror-log: /dev/null\n{more}\nhosts:\n  default:
    listen:\n      host: 127.0.0.1\n      port: {port}\n    paths:\n      /:\n        file.dir: {www}
""")]


def lwan(port, work, www, log, config):
    return ["-c", config(f"""
keep_alive_timeout = 15\nquiet = true\nthreads = 1\nlistener 127.0.0.1:{port}
site {{ serve_files / {{ path = {www} }} }}
""")]


def darkhttpd(port, work, www, log, config):
    return [str(www), "--port", str(port), "--addr", "127.0.0.1", "--log", str(log) if work == "log" else "/dev/null"]


def static_web_server(port, work, www, log, config):
    more = {"gzip": "--compression-static=true", "listing": "--directory-listing=true"}.get(work, "")
    return f"-a 127.0.0.1 -p {port} -d {www} -n 1 -g error --compression=false {more}".split()


def miniserve(port, work, www, log, config):
    return ["-i", "127.0.0.1", "-p", str(port), str(www)]


CONFIGURED = {
    "nginx": nginx,
    "lighttpd": lighttpd,
    "h2o": h2o,
    "lwan": lwan,
    "darkhttpd": darkhttpd,
    "static-web-server": static_web_server,
    "miniserve": miniserve,
}
