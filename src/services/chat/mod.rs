//! The chat room: the first line of a connection is a name, and each further line goes to all other
//! members. `nc` is enough to take part.
//!
//! The room owns the members and the lines that wait for them. A connection owns the state of its
//! own peer. One connection must never write to another: it queues a line and wakes the other
//! connection, which sends the line in its own turn.

mod connection;
mod queue;
mod room;
pub mod steps;
mod text;

use std::{cell::RefCell, rc::Rc, time::Duration};

use self::{connection::ChatConnection, room::Room};
use crate::{
    address::Address,
    protocol::{Protocol, ProtocolFactory, WakeKey},
};

/// A chat room. As a factory, it creates the protocol of each connection to the room.
pub struct ChatRoom {
    room: Rc<RefCell<Room<WakeKey>>>,
    head_timeout: Option<Duration>,
}

impl ChatRoom {
    /// Creates an empty room. A connection must give a name within `head_timeout`; `None` means no
    /// limit.
    pub fn new(head_timeout: Option<Duration>) -> ChatRoom {
        ChatRoom { room: Rc::new(RefCell::new(Room::new())), head_timeout }
    }

    /// Lets lines wait for a member that does not read, without limit.
    #[cfg(feature = "lessons")]
    pub(crate) fn with_unbounded_queues(self) -> ChatRoom {
        self.room.borrow_mut().unbound_queues();
        self
    }
}

impl ProtocolFactory for ChatRoom {
    fn create(&mut self, peer: &Address) -> Box<dyn Protocol> {
        Box::new(ChatConnection::new(Rc::clone(&self.room), peer, self.head_timeout))
    }
}
