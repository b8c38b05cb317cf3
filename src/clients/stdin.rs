//! Standard input on its way to a socket.

use std::{cell::RefCell, mem, rc::Rc};

use crate::protocol::{Context, InputProtocol, WakeKey};

/// The number of unsent bytes at which the loop stops reading standard input.
const ROOM: usize = 64 * 1024;

/// The bytes that standard input has delivered and the connection has not taken yet. Both sources
/// share it: the input adds bytes and wakes the connection, and the connection takes bytes and
/// wakes the input when there is room again.
#[derive(Debug, Default)]
pub struct StdinBuffer {
    bytes: Vec<u8>,
    has_ended: bool,
    connection: Option<WakeKey>,
    input: Option<WakeKey>,
}

impl StdinBuffer {
    /// Sets the connection that takes the bytes. Call this when the connection is established.
    pub fn set_connection(&mut self, cx: &Context<'_>) {
        self.connection = Some(cx.wake_key());
    }

    /// Returns whether the connection has taken all input so far.
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

/// The protocol of standard input: puts everything into [`StdinBuffer`].
#[derive(Debug)]
pub struct StdinReader(pub Rc<RefCell<StdinBuffer>>);

impl InputProtocol for StdinReader {
    fn receive(&mut self, input: &[u8], cx: &mut Context<'_>) {
        let mut stdin = self.0.borrow_mut();
        stdin.input = Some(cx.wake_key());
        stdin.bytes.extend_from_slice(input);
        stdin.connection.into_iter().for_each(|connection| cx.wake(connection));
    }

    fn on_end(&mut self, cx: &mut Context<'_>) {
        let mut stdin = self.0.borrow_mut();
        stdin.has_ended = true;
        stdin.connection.into_iter().for_each(|connection| cx.wake(connection));
    }

    fn has_room(&self) -> bool {
        self.0.borrow().bytes.len() < ROOM
    }
}
