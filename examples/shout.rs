//! A protocol of your own on the loop: every line comes back in capitals.
//!
//! ```text
//! cargo run --example shout [PORT]     then, in another terminal: nc 127.0.0.1 7000
//! ```
//!
//! The loop is not touched. It hands over what has come, and sends what is put into the outbox.

use std::{env, net::SocketAddr, time::Duration};

use mio::net::TcpListener;
use oneloop::{
    clock::Clock,
    event_loop::{EventLoop, Limits},
    protocol::{Context, Next, Outbox, Patience, Protocol, Received, Why},
};

/// Nobody needs a longer line; nobody may make the server keep one.
const LONGEST: usize = 1000;

struct Shout;

impl Protocol for Shout {
    fn receive(&mut self, input: &[u8], out: &mut Outbox, _: &mut Context<'_>) -> Received {
        // A read may bring half a line, or ten: only a whole one is consumed, and the rest comes again.
        match input.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                out.bytes().extend(input[..=end].to_ascii_uppercase());
                Received { consumed: end + 1, next: Next::Again }
            }
            None if input.len() > LONGEST => Received { consumed: 0, next: Next::Finish(Why::BadRequest) },
            None => Received { consumed: 0, next: Next::NeedInput },
        }
    }

    fn patience(&self, _partial: bool) -> Patience {
        Patience { limit: Some(Duration::from_secs(60)), why: Why::IdleTimeout }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = env::args().nth(1).map_or(Ok(7000), |port| port.parse())?;
    let limits = Limits {
        max_connections: 100,
        send_timeout: Some(Duration::from_secs(30)),
        drain_timeout: Some(Duration::from_secs(10)),
    };
    let mut event_loop = EventLoop::new(limits, Clock::system())?;
    let socket = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    println!("{}", socket.local_addr()?);
    event_loop.listen(socket, Box::new(|_peer| -> Box<dyn Protocol> { Box::new(Shout) }))?;
    loop {
        event_loop.turn()?;
    }
}
