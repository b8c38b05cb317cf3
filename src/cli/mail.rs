//! The mail catcher's flags: SMTP and POP3 share one mailbox.

use std::{ffi::OsStr, path::PathBuf};

use clap::Args;
use oneloop::{HttpServer, MailLimits, Mailbox, Maildir, Pop3Service, SmtpService};

use super::{
    conversations::{Started, add},
    errors::{Failure, io_message},
};

#[derive(Debug, Clone, Args)]
pub struct MailArgs {
    /// Accept mail by SMTP on this address, such as 127.0.0.1:2525; keep it and deliver none
    #[arg(long, value_name = "ADDR", env = "ONELOOP_SMTP", hide_env = true)]
    pub smtp: Option<String>,

    /// Serve the mail of --smtp by POP3 on this address, such as 127.0.0.1:1110
    #[arg(long, value_name = "ADDR", env = "ONELOOP_POP3", hide_env = true)]
    pub pop3: Option<String>,

    /// Keep the mail in this Maildir, created if missing [default: in memory]
    #[arg(long, value_name = "DIR", env = "ONELOOP_MAIL_DIR", hide_env = true)]
    pub mail_dir: Option<PathBuf>,
}

/// Starts SMTP and POP3 if their flags are given, and adds them to `started`.
pub fn start(server: &mut HttpServer, args: &MailArgs, started: &mut Vec<Started>) -> Result<(), Failure> {
    if args.smtp.is_none() && args.pop3.is_none() {
        return match args.mail_dir {
            Some(_) => Err(Failure::Usage("--mail-dir needs a mail service; add --smtp or --pop3".into())),
            None => Ok(()),
        };
    }
    let mailbox = open_mailbox(server, args)?;
    if let Some(text) = &args.smtp {
        started.push(add(server, ("--smtp", "smtp"), text, SmtpService::new(mailbox.clone()))?);
    }
    if let Some(text) = &args.pop3 {
        started.push(add(server, ("--pop3", "pop3"), text, Pop3Service::new(mailbox))?);
    }
    if args.smtp.is_none() && args.mail_dir.is_none() {
        log::warn!("--pop3 has an empty mailbox; add --smtp or --mail-dir");
    }
    Ok(())
}

/// Opens the Maildir, or creates a mailbox in memory.
fn open_mailbox(server: &mut HttpServer, args: &MailArgs) -> Result<Mailbox, Failure> {
    let Some(dir) = &args.mail_dir else { return Ok(Mailbox::in_memory(MailLimits::default())) };
    let now = server.event_loop().clock().wall();
    Maildir::open(dir, now).and_then(|maildir| Mailbox::in_maildir(maildir, MailLimits::default())).map_err(
        |e| {
            let (dir, why) = (dir.display(), io_message(&e));
            Failure::Usage(format!("cannot use the mail directory '{dir}': {why}; choose another --mail-dir"))
        },
    )
}

/// Warns if HTTP serves the mail directory, because it is a visible part of a directory that is
/// `served`.
pub fn warn_if_served(args: &MailArgs, served: &[PathBuf]) {
    let Some(mail_dir) = &args.mail_dir else { return };
    let Ok(mail) = mail_dir.canonicalize() else { return };
    let is_dotfile = |name: &OsStr| name.as_encoded_bytes().starts_with(b".");
    let is_visible_in = |dir: &PathBuf| {
        let site = dir.canonicalize().ok();
        let path = site.as_ref().and_then(|site| mail.strip_prefix(site).ok());
        path.is_some_and(|path| !path.iter().any(is_dotfile))
    };
    if served.iter().any(is_visible_in) {
        let mail_dir = mail_dir.display();
        log::warn!("--mail-dir '{mail_dir}' is in the served directory, so browsers can read the mail");
    }
}
