//! Standard input on its way to a socket.

use std::{cell::RefCell, mem, rc::Rc};

use crate::protocol::{Context, InputProtocol, WakeKey};

/// The number of unsent bytes at which standard input is no longer read.
const ROOM: usize = 64 * 1024;

/// The bytes that standard input has delivered and the connection has not taken yet. Both sources
/// share it: the input adds bytes and wakes the connection, and the connection takes bytes and
/// wakes the input when there is room again.
#[derive(Debug, Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    has_ended: bool,
    connection: Option<WakeKey>,
    input: Option<WakeKey>,
}

impl Outgoing {
    /// Sets the connection that takes the bytes. Call this when the connection is established.
    pub fn set_connection(&mut self, cx: &Context<'_>) {
        self.connection = Some(cx.wake_key());
    }

    /// Returns whether there is no input that the connection has not taken.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes all bytes, and says whether the input has ended.
    pub fn take(&mut self, cx: &mut Context<'_>) -> (Vec<u8>, bool) {
        if self.bytes.len() >= ROOM {
            self.input.into_iter().for_each(|input| cx.wake(input));
        }
        (mem::take(&mut self.bytes), self.has_ended)
    }
}

/// The protocol of standard input: puts everything into [`Outgoing`].
#[derive(Debug)]
pub struct OutgoingInput(pub Rc<RefCell<Outgoing>>);

impl InputProtocol for OutgoingInput {
    fn receive(&mut self, input: &[u8], cx: &mut Context<'_>) {
        let mut outgoing = self.0.borrow_mut();
        outgoing.input = Some(cx.wake_key());
        outgoing.bytes.extend_from_slice(input);
        outgoing.connection.into_iter().for_each(|connection| cx.wake(connection));
    }

    fn on_end(&mut self, cx: &mut Context<'_>) {
        let mut outgoing = self.0.borrow_mut();
        outgoing.has_ended = true;
        outgoing.connection.into_iter().for_each(|connection| cx.wake(connection));
    }

    fn has_room(&self) -> bool {
        self.0.borrow().bytes.len() < ROOM
    }
}
