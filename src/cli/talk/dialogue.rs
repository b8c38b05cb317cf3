//! What the clients that show a dialogue have in common: the dialogue on standard error, the output
//! to standard output or a file, and the result.

use std::{
    fs::File,
    io::{self, ErrorKind, IsTerminal, Read, Write},
    path::{Path, PathBuf},
};

use oneloop::{
    Address,
    clients::{ClientError, ConversationResult, Dialogue, Login, Session},
    protocol::Protocol,
};

use super::{
    Talk,
    output::{BlockingWriter, StandardOutput},
};
use crate::cli::errors::{Failure, io_message};

impl Talk {
    /// Runs a conversation with the first of `addresses` that accepts the connection. `mark` makes
    /// the dialogue from the writer that shows it, and `create` makes the client.
    pub fn converse(
        &mut self,
        addresses: &[Address],
        mark: fn(Box<dyn Write>) -> Dialogue,
        mut create: impl FnMut(Session) -> Box<dyn Protocol>,
    ) -> Result<(), Failure> {
        let result = ConversationResult::default();
        let (timeout, stderr) = (self.timeout, self.stderr.clone());
        let (address, _) = self.connect(addresses, |end| {
            let writer: Box<dyn Write> = match &stderr {
                Some(stderr) => Box::new(BlockingWriter(stderr.clone())),
                None => Box::new(io::sink()),
            };
            create(Session::new(mark(writer), timeout, result.clone(), end))
        })?;
        match result.take() {
            Ok(()) => Ok(()),
            // The reader of the output has closed it, so there is nothing left to do.
            Err(ClientError::Output(e)) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(ClientError::Output(e)) => {
                Err(Failure::System(format!("cannot write the output: {}", io_message(&e))))
            }
            Err(ClientError::Conversation(sentence)) => {
                Err(Failure::System(format!("{address}: {sentence}")))
            }
        }
    }

    /// Reads the file at `path` before the loop starts. `-` is standard input.
    pub fn read_input(&self, path: &Path) -> Result<Vec<u8>, Failure> {
        if path != Path::new("-") {
            return std::fs::read(path).map_err(|e| {
                let (path, why) = (path.display(), io_message(&e));
                Failure::Usage(format!("cannot read '{path}': {why}; use a file, or - for standard input"))
            });
        }
        let mut stdin = io::stdin().lock();
        if let Some(mut stderr) = self.stderr.as_deref().filter(|_| stdin.is_terminal()) {
            let _ = writeln!(stderr, "* type the text; Ctrl-D on an empty line ends it");
        }
        let mut bytes = Vec::new();
        let read = stdin.read_to_end(&mut bytes);
        read.map(|_| bytes).map_err(|e| Failure::system("cannot read standard input", &e))
    }
}

/// Returns the output of a client: the file at `path`, or standard output.
pub fn output(path: Option<&Path>) -> Box<dyn Write> {
    match path {
        Some(path) => Box::new(OutputFile { path: path.into(), file: None }),
        None => Box::new(StandardOutput::default()),
    }
}

/// A file that is created or truncated when the first byte arrives, so that a failed connection
/// does not change an older file.
struct OutputFile {
    path: PathBuf,
    file: Option<File>,
}

impl OutputFile {
    fn open(&mut self) -> io::Result<&mut File> {
        match self.file {
            Some(ref mut file) => Ok(file),
            ref mut none => {
                let file = File::create(&self.path).map_err(|e| {
                    io::Error::new(e.kind(), format!("'{}': {}", self.path.display(), io_message(&e)))
                })?;
                Ok(none.insert(file))
            }
        }
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open()?.write(bytes)
    }

    /// Creates the file even if it is empty.
    fn flush(&mut self) -> io::Result<()> {
        self.open()?.flush()
    }
}

/// Returns the login of a client.
pub fn login(user: &str, password: &str) -> Result<Login, Failure> {
    let advice = "use --user, and --password or ONELOOP_TALK_PASSWORD, with text on one line";
    Login::new(user, password).map_err(|e| Failure::Usage(format!("{e}; {advice}")))
}
