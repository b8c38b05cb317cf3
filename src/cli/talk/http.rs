//! `oneloop talk http`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use oneloop::{
    Address, RuleError,
    clients::{Dialogue, HttpClient, HttpRequest, HttpServerName, HttpUrl, UrlError},
};

use super::{Talk, dialogue::output, resolve};
use crate::cli::errors::Failure;

#[derive(Debug, Args)]
pub struct HttpArgs {
    /// Method of the request
    #[arg(value_enum)]
    method: MethodArg,

    /// http://HOST[:PORT][/PATH], or unix:PATH of a Unix socket
    url: String,

    /// Send this header, 'NAME: VALUE'; repeatable
    #[arg(long, value_name = "LINE")]
    header: Vec<String>,

    /// Send this text with a POST
    #[arg(long, value_name = "TEXT", conflicts_with = "data_file")]
    data: Option<String>,

    /// Send the bytes of FILE, or of standard input (-), with a POST
    #[arg(long, value_name = "FILE")]
    data_file: Option<PathBuf>,

    /// Write the response body to FILE instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Connect to the Unix socket at PATH instead of the host in the URL
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
}

/// The methods that the client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
enum MethodArg {
    Get,
    Head,
    Post,
}

/// Sends a request, shows both heads, and writes the body of the response.
pub fn run(args: HttpArgs, talk: &mut Talk) -> Result<(), Failure> {
    let url = HttpUrl::parse(&args.url).map_err(|e| invalid_url(&args.url, e))?;
    let url = match &args.unix {
        Some(path) => url.via_unix(path.clone()),
        None => url,
    };
    let request = request(&args, &url, talk)?;
    let addresses = addresses(&url)?;
    talk.converse(&addresses, Dialogue::with_arrows, |session| {
        Box::new(HttpClient::new(request.clone(), session, output(args.output.as_deref())))
    })
}

/// Returns the addresses of the server that a URL names.
pub fn addresses(url: &HttpUrl) -> Result<Vec<Address>, Failure> {
    // `localhost` means both loopback addresses (RFC 6761 section 6.3), also in a container that
    // has no /etc/hosts.
    let loopback = |port| {
        let addresses: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        addresses.map(|ip| Address::from(SocketAddr::new(ip, port))).into()
    };
    match &url.server {
        HttpServerName::Host(host, port) if host.eq_ignore_ascii_case("localhost") => Ok(loopback(*port)),
        HttpServerName::Unix(path) => Ok(vec![Address::Unix(Some(path.as_path().into()))]),
        HttpServerName::Host(host, port) if host.contains(':') => resolve(&format!("[{host}]:{port}")),
        HttpServerName::Host(host, port) => resolve(&format!("{host}:{port}")),
    }
}

/// Returns the request that the arguments describe.
fn request(args: &HttpArgs, url: &HttpUrl, talk: &Talk) -> Result<HttpRequest, Failure> {
    let method = match args.method {
        MethodArg::Get => "GET",
        MethodArg::Head => "HEAD",
        MethodArg::Post => "POST",
    };
    let mut request = HttpRequest::new(method, url);
    let (data, media_type) = match (&args.data, &args.data_file) {
        (Some(text), _) => (Some(text.clone().into_bytes()), "application/x-www-form-urlencoded"),
        (None, Some(path)) => (Some(talk.read_input(path)?), "application/octet-stream"),
        (None, None) => (None, ""),
    };
    match data {
        Some(_) if args.method != MethodArg::Post => {
            let advice = "use POST, or leave out --data and --data-file";
            return Err(Failure::Usage(format!("{method} sends no data; {advice}")));
        }
        Some(data) => request.set_body(data, media_type),
        None if args.method == MethodArg::Post => request.set_body(Vec::new(), "text/plain"),
        None => {}
    }
    request.set_fields(&args.header).map_err(|(line, e)| {
        let why = match e {
            RuleError::MissingColon => "use a name, a colon and a value".into(),
            e => e.to_string(),
        };
        Failure::Usage(format!("'{}' is not valid for --header: {why}", line.escape_debug()))
    })?;
    Ok(request)
}

/// Returns the error for a URL that is not valid, with advice.
pub fn invalid_url(url: &str, e: UrlError) -> Failure {
    let url = url.escape_debug();
    Failure::Usage(match e {
        UrlError::Https => format!("'{url}' needs TLS, which this client does not have; use an http URL"),
        e => format!("'{url}' is not a valid URL: {e}; use http://HOST[:PORT]/PATH or unix:PATH"),
    })
}
