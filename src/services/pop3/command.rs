//! Parses POP3 commands (RFC 1939).

/// A parsed command. Messages are numbered from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pop3Command {
    User,
    Pass,
    Capabilities,
    Status,
    /// `LIST`, of one message or of all.
    List(Option<usize>),
    /// `UIDL`, of one message or of all.
    UniqueIds(Option<usize>),
    Retrieve(usize),
    /// `TOP`: the header and a number of lines of the body.
    Top {
        number: usize,
        lines: usize,
    },
    Delete(usize),
    Reset,
    Noop,
    Quit,
    /// A method of HTTP. A web page can make a browser send mail commands in the body of a request.
    Http,
}

impl Pop3Command {
    /// Parses a line without its line end.
    ///
    /// # Errors
    /// Returns what is wrong with a line that is not a valid command.
    pub fn parse(line: &[u8]) -> Result<Pop3Command, &'static str> {
        let line = String::from_utf8_lossy(line);
        let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
        // A password may contain spaces, but no other argument does.
        let words: Vec<&str> = argument.split_ascii_whitespace().collect();
        let alone =
            |command| if words.is_empty() { Ok(command) } else { Err("this command takes no argument") };
        match (verb.trim_end().to_ascii_uppercase().as_str(), &words[..]) {
            ("USER", [_, ..]) => Ok(Pop3Command::User),
            ("USER", []) => Err("write USER NAME"),
            ("PASS", _) => Ok(Pop3Command::Pass),
            ("CAPA", _) => alone(Pop3Command::Capabilities),
            ("STAT", _) => alone(Pop3Command::Status),
            ("LIST", _) => Ok(Pop3Command::List(at_most_one(&words)?)),
            ("UIDL", _) => Ok(Pop3Command::UniqueIds(at_most_one(&words)?)),
            ("RETR", [number]) => Ok(Pop3Command::Retrieve(parse(number)?)),
            ("RETR", _) => Err("write RETR NUMBER"),
            ("TOP", [number, lines]) => Ok(Pop3Command::Top { number: parse(number)?, lines: parse(lines)? }),
            ("TOP", _) => Err("write TOP NUMBER LINES"),
            ("DELE", [number]) => Ok(Pop3Command::Delete(parse(number)?)),
            ("DELE", _) => Err("write DELE NUMBER"),
            ("RSET", _) => alone(Pop3Command::Reset),
            ("NOOP", _) => alone(Pop3Command::Noop),
            ("QUIT", _) => alone(Pop3Command::Quit),
            ("GET" | "HEAD" | "POST" | "PUT" | "OPTIONS" | "CONNECT", _) => Ok(Pop3Command::Http),
            _ => Err("unknown command"),
        }
    }
}

fn at_most_one(words: &[&str]) -> Result<Option<usize>, &'static str> {
    match words {
        [] => Ok(None),
        [number] => parse(number).map(Some),
        _ => Err("this command takes at most one argument"),
    }
}

/// Parses a decimal number. A number that is too large for a `usize` is larger than every number of
/// a message or a line.
fn parse(number: &str) -> Result<usize, &'static str> {
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err("not a number");
    }
    Ok(number.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_is_parsed_in_any_case() {
        let table = [
            ("user nchuy", Ok(Pop3Command::User)),
            ("USER a b", Ok(Pop3Command::User)),
            ("pass abcdef123", Ok(Pop3Command::Pass)),
            ("PASS a  b c", Ok(Pop3Command::Pass)),
            ("PASS", Ok(Pop3Command::Pass)),
            ("CAPA", Ok(Pop3Command::Capabilities)),
            ("STAT", Ok(Pop3Command::Status)),
            ("List", Ok(Pop3Command::List(None))),
            ("LIST 2 ", Ok(Pop3Command::List(Some(2)))),
            ("UIDL", Ok(Pop3Command::UniqueIds(None))),
            ("UIDL 1", Ok(Pop3Command::UniqueIds(Some(1)))),
            ("Retr 1", Ok(Pop3Command::Retrieve(1))),
            ("TOP 1 0", Ok(Pop3Command::Top { number: 1, lines: 0 })),
            ("Dele 1", Ok(Pop3Command::Delete(1))),
            ("DELE 99999999999999999999999", Ok(Pop3Command::Delete(usize::MAX))),
            ("RSET", Ok(Pop3Command::Reset)),
            ("NOOP ", Ok(Pop3Command::Noop)),
            ("Quit", Ok(Pop3Command::Quit)),
            ("POST / HTTP/1.1", Ok(Pop3Command::Http)),
            ("", Err("unknown command")),
            ("APOP name c4c9334bac560ecc979e58001b3e22fb", Err("unknown command")),
            ("AUTH", Err("unknown command")),
            ("USER", Err("write USER NAME")),
            ("USER ", Err("write USER NAME")),
            ("STAT 1", Err("this command takes no argument")),
            ("LIST 1 2", Err("this command takes at most one argument")),
            ("LIST -1", Err("not a number")),
            ("RETR", Err("write RETR NUMBER")),
            ("RETR one", Err("not a number")),
            ("RETR +1", Err("not a number")),
            ("TOP 1", Err("write TOP NUMBER LINES")),
            ("QUIT now", Err("this command takes no argument")),
        ];
        for (line, expected) in table {
            assert_eq!(Pop3Command::parse(line.as_bytes()), expected, "{line:?}");
        }
    }
}
