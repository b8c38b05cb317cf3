//! Clients that use OpenSSL: curl, Python and `openssl s_client`.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::{
    client::Client,
    server::{Server, Site, pattern},
    skip::skip,
};

/// Runs a program that must succeed, and returns its output. Returns `None` if it is not installed.
fn run(program: &str, args: &[&str]) -> Option<Vec<u8>> {
    let Ok(output) = Command::new(program).args(args).stdin(Stdio::null()).output() else {
        skip(&format!("{program} is not installed"));
        return None;
    };
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

fn start() -> (Site, Server, String, String) {
    let site = Site::new();
    let server = site.serve(&[]);
    let (port, authority) = (server.address.port().to_string(), site.authority().display().to_string());
    (site, server, port, authority)
}

#[test]
fn curl_trusts_the_certificate_and_downloads() {
    let (_site, _server, port, authority) = start();
    for (version, max) in [("--tlsv1.2", "1.2"), ("--tlsv1.3", "1.3")] {
        let url = format!("https://localhost:{port}/large.bin");
        let args = ["-sS", "--max-time", "30", "--cacert", &authority, version, "--tls-max", max, &url];
        let Some(body) = run("curl", &args) else { return };
        assert!(body == pattern(400_000), "{version}");
    }
}

#[test]
fn python_reads_slowly_and_resumes_a_session() {
    let (_site, _server, port, authority) = start();
    let script = r#"
import socket, ssl, sys
port, authority = int(sys.argv[1]), sys.argv[2]
for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = context.maximum_version = version
    session = None
    for round in range(2):
        raw = socket.create_connection(("127.0.0.1", port), timeout=20)
        with context.wrap_socket(raw, server_hostname="localhost", session=session) as tls:
            assert tls.session_reused == (round == 1), (version, round)
            tls.sendall(b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)
            tls.sendall(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            got = bytearray()
            while part := tls.recv(5000):
                got += part
            assert got.count(b"HTTP/1.1 200 OK") == 1001, got.count(b"HTTP/1.1 200 OK")
            session = tls.session
print("done")
"#;
    let Some(output) = run("python3", &["-c", script, &port, &authority]) else { return };
    assert_eq!(output, b"done\n");
}

#[test]
fn renegotiation_is_refused() {
    let (site, server, port, authority) = start();
    let address = format!("127.0.0.1:{port}");
    let args = ["s_client", "-connect", &address, "-CAfile", &authority, "-tls1_2", "-quiet"];
    let child = Command::new("openssl")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else { return skip("openssl is not installed") };
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(b"GET /hello.txt HTTP/1.0\r\n\r\n"));
    let output = child.wait_with_output().expect("wait for it");
    assert!(output.stdout.ends_with(b"hello\n"), "{}", String::from_utf8_lossy(&output.stdout));

    // Without -quiet, a line with an R begins a renegotiation.
    let mut child = Command::new("openssl")
        .args(&args[..args.len() - 1])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is installed");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(b"R\n").expect("write");
    let output = child.wait_with_output().expect("wait for it");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("no renegotiation"), "{stderr}");
    drop(stdin);
    assert_eq!(Client::new(&site, server.address).get("/hello.txt").body, b"hello\n");
}
