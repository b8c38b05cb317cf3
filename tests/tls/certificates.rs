//! Which certificate is used, and how one that is made is kept.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::{Ipv6Addr, SocketAddr},
    os::unix::fs::{PermissionsExt, symlink},
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    client::{Client, VERSIONS, config},
    server::Site,
};

/// Returns the texts of the authority and of the server's certificate.
fn kept(site: &Site) -> [String; 2] {
    ["ca.pem", "server.pem"]
        .map(|name| fs::read_to_string(site.at("state/oneloop").join(name)).expect("a certificate"))
}

fn age(site: &Site, name: &str, days: u64) {
    let time = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
    let file = File::options().write(true).open(site.at("state/oneloop").join(name)).expect("open");
    file.set_modified(time).expect("set it");
}

#[test]
fn certificate_is_made_for_the_names_of_this_machine_and_kept() {
    let site = Site::new();
    let server = site.serve(&["--allow-host", "dev.example"]);
    let config = Arc::new(config(&site, &VERSIONS));
    for name in ["localhost", "127.0.0.1", "::1", "dev.example"] {
        let mut client = Client::connect(server.address, name, &config);
        assert_eq!(client.get("/hello.txt").body, b"hello\n", "{name}");
    }
    let mut stranger = Client::connect(server.address, "other.example", &config);
    let mut stream = rustls::Stream::new(&mut stranger.tls, &mut stranger.socket);
    assert!(std::io::Write::flush(&mut stream).is_err(), "the certificate is not for this name");
    let v6 = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), server.address.port());
    if std::net::TcpStream::connect(v6).is_ok() {
        assert_eq!(Client::connect(v6, "localhost", &config).get("/hello.txt").body, b"hello\n");
    }
    drop(server);

    let mode = |name: &str| {
        let status = fs::metadata(site.at("state/oneloop").join(name)).expect("a file");
        status.permissions().mode() & 0o777
    };
    assert_eq!(["", "ca.pem", "ca-key.pem", "server.pem"].map(mode), [0o700, 0o644, 0o600, 0o600]);
    let first = kept(&site);
    drop(site.serve(&["--allow-host", "dev.example"]));
    assert!(kept(&site) == first, "the next start changes nothing");
    drop(site.serve(&[]));
    let [authority, certificate] = kept(&site);
    assert!(authority == first[0] && certificate != first[1], "other names need another certificate");
}

#[test]
fn certificate_is_renewed_near_its_end_or_when_it_is_damaged() {
    let site = Site::new();
    drop(site.serve(&[]));
    let first = kept(&site);
    for damage in [
        |site: &Site| age(site, "server.pem", 301),
        |site: &Site| {
            let path = site.at("state/oneloop/server.pem");
            let text = fs::read_to_string(&path).expect("read");
            fs::write(&path, &text[..text.len() / 2]).expect("write");
        },
    ] {
        let before = kept(&site);
        damage(&site);
        let server = site.serve(&[]);
        let [authority, certificate] = kept(&site);
        assert!(authority == first[0] && certificate != before[1]);
        assert_eq!(Client::new(&site, server.address).get("/hello.txt").body, b"hello\n");
    }
    for damage in [
        |site: &Site| age(site, "ca.pem", 3290),
        |site: &Site| {
            fs::write(site.at("state/oneloop/ca-key.pem"), "gone").expect("write");
        },
    ] {
        let before = kept(&site);
        damage(&site);
        let server = site.serve(&[]);
        let after = kept(&site);
        assert!(after[0] != before[0] && after[1] != before[1]);
        assert_eq!(Client::new(&site, server.address).get("/hello.txt").body, b"hello\n");
    }
}

#[test]
fn certificate_that_was_made_is_announced_with_its_fingerprint() {
    let site = Site::new();
    let mut server = site.serve(&["--tls-dir", site.at("own").to_str().expect("UTF-8")]);
    server.child.kill().expect("kill it");
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut server.child.stderr.take().expect("piped"), &mut stderr)
        .expect("read");
    let authority = site.at("own/ca.pem");
    assert!(stderr.contains(&format!("'{}'", authority.display())), "{stderr}");
    let fingerprint = stderr.split("SHA-256 ").nth(1).and_then(|rest| rest.split(')').next());
    assert_eq!(fingerprint.map(str::len), Some(32 * 3 - 1), "{stderr}");
}

#[test]
fn keys_are_not_kept_where_clients_can_download_them() {
    let site = Site::new();
    symlink(site.at("www"), site.at("link")).expect("a link");
    for dir in ["www", "www/new/certs", "link/certs", "www/../www/certs"] {
        let output = site.command(&["--tls-dir", &site.at(dir).display().to_string()]).output().expect("run");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("clients could download the keys in"), "{dir}: {stderr}");
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
    }
    assert!(!site.at("www/certs").exists() && !site.at("www/ca-key.pem").exists());
    fs::create_dir(site.at("mounted")).expect("create");
    let mounted = site.at("mounted").display().to_string();
    let output = site.command(&["--mount", &format!("/k={mounted}"), "--tls-dir", &mounted]).output();
    assert_eq!(output.expect("run").status.code(), Some(2), "a directory that is mounted");
    drop(site.serve(&["--tls-dir", &site.at("www/.certs").display().to_string()]));
    let key = site.at("www/key.pem");
    fs::copy(site.at("www/.certs/server.pem"), &key).expect("copy");
    let key = key.display().to_string();
    let mut server = site.serve(&["--tls-cert", &key, "--tls-key", &key]);
    let mut stderr = String::new();
    let mut lines = BufReader::new(server.child.stderr.take().expect("piped"));
    lines.read_line(&mut stderr).expect("read");
    assert!(stderr.contains("clients can download the key"), "{stderr}");
}

#[test]
fn certificate_that_is_given_is_used_and_a_bad_one_is_one_sentence() {
    let site = Site::new();
    drop(site.serve(&[]));
    // The file of a certificate that was made holds a chain and a key.
    let path = |name: &str| site.at(name).display().to_string();
    fs::copy(site.at("state/oneloop/server.pem"), site.at("good.pem")).expect("copy");
    fs::copy(site.at("state/oneloop/ca-key.pem"), site.at("other-key.pem")).expect("copy");
    fs::write(site.at("text.pem"), "no certificate\n").expect("write");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(site.at("broken.pem"), broken).expect("write");
    let good = path("good.pem");
    let server = site.serve(&["--tls-cert", &good, "--tls-key", &good]);
    assert_eq!(Client::new(&site, server.address).get("/hello.txt").body, b"hello\n");

    for (chain, key, expected) in [
        ("good.pem", "other-key.pem", "the key belongs to another certificate"),
        ("text.pem", "good.pem", "there is no certificate"),
        ("good.pem", "text.pem", "there is no private key"),
        ("broken.pem", "good.pem", "--tls-cert"),
        ("missing.pem", "good.pem", "no such file or directory"),
        ("good.pem", "missing.pem", "no such file or directory"),
        ("good.pem", "www", "is a directory"),
    ] {
        let output =
            site.command(&["--tls-cert", &path(chain), "--tls-key", &path(key)]).output().expect("run");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains(expected), "{chain} {key}: {stderr}");
    }
    for (option, other) in [("--tls-cert", "--tls-key"), ("--tls-key", "--tls-cert")] {
        let output = site.command(&[option, &good]).output().expect("run");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains(other), "{stderr}");
    }
    let output = site.command(&["--tls-dir", &path("www/hello.txt")]).output().expect("run");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
}
