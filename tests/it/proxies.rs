//! A proxy that removes a prefix from paths: nginx with a path in `proxy_pass`. Links and redirects
//! keep the prefix, which the server does not know.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    common::*,
    deploy::{NGINX, Proxy, has},
    live::browser::Browser,
};

/// The prefix that nginx removes.
const PREFIX: &str = "/app";

/// Starts nginx with a configuration in `dir`, before a server on `port`. Returns its address.
fn start_nginx(dir: &Path, port: u16) -> (Proxy, SocketAddr) {
    let socket = TcpListener::bind(("127.0.0.1", 0)).expect("bind");
    let address = socket.local_addr().expect("its address");
    drop(socket);
    let path = dir.join("nginx.conf");
    let location = format!("location {PREFIX}/ {{ proxy_pass http://127.0.0.1:{port}/; }}");
    let server = format!("server {{ listen {address}; {location} }}");
    fs::write(&path, format!("events {{}}\nhttp {{ access_log off; {server} }}\n")).expect("write");
    let mut command = Command::new(NGINX);
    command.arg("-p").arg(dir).arg("-c").arg(&path).args([
        "-e",
        "stderr",
        "-g",
        "daemon off; pid nginx.pid;",
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let proxy = Proxy(command.spawn().expect("start nginx"));
    eventually("nginx listens", || TcpStream::connect(address).is_ok());
    (proxy, address)
}

/// Returns the value of the first attribute `name` behind `after` in `text`.
fn attribute<'a>(text: &'a str, after: &str, name: &str) -> &'a str {
    let rest = text.split_once(after).unwrap_or_else(|| panic!("no {after} in {text}")).1;
    let rest = rest.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name} in {text}")).1;
    rest.split('"').next().unwrap_or_default()
}

#[test]
fn removed_prefix_stays_in_redirects_and_links() {
    if !has(NGINX, "-v") {
        return;
    }
    let (site, dir) = (Site::new(), tempfile::tempdir().expect("a directory"));
    site.write("deep/down/page.txt", "page\n");
    site.write("about.html", "about\n");
    site.write("_redirects", "/old/* /deep/:splat 302\n/here /hello.txt#part\n/blog/:year /?year=:year\n");
    let server = Server::with(&site, &["--listing", "--clean-urls", "--redirect", "/x/y/z /docs/ 308"]);
    let (_proxy, address) = start_nginx(dir.path(), server.addr().port());
    let ask = |path: &str| {
        let mut client = Client::connect(address);
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
        ));
        (client.head(), String::from_utf8_lossy(&client.rest()).into_owned())
    };
    assert!(ask("/app/").1.contains("home"));

    let redirects = [
        ("/app/docs", 301, "/app/docs/"),
        ("/app/docs/index.html", 301, "/app/docs/"),
        ("/app/about.html?q", 301, "/app/about?q"),
        ("/app/old/down/page.txt", 302, "/app/deep/down/page.txt"),
        ("/app/here", 301, "/app/hello.txt#part"),
        ("/app/blog/2026", 301, "/app/?year=2026"),
        ("/app/x/y/z?a=b", 308, "/app/docs/?a=b"),
    ];
    each(redirects, |&(path, status, expected)| {
        let (response, _) = ask(path);
        assert_eq!((response.status, response.leads_to(path).as_deref()), (status, Some(expected)));
        let target = expected.split('#').next().unwrap_or_default();
        assert_eq!(ask(target).0.status, 200, "{target}");
    });

    for (path, expected) in
        [("/app/deep/none/x", "/app/deep/"), ("/app/a/b/c/d", "/app/"), ("/app/none", "/app/")]
    {
        let (response, page) = ask(path);
        let above = resolve_link(path, attribute(&page, "Go to ", "href"));
        assert_eq!((response.status, above.as_str()), (404, expected), "{page}");
        assert_eq!(ask(&above).0.status, 200, "{above}");
    }

    let (_, listing) = ask("/app/deep/");
    assert_eq!(resolve_link("/app/deep/", attribute(&listing, "<h1>", "href")), "/app/", "{listing}");
    assert!(listing.contains("href=\"down/\""), "{listing}");
}

#[test]
fn removed_prefix_stays_in_the_script_of_live_pages() {
    if !has(NGINX, "-v") {
        return;
    }
    let (site, dir) = (Site::new(), tempfile::tempdir().expect("a directory"));
    let page = |text: &str| format!("<link rel=stylesheet href=../style.css><p id=text>{text}</p>");
    site.write("style.css", "p { color: rgb(1, 0, 0) }");
    site.write("deep/page.html", page("one"));
    let server = Server::with(&site, &["--live"]);
    let (_proxy, address) = start_nginx(dir.path(), server.addr().port());
    let Some(mut browser) = Browser::start() else { return };
    let tab = browser.open(&format!("http://{address}/app/deep/page.html"));
    let has_color = |red: u32| format!("getComputedStyle(text).color === 'rgb({red}, 0, 0)'");
    browser.wait(&tab, "text.textContent === 'one'");
    browser.wait(&tab, &has_color(1));
    // Each change is noticed whenever the page begins to listen.
    browser.value(&tab, "window.mark = true");
    site.write("style.css", "p { color: rgb(2, 0, 0) }");
    browser.wait(&tab, &has_color(2));
    browser.wait(&tab, "window.mark === true");
    site.write("deep/page.html", page("two"));
    browser.wait(&tab, "text.textContent === 'two'");
}
