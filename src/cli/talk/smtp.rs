//! `oneloop talk smtp`.

use std::path::PathBuf;

use clap::Args;
use oneloop::clients::{Dialogue, MessageError, OutgoingMail, SmtpClient};

use super::{Talk, dialogue::login, resolve};
use crate::cli::errors::Failure;

#[derive(Debug, Args)]
pub struct SmtpArgs {
    /// Address to connect to: HOST:PORT or unix:PATH
    #[arg(value_name = "ADDR")]
    address: String,

    /// File with the message; - is standard input
    #[arg(default_value = "-")]
    file: PathBuf,

    /// Address of the sender
    #[arg(long, value_name = "EMAIL")]
    from: String,

    /// Address of a recipient; repeatable
    #[arg(long, value_name = "EMAIL", required = true)]
    to: Vec<String>,

    /// Subject of a message that has no header section of its own
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,

    /// Log in with this name (AUTH LOGIN)
    #[arg(long, value_name = "NAME", requires = "password")]
    user: Option<String>,

    /// Password for --user, sent unencrypted; prefer ONELOOP_TALK_PASSWORD, because other users of
    /// this machine can see the option
    #[arg(long, value_name = "PASSWORD", env = "ONELOOP_TALK_PASSWORD", hide_env = true)]
    password: Option<String>,
}

/// Sends one mail, and shows the dialogue.
pub fn run(args: SmtpArgs, talk: &mut Talk) -> Result<(), Failure> {
    let addresses = resolve(&args.address)?;
    let login = args.user.as_deref().map(|user| login(user, &args.password.unwrap_or_default()));
    let login = login.transpose()?;
    let text = talk.read_input(&args.file)?;
    let mail =
        OutgoingMail::new(&args.from, &args.to, args.subject.as_deref(), text).map_err(invalid_mail)?;
    talk.converse(&addresses, Dialogue::with_letters, |session| {
        Box::new(SmtpClient::new(mail.clone(), login.clone(), session))
    })
}

/// Returns the error for a mail that cannot be sent, with advice.
fn invalid_mail(e: MessageError) -> Failure {
    let advice = match &e {
        MessageError::Address(_) => "use NAME@DOMAIN, in ASCII",
        MessageError::Subject => "use one line for --subject",
        MessageError::SecondHeader => "leave out --subject",
    };
    Failure::Usage(format!("{e}; {advice}"))
}
