//! The mailbox that SMTP fills and POP3 empties.
//!
//! There is one mailbox for all names and passwords. It owns the messages, which are in memory, and
//! a [`MessageStore`], which can also keep them on a disk. Its size is limited, and messages that
//! are still arriving count. A full mailbox refuses new messages and never drops an old one. The
//! mailbox knows nothing about SMTP or POP3, and must never do I/O except through its store.

mod draft;
mod maildrop;
pub mod steps;
mod store;

use std::{
    cell::{RefCell, RefMut},
    fmt, io,
    rc::Rc,
    time::Duration,
};

pub use self::{draft::Draft, maildrop::Maildrop};
use self::{
    draft::with_crlf,
    store::{MemoryStore, MessageStore},
};
use crate::{
    clock::Clock,
    maildir::Maildir,
    token_bucket::{Rate, TokenBucket},
};

/// How often a failure of the store is logged.
const WARNINGS: Rate = Rate { burst: 1, interval: Duration::from_secs(60) };

/// The limits of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailLimits {
    /// The maximum number of messages.
    pub messages: usize,
    /// The maximum length in bytes of all messages together.
    pub bytes: usize,
    /// The maximum length in bytes of one message.
    pub message_bytes: usize,
}

impl Default for MailLimits {
    /// Returns limits of 1,000 messages, 64 MiB in total, and 10 MiB for one message.
    fn default() -> MailLimits {
        MailLimits { messages: 1000, bytes: 64 * 1024 * 1024, message_bytes: 10 * 1024 * 1024 }
    }
}

/// Why a message is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailError {
    /// The message is longer than one message may be.
    TooLarge,
    /// The mailbox has no room for the message.
    Full,
    /// The store failed. The log has the details.
    Store,
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MailError::TooLarge => "the message is too large",
            MailError::Full => "the mailbox is full",
            MailError::Store => "the mail directory cannot be written",
        })
    }
}

/// A stored message.
pub struct Message {
    /// The message's unique ID, 1 to 70 visible ASCII characters (RFC 1939 section 7, UIDL).
    pub id: Box<str>,
    /// The header and the body. Each line ends with CRLF.
    pub content: Box<[u8]>,
    /// The message's name in the store.
    name: Vec<u8>,
}

/// A handle to a mailbox. Clones refer to the same mailbox.
#[derive(Clone)]
pub struct Mailbox {
    shared: Rc<RefCell<Contents>>,
}

/// What the handles share.
struct Contents {
    /// The messages, in the order of their arrival.
    messages: Vec<Rc<Message>>,
    /// The number of messages that are still arriving.
    arriving: usize,
    /// The total length in bytes of all messages, stored and arriving.
    bytes: usize,
    limits: MailLimits,
    store: Box<dyn MessageStore>,
    /// Whether a [`Maildrop`] is open.
    is_locked: bool,
    /// Bounds the failures of the store that are logged, because any client can try again.
    warnings: TokenBucket,
}

impl Mailbox {
    /// Creates an empty mailbox that exists only in memory.
    pub fn in_memory(limits: MailLimits) -> Mailbox {
        Mailbox::new(limits, Box::new(MemoryStore::default()))
    }

    /// Creates a mailbox of the messages in `maildir`. It also stores new messages there.
    ///
    /// # Errors
    /// Fails if a message cannot be read, or if the messages exceed the limits.
    pub fn in_maildir(maildir: Maildir, limits: MailLimits) -> io::Result<Mailbox> {
        let too_many = || {
            let (count, mib) = (limits.messages, limits.bytes / (1024 * 1024));
            io::Error::other(format!("it holds more mail than the limit of {count} messages and {mib} MiB"))
        };
        let (mut messages, mut bytes) = (Vec::new(), 0);
        for name in maildir.messages()? {
            if messages.len() == limits.messages {
                return Err(too_many());
            }
            // Another program may have stored the message with lines that end in LF.
            let content = maildir.read(&name, limits.bytes - bytes)?.map(with_crlf);
            let content =
                content.filter(|content| content.len() <= limits.bytes - bytes).ok_or_else(too_many)?;
            bytes += content.len();
            messages.push(Rc::new(Message::new(name.unique().to_vec(), content)));
        }
        let mailbox = Mailbox::new(limits, Box::new(maildir));
        mailbox.contents().messages = messages;
        mailbox.contents().bytes = bytes;
        Ok(mailbox)
    }

    fn new(limits: MailLimits, store: Box<dyn MessageStore>) -> Mailbox {
        let (messages, is_locked, warnings) = (Vec::new(), false, TokenBucket::default());
        let contents = Contents { messages, arriving: 0, bytes: 0, limits, store, is_locked, warnings };
        Mailbox { shared: Rc::new(RefCell::new(contents)) }
    }

    /// Returns the limits.
    pub fn limits(&self) -> MailLimits {
        self.contents().limits
    }

    /// Returns the number of messages and their total length in bytes, without those that are still
    /// arriving.
    pub fn totals(&self) -> (usize, usize) {
        let contents = self.contents();
        (contents.messages.len(), contents.messages.iter().map(|message| message.content.len()).sum())
    }

    /// Checks whether there is room for one more message, of `len` bytes.
    ///
    /// # Errors
    /// Fails if the message is too large or the mailbox is full.
    pub fn check_room(&self, len: usize) -> Result<(), MailError> {
        let contents = self.contents();
        let has_place = contents.messages.len() + contents.arriving < contents.limits.messages;
        if len > contents.limits.message_bytes {
            Err(MailError::TooLarge)
        } else if !has_place || len > contents.limits.bytes - contents.bytes {
            Err(MailError::Full)
        } else {
            Ok(())
        }
    }

    /// Returns whether storing or removing a message waits for a disk.
    pub fn is_on_disk(&self) -> bool {
        self.contents().store.is_on_disk()
    }

    /// Borrows the contents. No method keeps the borrow beyond its own call.
    fn contents(&self) -> RefMut<'_, Contents> {
        self.shared.borrow_mut()
    }
}

impl Contents {
    /// Stores a message that has just arrived. Its length is already counted in `bytes`.
    fn insert(&mut self, content: Vec<u8>, clock: &Clock) -> Result<Rc<Message>, MailError> {
        let stored = self.store.insert(&content, clock.wall());
        let name = self.log(stored, "store", clock)?;
        let message = Rc::new(Message::new(name, content));
        self.messages.push(Rc::clone(&message));
        Ok(message)
    }

    /// Logs that the store failed to `act` on a message, at most once a minute.
    fn log<T>(&mut self, result: io::Result<T>, act: &str, clock: &Clock) -> Result<T, MailError> {
        result.map_err(|e| {
            if self.warnings.try_take(WARNINGS, clock.now()) {
                log::warn!("cannot {act} a message: {e}; the client can try again");
            }
            MailError::Store
        })
    }

    /// Removes the message at `index`.
    fn remove(&mut self, index: usize, clock: &Clock) -> Result<Rc<Message>, MailError> {
        let removed = self.store.remove(&self.messages[index].name);
        self.log(removed, "remove", clock)?;
        let message = self.messages.remove(index);
        self.bytes -= message.content.len();
        Ok(message)
    }
}

impl Message {
    fn new(name: Vec<u8>, content: Vec<u8>) -> Message {
        Message { id: unique_id(&name), content: content.into(), name }
    }
}

/// Returns the unique ID for a message named `name`: the name itself, or a hash of it if the name
/// is not a valid ID.
fn unique_id(name: &[u8]) -> Box<str> {
    match str::from_utf8(name) {
        Ok(name) if (1..=70).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic()) => {
            name.into()
        }
        _ => format!("{:016x}", xxhash_rust::xxh3::xxh3_64(name)).into(),
    }
}

/// Returns a message with the given content.
#[cfg(test)]
pub fn message(content: &[u8]) -> Rc<Message> {
    Rc::new(Message::new(b"name".to_vec(), content.to_vec()))
}

#[cfg(test)]
mod tests {
    use std::{fs, time::SystemTime};

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;
    const SMALL: MailLimits = MailLimits { messages: 3, bytes: 100, message_bytes: 50 };

    /// Puts a message into the mailbox.
    fn put(mailbox: &Mailbox, content: &[u8]) -> Result<Rc<Message>, MailError> {
        let mut draft = Draft::new(mailbox, Vec::new())?;
        content.chunks(7).try_for_each(|part| draft.extend(part))?;
        draft.store(&Clock::frozen(NOW))
    }

    #[test]
    fn mailbox_keeps_its_limits() {
        let mailbox = Mailbox::in_memory(SMALL);
        assert_eq!(put(&mailbox, &[b'a'; 51]).err(), Some(MailError::TooLarge));
        assert_eq!((mailbox.totals(), mailbox.check_room(51)), ((0, 0), Err(MailError::TooLarge)));
        put(&mailbox, &[b'a'; 50]).expect("room");
        put(&mailbox, &[b'b'; 41]).expect("room");
        assert_eq!(put(&mailbox, &[b'c'; 10]).err(), Some(MailError::Full));
        assert_eq!((mailbox.check_room(9), mailbox.check_room(10)), (Ok(()), Err(MailError::Full)));
        put(&mailbox, &[b'c'; 9]).expect("room");
        assert_eq!((mailbox.totals(), put(&mailbox, b"").err()), ((3, 100), Some(MailError::Full)));
    }

    #[test]
    fn limit_that_is_met_first_does_not_depend_on_the_parts() {
        for (filled, expected) in
            [(49, MailError::TooLarge), (50, MailError::TooLarge), (51, MailError::Full)]
        {
            for part in [1, 7, 60] {
                let mailbox = Mailbox::in_memory(SMALL);
                let mut other = Draft::new(&mailbox, vec![b'x'; 40]).expect("room");
                other.extend(&vec![b'x'; filled - 40]).expect("room");
                let mut draft = Draft::new(&mailbox, Vec::new()).expect("room");
                let error = [b'a'; 60].chunks(part).find_map(|part| draft.extend(part).err());
                assert_eq!(error, Some(expected), "{filled} bytes, parts of {part}");
            }
        }
    }

    #[test]
    fn arriving_messages_count_until_they_are_dropped() {
        let mailbox = Mailbox::in_memory(SMALL);
        let mut first = Draft::new(&mailbox, vec![b'x'; 40]).expect("room");
        first.extend(&[b'a'; 50]).expect("the prefix does not count as the message");
        let second = Draft::new(&mailbox, vec![b'x'; 10]).expect("room");
        assert_eq!(Draft::new(&mailbox, vec![b'x']).err(), Some(MailError::Full));
        drop(first);
        let third = Draft::new(&mailbox, vec![b'x'; 50]).expect("room again");
        let fourth = Draft::new(&mailbox, Vec::new()).expect("room for three");
        assert_eq!(Draft::new(&mailbox, Vec::new()).err(), Some(MailError::Full));
        second.store(&Clock::frozen(NOW)).expect("store");
        drop((third, fourth));
        assert_eq!((mailbox.totals(), mailbox.contents().bytes), ((1, 10), 10));
    }

    #[test]
    fn maildrop_is_a_snapshot_for_one_reader() {
        let mailbox = Mailbox::in_memory(SMALL);
        for content in [b"one", b"two"] {
            put(&mailbox, content).expect("room");
        }
        let mut maildrop = Maildrop::open(&mailbox).expect("not locked");
        assert!(Maildrop::open(&mailbox).is_none());
        put(&mailbox, b"three").expect("room");
        let numbers = |maildrop: &Maildrop| maildrop.messages().map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!((numbers(&maildrop), maildrop.message(0).is_none()), (vec![1, 2], true));
        assert!(maildrop.delete(1) && !maildrop.delete(1) && !maildrop.delete(3) && !maildrop.delete(0));
        assert_eq!((numbers(&maildrop), maildrop.message(1).is_none()), (vec![2], true));
        drop(maildrop);
        assert_eq!(mailbox.totals().0, 3);
        let mut maildrop = Maildrop::open(&mailbox).expect("unlocked");
        assert!(maildrop.delete(1) && maildrop.delete(3));
        assert_eq!(put(&mailbox, b"four").err(), Some(MailError::Full));
        let removed = std::iter::from_fn(|| maildrop.remove_next(&Clock::frozen(NOW)));
        let removed: Vec<_> = removed.map(|message| message.expect("removed").content.to_vec()).collect();
        assert_eq!(removed, [&b"three"[..], b"one"]);
        assert_eq!((mailbox.totals(), mailbox.contents().bytes), ((1, 3), 3));
    }

    #[test]
    fn failed_store_keeps_nothing_and_refuses_the_message() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || Maildir::open(dir.path(), NOW).expect("open");
        let mailbox = Mailbox::in_maildir(open(), SMALL).expect("an empty mailbox");
        let id = put(&mailbox, b"kept").expect("room").id.clone();
        fs::rename(dir.path().join("new"), dir.path().join("gone")).expect("rename");
        assert_eq!(put(&mailbox, b"lost").err(), Some(MailError::Store));
        assert_eq!((mailbox.totals(), mailbox.contents().bytes), ((1, 4), 4));
        fs::rename(dir.path().join("gone"), dir.path().join("new")).expect("rename");
        put(&mailbox, b"more").expect("room");
        let is_due = mailbox.contents().warnings.try_take(WARNINGS, Clock::frozen(NOW).now());
        assert!(!is_due, "a success allows no other line within the minute");
        let again = Mailbox::in_maildir(open(), SMALL).expect("the same messages");
        assert_eq!(again.totals().0, 2);
        let message = Maildrop::open(&again).and_then(|maildrop| maildrop.message(1)).expect("one");
        assert_eq!((&message.id, &*message.content), (&id, &b"kept\r\n"[..]));
    }

    #[test]
    fn maildir_beyond_the_limits_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || Maildir::open(dir.path(), NOW).expect("open");
        let mut maildir = open();
        // Line feeds become CRLF, so these are 100 bytes in memory.
        for (len, is_within) in [(30, true), (20, true), (1, false)] {
            let name = maildir.insert(&vec![b'\n'; len], NOW).expect("insert");
            assert_eq!(Mailbox::in_maildir(open(), SMALL).is_ok(), is_within, "{len}");
            if !is_within {
                maildir.remove(&name).expect("remove");
            }
        }
        let limits = MailLimits { messages: 1, ..SMALL };
        let error = Mailbox::in_maildir(open(), limits).map(drop).expect_err("two messages");
        assert!(error.to_string().contains("limit of 1 messages"), "{error}");
    }

    #[test]
    fn unique_ids_are_visible_and_short() {
        assert_eq!(&*unique_id(b"1.M2P3Q4.host"), "1.M2P3Q4.host");
        for name in [&b"a b"[..], b"", b"\xff", &[b'a'; 71]] {
            let id = unique_id(name);
            assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
        }
    }
}
