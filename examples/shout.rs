//! A custom protocol on the loop, which sends every line back in capitals.
//!
//! ```text
//! cargo run --example shout [PORT]     then, in another terminal: nc 127.0.0.1 7000
//! ```
//!
//! The loop is unchanged. It passes received bytes to the protocol, and sends what the protocol
//! puts into the outbox.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use oneloop::{
    Address,
    clock::Clock,
    event_loop::{EventLoop, Limits},
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout},
};

/// The longest line in bytes. Without a limit, a client could use up all memory.
const LONGEST: usize = 1000;

struct Shout;

impl Protocol for Shout {
    fn receive(&mut self, input: &[u8], out: &mut Outbox, _: &mut Context<'_>) -> Received {
        // A read may return half a line or ten lines. Consume only a complete line. The loop passes
        // the rest to the protocol again.
        match input.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                out.bytes().extend(input[..=end].to_ascii_uppercase());
                Received { consumed: end + 1, progress: Progress::Again }
            }
            None if input.len() > LONGEST => {
                Received { consumed: 0, progress: Progress::Close(CloseReason::BadRequest) }
            }
            None => Received { consumed: 0, progress: Progress::NeedInput },
        }
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: Some(Duration::from_secs(60)), reason: CloseReason::IdleTimeout }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = env::args().nth(1).map_or(Ok(7000), |port| port.parse())?;
    let mut event_loop = EventLoop::new(Limits::default(), Clock::system())?;
    let socket = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    println!("{}", socket.local_addr()?);
    event_loop.add_listener(socket, Box::new(|_: &Address| -> Box<dyn Protocol> { Box::new(Shout) }))?;
    loop {
        event_loop.turn()?;
    }
}
