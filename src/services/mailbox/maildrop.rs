//! A mailbox as one POP3 session sees it (RFC 1939 calls it a maildrop).

use std::rc::Rc;

use super::{MailError, Mailbox, Message};
use crate::clock::Clock;

/// A locked mailbox, as one reader sees it: the messages that it held when it was locked, numbered
/// from 1. Messages that arrive later are not visible. Messages that are marked as deleted stay in
/// the mailbox until [`Maildrop::remove_next`] is called.
pub struct Maildrop {
    mailbox: Mailbox,
    /// Whether each message is marked as deleted. Only the holder of the lock removes messages and
    /// new ones come last, so the indexes stay valid.
    is_deleted: Vec<bool>,
}

impl Maildrop {
    /// Locks `mailbox`. Returns `None` if it is already locked.
    pub fn open(mailbox: &Mailbox) -> Option<Maildrop> {
        let mut contents = mailbox.contents();
        if std::mem::replace(&mut contents.is_locked, true) {
            return None;
        }
        let is_deleted = vec![false; contents.messages.len()];
        drop(contents);
        Some(Maildrop { mailbox: mailbox.clone(), is_deleted })
    }

    /// Returns the message `number`, unless it is marked as deleted.
    pub fn message(&self, number: usize) -> Option<Rc<Message>> {
        let index = number.checked_sub(1).filter(|index| self.is_deleted.get(*index) == Some(&false))?;
        self.mailbox.contents().messages.get(index).cloned()
    }

    /// Returns the messages that are not marked as deleted, and their numbers.
    pub fn messages(&self) -> impl Iterator<Item = (usize, Rc<Message>)> {
        (1..=self.is_deleted.len()).filter_map(|number| Some((number, self.message(number)?)))
    }

    /// Marks the message `number` as deleted. Returns whether it was there.
    pub fn delete(&mut self, number: usize) -> bool {
        let is_there = self.message(number).is_some();
        if is_there {
            self.is_deleted[number - 1] = true;
        }
        is_there
    }

    /// Removes all marks.
    pub fn reset(&mut self) {
        self.is_deleted.fill(false);
    }

    /// Removes the last message that is marked as deleted. Returns `None` if none is left.
    ///
    /// # Errors
    /// Fails if the store fails. The message then stays in the mailbox, without its mark.
    pub fn remove_next(&mut self, clock: &Clock) -> Option<Result<Rc<Message>, MailError>> {
        // From the end, so that the indexes of the other messages stay valid.
        while let Some(is_deleted) = self.is_deleted.pop() {
            if is_deleted {
                return Some(self.mailbox.contents().remove(self.is_deleted.len(), clock));
            }
        }
        None
    }
}

impl Drop for Maildrop {
    fn drop(&mut self) {
        self.mailbox.contents().is_locked = false;
    }
}
