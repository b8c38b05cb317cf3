//! The envelope of a message: the sender and the recipients that the SMTP dialogue names.
//!
//! The header of the message may name other addresses. So this module writes the envelope into
//! header lines, which are stored with the message.

use super::reply::SERVER;
use crate::address::Address;

/// The sender and the recipients of a message, as MAIL and RCPT gave them.
#[derive(Debug)]
pub struct Envelope {
    /// The sender; empty for a message that expects no answer, such as a delivery report.
    pub from: String,
    pub recipients: Vec<String>,
}

/// Where a message comes from.
pub struct Origin<'a> {
    /// The name that the client gave to itself.
    pub name: &'a str,
    pub peer: &'a Address,
    /// The protocol, such as ESMTP for a client that said EHLO (RFC 3848).
    pub protocol: &'static str,
    /// The time, as the value of a `Date` field of HTTP.
    pub date: &'a [u8],
}

impl Envelope {
    /// Returns the header lines that the server puts in front of the message (RFC 5321 section
    /// 4.4). They show the recipients that the message's own header does not name (Bcc).
    pub fn trace_fields(&self, origin: &Origin<'_>) -> Vec<u8> {
        let mut fields = format!("Return-Path: <{}>\r\n", self.from);
        for to in &self.recipients {
            fields.push_str(&format!("X-Envelope-To: <{to}>\r\n"));
        }
        let peer = match origin.peer.ip().map(|address| address.ip().to_canonical()) {
            Some(ip) if ip.is_ipv6() => format!("[IPv6:{ip}]"),
            Some(ip) => format!("[{ip}]"),
            None => "Unix socket".into(),
        };
        // Mail has a numeric time zone (RFC 5322 section 3.3).
        let date = String::from_utf8_lossy(origin.date).replace("GMT", "+0000");
        let Origin { name, protocol, .. } = origin;
        fields.push_str(&format!(
            "Received: from {name} ({peer})\r\n\tby {SERVER} with {protocol}; {date}\r\n"
        ));
        fields.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_fields_show_the_envelope() {
        let envelope = Envelope { from: String::new(), recipients: vec!["a@b".into(), "c@d".into()] };
        let ip = |text: &str| Address::Ip(text.parse().expect("an address"));
        for (peer, shown) in [
            (ip("127.0.0.1:1234"), "[127.0.0.1]"),
            (ip("[::1]:1234"), "[IPv6:::1]"),
            (ip("[::ffff:127.0.0.1]:1234"), "[127.0.0.1]"),
            (Address::Unix(None), "Unix socket"),
        ] {
            let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
            let origin = Origin { name: "me", peer: &peer, protocol: "ESMTP", date };
            let expected = format!(
                "Return-Path: <>\r\nX-Envelope-To: <a@b>\r\nX-Envelope-To: <c@d>\r\n\
                 Received: from me ({shown})\r\n\tby localhost with ESMTP; Sun, 06 Nov 1994 08:49:37 +0000\r\n"
            );
            assert_eq!(String::from_utf8_lossy(&envelope.trace_fields(&origin)), expected);
        }
    }
}
