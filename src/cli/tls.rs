//! The certificate for HTTPS: a given one, or one that is made and kept.
//!
//! A certificate is signed by an authority of this user's own. The authority stays the same for
//! years, so a browser that trusts it trusts each later certificate. No key is readable by other
//! users, and nothing is added to the stores of the system or a browser.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use oneloop::{TlsIdentity, TlsIdentityError, clock::Clock};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{
    args::{Cli, ListenArgs, TlsArgs},
    errors::{Failure, io_message},
    logger::LogPipe,
    urls::network_addresses,
};

/// The certificate of the authority, for browsers to trust.
const AUTHORITY: &str = "ca.pem";
/// The key of the authority.
const AUTHORITY_KEY: &str = "ca-key.pem";
/// The certificate of the server and its key. The first line names what the certificate is for.
const SERVER: &str = "server.pem";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an authority is valid, and when it is replaced.
const AUTHORITY_DAYS: (u32, u32) = (3650, 3285);
/// How long a certificate is valid, and when it is replaced. Browsers accept at most 398 days.
const SERVER_DAYS: (u32, u32) = (397, 300);

/// Returns the certificate that the arguments ask for and its key, or `None` for plain HTTP. Prints
/// what clients must trust if the certificate is one that was made.
///
/// # Errors
/// Fails if a file cannot be read or written, if a certificate and a key are not valid together, or
/// if keys would be kept where clients can download them.
pub fn identity(cli: &Cli, log: &LogPipe) -> Result<Option<TlsIdentity>, Failure> {
    let (listen, tls) = (&cli.listen, &cli.listen.tls);
    let serves = |path: &Path| cli.served().find(|root| is_served(path, root, cli.site.hidden));
    if tls.chosen().is_none() {
        return Ok(None);
    }
    match (&tls.tls_cert, &tls.tls_key) {
        (Some(chain), Some(key)) => {
            let identity = TlsIdentity::from_pem(&read("--tls-cert", chain)?, &read("--tls-key", key)?);
            let identity = identity.map_err(|e| not_valid(chain, key, &e))?;
            if let Some(root) = serves(key) {
                let (key, root) = (key.display(), root.display());
                log::warn!(
                    "clients can download the key '{key}', because '{root}' is served; move it elsewhere"
                );
            }
            Ok(Some(identity))
        }
        (Some(_), None) => Err(Failure::Usage("--tls-cert needs --tls-key and the file of its key".into())),
        (None, Some(_)) => {
            Err(Failure::Usage("--tls-key needs --tls-cert and the file of its certificate".into()))
        }
        (None, None) => {
            let dir = directory(tls)?;
            if let Some(root) = serves(&dir) {
                let (dir, root) = (dir.display(), root.display());
                return Err(Failure::Usage(format!(
                    "clients could download the keys in '{dir}' (--tls-dir), because '{root}' is served; use \
                     a directory elsewhere"
                )));
            }
            let kept = keep(&dir, &names(listen), Clock::system().wall());
            let (identity, fingerprint) = kept.map_err(|e| {
                let (dir, why) = (dir.display(), io_message(&e));
                let advice = "use a directory of your own with --tls-dir, or --tls-cert and --tls-key";
                Failure::Usage(format!("cannot keep a certificate in '{dir}' (--tls-dir): {why}; {advice}"))
            })?;
            let path = dir.join(AUTHORITY);
            if log::log_enabled!(log::Level::Warn) {
                log.write_line(&format!(
                    "oneloop: a client that trusts '{}' trusts this server (SHA-256 {fingerprint})",
                    path.display()
                ));
            }
            Ok(Some(identity))
        }
    }
}

/// Returns whether clients can request what is at `path`, because it is in the directory `root`,
/// which is served with its `hidden` files or without.
fn is_served(path: &Path, root: &Path, hidden: bool) -> bool {
    let (Ok(path), Ok(root)) = (resolved(path), root.canonicalize()) else { return false };
    let is_hidden = |name: &[u8]| name.starts_with(b".") && name != b".well-known";
    path.strip_prefix(root)
        .is_ok_and(|rest| hidden || !rest.iter().any(|name| is_hidden(name.as_encoded_bytes())))
}

/// Returns `path` without links and `..`, as far as it exists.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let known = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    let join = |(part, known): (&Path, PathBuf)| Some(known.join(path.strip_prefix(part).ok()?));
    Ok(known.and_then(join).unwrap_or(path.clone()))
}

/// Reads the file that is given to `option`.
fn read(option: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|e| {
        let (path, why) = (path.display(), io_message(&e));
        Failure::Usage(format!("cannot read '{path}' for {option}: {why}; use a file in PEM format"))
    })
}

/// Returns the error for a certificate and a key that are given and cannot be used.
fn not_valid(chain: &Path, key: &Path, e: &TlsIdentityError) -> Failure {
    let (chain, key) = (chain.display(), key.display());
    let advice = "use a certificate chain and its key in PEM format";
    match e {
        TlsIdentityError::NoCertificate | TlsIdentityError::BadCertificate => {
            Failure::Usage(format!("'{chain}' is not valid for --tls-cert: {e}; {advice}"))
        }
        TlsIdentityError::NoKey => {
            Failure::Usage(format!("'{key}' is not valid for --tls-key: {e}; {advice}"))
        }
        e => Failure::Usage(format!("--tls-cert '{chain}' and --tls-key '{key}': {e}; {advice}")),
    }
}

/// Returns the directory for what is made.
fn directory(tls: &TlsArgs) -> Result<PathBuf, Failure> {
    let of_user =
        |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let state = || of_user("XDG_STATE_HOME").or_else(|| Some(of_user("HOME")?.join(".local/state")));
    let dir = tls.tls_dir.clone().or_else(|| Some(state()?.join("oneloop")));
    dir.ok_or_else(|| Failure::Usage("there is no home directory for a certificate; use --tls-dir".into()))
}

/// Returns the names and addresses by which clients may reach the server.
fn names(listen: &ListenArgs) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
    let host = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    if !host.contains('.') {
        names.push(format!("{host}.local"));
    }
    names.push(host);
    let given = listen.bind.iter().chain(&listen.allow_host);
    names.extend(given.map(|name| name.trim_matches(['[', ']']).to_owned()));
    names.extend(network_addresses().iter().map(ToString::to_string));
    let is_wild = |ip: IpAddr| ip.is_unspecified();
    let is_name = |name: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        !name.is_empty() && name.len() < 254 && name.chars().all(is_part)
    };
    names.retain(|name| name.parse().map_or(is_name(name), |ip| !is_wild(ip)));
    names.sort();
    names.dedup();
    names
}

/// Returns the certificate for `names` that is kept in `dir`, and the fingerprint of its authority.
/// Makes a new one if there is none, or if it is for other names, near its end or not valid.
fn keep(dir: &Path, names: &[String], now: SystemTime) -> io::Result<(TlsIdentity, String)> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let (authority, key, is_new) = authority(dir, now)?;
    let fingerprint = fingerprint(&authority);
    let path = dir.join(SERVER);
    let first_line = format!("For {}\n", names.join(" "));
    let is_kept =
        |text: &String| text.starts_with(&first_line) && !is_new && is_fresh(&path, SERVER_DAYS, now);
    let kept = fs::read_to_string(&path).ok().filter(is_kept);
    let kept = kept.and_then(|text| TlsIdentity::from_pem(text.as_bytes(), text.as_bytes()).ok());
    let identity = match kept {
        Some(identity) => identity,
        None => {
            let text = first_line + &make(names, key, now).map_err(io::Error::other)?;
            write(&path, &text, 0o600)?;
            TlsIdentity::from_pem(text.as_bytes(), text.as_bytes()).map_err(io::Error::other)?
        }
    };
    Ok((identity, fingerprint))
}

/// Returns the certificate and the key of the authority in `dir`, and whether it is a new one.
fn authority(dir: &Path, now: SystemTime) -> io::Result<(CertificateDer<'static>, KeyPair, bool)> {
    let (path, key_path) = (dir.join(AUTHORITY), dir.join(AUTHORITY_KEY));
    if is_fresh(&path, AUTHORITY_DAYS, now)
        && let Ok(certificate) = CertificateDer::from_pem_file(&path)
        && let Ok(key) = PrivateKeyDer::from_pem_file(&key_path)
        && let Ok(key) = KeyPair::try_from(&key)
    {
        return Ok((certificate, key, false));
    }
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = authority_params(now).self_signed(&key).map_err(io::Error::other)?;
    write(&key_path, &pem("PRIVATE KEY", key.serialized_der()), 0o600)?;
    write(&path, &pem("CERTIFICATE", certificate.der()), 0o644)?;
    Ok((certificate.der().clone(), key, true))
}

/// Returns what the certificate of an authority says. The name is always the same, so that an
/// authority can be used again with its key alone.
fn authority_params(now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "oneloop on this machine");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // A day, because the clocks of other machines may be slow.
    (params.not_before, params.not_after) = ((now - DAY).into(), (now + DAY * AUTHORITY_DAYS.0).into());
    params
}

/// Makes a certificate for `names` and its key, and returns both in PEM format.
fn make(names: &[String], authority: KeyPair, now: SystemTime) -> Result<String, rcgen::Error> {
    let issuer = Issuer::new(authority_params(now), authority);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "oneloop");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = ((now - DAY).into(), (now + DAY * SERVER_DAYS.0).into());
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(pem("CERTIFICATE", certificate.der()) + &pem("PRIVATE KEY", key.serialized_der()))
}

/// Returns whether the file at `path` is so new that it need not be replaced.
fn is_fresh(path: &Path, (_, replaced_after): (u32, u32), now: SystemTime) -> bool {
    let modified = fs::metadata(path).and_then(|status| status.modified());
    modified.is_ok_and(|modified| now.duration_since(modified).unwrap_or_default() < DAY * replaced_after)
}

/// Writes a file that nobody sees before it is complete, with this mode.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Returns `der` in PEM format (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}

/// Returns the SHA-256 fingerprint of a certificate, as browsers and `openssl` show it.
fn fingerprint(certificate: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}
