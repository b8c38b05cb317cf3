//! The recipes of `docs/DEPLOY.md`: proxies from Debian with the files in `packaging`, and servers
//! with the options that the page prints. No request fails while the servers restart.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use crate::common::*;

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .expect("read a file of the repository")
}

/// Returns three ports that nothing listens on at this moment.
fn free_ports() -> [u16; 3] {
    let sockets = [0; 3].map(|port| TcpListener::bind(("127.0.0.1", port)).expect("bind"));
    sockets.map(|socket| socket.local_addr().expect("its address").port())
}

/// Starts the server that the page prints for `printed`, on `port`. Its access log is `log`.
fn server(printed: u16, port: u16, site: &Site, log: &Path) -> Server {
    let page = file("docs/DEPLOY.md").replace("\\\n", "");
    let line = page
        .lines()
        .find(|line| line.starts_with(&format!("oneloop --port {printed} ")))
        .expect("the command");
    let args =
        line.strip_prefix("oneloop ").and_then(|line| line.strip_suffix(" /srv/www")).expect("its form");
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.args(args.split_whitespace().map(|arg| arg.replace(&printed.to_string(), &port.to_string())));
    command.arg(format!("--access-log={}", log.display())).arg(site.path());
    Server::spawn(command)
}

/// The program of nginx.
pub const NGINX: &str = "/usr/sbin/nginx";

/// A proxy in the foreground, which is killed when the test ends.
pub struct Proxy(pub Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        // nginx must end its workers.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, Signal::TERM);
        let _ = self.0.wait();
    }
}

/// Sends a request for the public name of the site, and returns the response.
fn ask(client: &mut Client) -> Response {
    client.send("GET /hello.txt HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
    client.response()
}

/// The address of a client that is not the one of the proxies.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);

/// Sends a request from another address, which pretends to come from a third one.
fn ask_as_a_client_elsewhere(address: SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((ELSEWHERE, 0)).into()).expect("bind");
    socket.connect(&address.into()).expect("connect");
    let mut client = Client::over(socket.into());
    let named = "X-Forwarded-For: 203.0.113.1\r\nForwarded: for=203.0.113.1\r\n";
    client.send(format!("GET /hello.txt HTTP/1.1\r\nHost: www.example.com\r\n{named}\r\n"));
    assert_eq!(client.response().status, 200);
}

/// Returns whether requests for pages have been logged since the log was created.
fn has_requests(log: &Path) -> bool {
    fs::read_to_string(log).is_ok_and(|log| log.contains("\"GET /hello.txt"))
}

/// Restarts two servers behind the proxy that `command` starts with the configuration, while
/// clients send requests through it.
fn restarts_lose_no_request(configuration: &str, command: impl FnOnce(&Path) -> Command) {
    let (site, dir) = (Site::new(), tempfile::tempdir().expect("a directory"));
    site.write("index.html", "home\n");
    let [front, one, two] = free_ports();
    let mut text = file(configuration);
    for (printed, port) in [(8080, front), (8001, one), (8002, two)] {
        text = text.replace(&format!("127.0.0.1:{printed}"), &format!("127.0.0.1:{port}"));
    }
    let path = dir.path().join("proxy.conf");
    fs::write(&path, text).expect("write");
    let log = |name: &str| -> PathBuf { dir.path().join(name) };
    let mut servers = [server(8001, one, &site, &log("1")), server(8002, two, &site, &log("2"))];
    let mut command = command(&path);
    command.current_dir(dir.path()).stdin(Stdio::null()).stdout(Stdio::null());
    let _proxy = Proxy(command.spawn().expect("start the proxy"));
    let address = SocketAddr::from(([127, 0, 0, 1], front));
    eventually("the proxy listens", || std::net::TcpStream::connect(address).is_ok());
    eventually("the proxy knows a server", || ask(&mut Client::connect(address)).status == 200);
    let (is_over, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    // The logs show the client, not the proxy, and not what the client says.
    ask_as_a_client_elsewhere(address);
    let logs = || [log("1"), log("2")].map(|log| fs::read_to_string(log).unwrap_or_default()).concat();
    eventually("the client is logged", || logs().contains(&format!("{ELSEWHERE} - - [")));
    assert!(!logs().contains("203.0.113.1"));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::connect(address);
                    while !is_over.load(Ordering::Relaxed) {
                        let response = ask(&mut client);
                        assert_eq!((response.status, &*response.text()), (200, "hello\n"));
                        answers.fetch_add(1, Ordering::Relaxed);
                        if response.closes() {
                            client = Client::connect(address);
                        }
                    }
                })
            })
            .collect();
        for (i, (printed, port)) in [(8001, one), (8002, two)].into_iter().enumerate() {
            eventually("both servers get requests", || has_requests(&log("1")) && has_requests(&log("2")));
            servers[i].signal(Signal::TERM);
            assert!(servers[i].exit().success());
            let name = log(&(i + 1).to_string());
            fs::remove_file(&name).expect("remove");
            servers[i] = server(printed, port, &site, &name);
        }
        eventually("both servers get requests again", || has_requests(&log("1")) && has_requests(&log("2")));
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().expect("every request has its answer"));
    });
    assert!(answers.into_inner() > 100);
}

/// Returns whether the program can be started.
pub fn has(program: &str, version: &str) -> bool {
    let found =
        Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        skip(&format!("{program} is not installed"));
    }
    found
}

#[test]
fn deploy_behind_haproxy_restarts_without_a_failed_request() {
    let haproxy = "/usr/sbin/haproxy";
    if has(haproxy, "-v") {
        restarts_lose_no_request("packaging/proxies/haproxy.cfg", |path| {
            let mut command = Command::new(haproxy);
            command.args(["-db", "-q", "-f"]).arg(path).stderr(Stdio::null());
            command
        });
    }
}

#[test]
fn deploy_behind_nginx_restarts_without_a_failed_request() {
    if has(NGINX, "-v") {
        restarts_lose_no_request("packaging/proxies/nginx.conf", |path| {
            let mut command = Command::new(NGINX);
            command.arg("-p").arg(path.parent().expect("a directory")).arg("-c").arg(path);
            command.args(["-e", "stderr", "-g", "daemon off; pid nginx.pid;"]).stderr(Stdio::null());
            command
        });
    }
}

/// The options of the section about a CDN do what it says.
#[test]
fn deploy_behind_a_cdn_sets_a_lifetime_for_each_kind_of_file() {
    let page = file("docs/DEPLOY.md");
    let section = page.split("## Behind a CDN").nth(1).expect("the section");
    let quoted: Vec<&str> =
        section.split("```").nth(1).expect("the command").split('\'').skip(1).step_by(2).collect();
    let [pages, assets] = quoted[..] else { panic!("two quoted values: {quoted:?}") };
    let site = Site::new();
    site.write("assets/app.0123.js", "js");
    let server = Server::with(&site, &["--cache-control", pages, "--header", assets]);
    let cached = |path: &str| server.get(path).header("cache-control").map(str::to_owned);
    assert_eq!(cached("/hello.txt").as_deref(), Some(pages));
    assert_eq!(cached("/assets/app.0123.js").as_deref(), Some("public, max-age=31536000, immutable"));
    for path in ["/missing", "/assets/missing.js", "/assets"] {
        assert!(!cached(path).is_some_and(|value| value.contains("max-age")), "{path}");
    }
}

/// SIGKILL comes after the grace period, so the shutdown must be over by then.
#[test]
fn deploy_on_kubernetes_leaves_time_for_the_shutdown() {
    let manifest = file("packaging/kubernetes.yaml");
    let after = |what: &str| -> u64 {
        let rest = manifest.split(what).nth(1).unwrap_or_else(|| panic!("no {what}"));
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number of seconds")
    };
    let shutdown = after("\"--shutdown-delay\", \"") + after("\"--drain-timeout\", \"");
    assert!(after("terminationGracePeriodSeconds: ") > shutdown);
    // The server takes the arguments as they are.
    let args = manifest.lines().find_map(|line| line.trim().strip_prefix("args: [")).expect("the arguments");
    let args: Vec<String> = serde_json::from_str(&format!("[{args}")).expect("a list");
    let site = Site::new();
    let args: Vec<&str> =
        args.iter().map(String::as_str).filter(|arg| !["--bind", "0.0.0.0"].contains(arg)).collect();
    assert_eq!(Server::with(&site, &args).get("/hello.txt").status, 200);
}
