//! The server under injected faults: system calls return every error that their manual pages list,
//! and transfer fewer bytes than asked for, at random.
//!
//! A seed decides everything: which calls fail, what the clients send, and in which pieces. For
//! each seed, clients that know what they must receive talk to a server in this process, turn by
//! turn, on a clock that stands still. Each response must be whole and right, or its connection
//! must be closed. Afterwards the server must serve every file, hold no descriptor and no
//! connection more than at its start, and sleep.
//!
//! ```text
//! cargo test -p oneloop-faults                           6,000 seeds
//! cargo test -p oneloop-faults -- --seeds 100000 --first 1
//! cargo test -p oneloop-faults -- --seed 4711            one seed, with its trace
//! ```

mod calls;
mod client;
mod injector;
mod requests;
mod response;

use std::{
    cell::Cell,
    fs::File,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    process::{Command, ExitCode},
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use oneloop::{
    HttpServer, LossyWriter,
    trace::{Narrator, Observer, SourceId, Step, TraceLevel},
};
use oorandom::Rand32;
use tempfile::NamedTempFile;

use crate::{
    client::Client,
    injector::Plan,
    requests::{Request, exchange, requests, site, start},
};

/// The number of seeds if no option says otherwise.
const SEEDS: u64 = 6_000;
/// The maximum number of turns with faults for a seed.
const TURNS: u32 = 300;
/// How long, by the server's clock, the last response may take after the last fault.
const SOON: Duration = Duration::from_secs(4);
/// The maximum number of rounds, of a millisecond each, to wait for the kernel to deliver what was
/// sent. Rounds are counted because this process may itself wait for a busy machine.
const DELIVERY: u32 = 20_000;

/// The seed that is running.
static SEED: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        Some(args.get(at + 1).and_then(|value| value.parse().ok()).expect("a number after the option"))
    };
    if let Some(seed) = option("--seed") {
        let trace = NamedTempFile::new().expect("a file for the trace");
        run_seeds(seed, 1, Some(trace.path()));
        print_trace(trace.path());
        return ExitCode::SUCCESS;
    }
    let (first, count) = (option("--first").unwrap_or(0), option("--seeds").unwrap_or(SEEDS));
    if args.iter().any(|arg| arg == "--here") {
        run_seeds(first, count, None);
        return ExitCode::SUCCESS;
    }
    // A seed counts the descriptors of its process, so each job is a process.
    let jobs = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let program = std::env::current_exe().expect("the path of this program");
    let children: Vec<_> = (0..jobs)
        .map(|job| {
            let (from, to) = (count * job / jobs, count * (job + 1) / jobs);
            let numbers = [(first + from).to_string(), (to - from).to_string()];
            let mut command = Command::new(&program);
            command.args(["--here", "--first", &numbers[0], "--seeds", &numbers[1]]);
            command.spawn().expect("start a job")
        })
        .collect();
    let results = children.into_iter().map(|mut child| child.wait().expect("wait").success());
    if results.fold(true, |all, is_right| all & is_right) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_trace(path: &Path) {
    println!("{}", std::fs::read_to_string(path).expect("the trace"));
}

/// Runs `count` seeds, beginning with `first`. Writes the trace to a file.
fn run_seeds(first: u64, count: u64, trace: Option<&Path>) {
    let report = std::panic::take_hook();
    let written = trace.map(Path::to_owned);
    std::panic::set_hook(Box::new(move |info| {
        injector::pause(|| {
            written.iter().for_each(|path| print_trace(path));
            report(info);
            let seed = SEED.load(Ordering::Relaxed);
            eprintln!("\nThis was seed {seed}. To repeat it with its trace:");
            eprintln!("    cargo test -p oneloop-faults -- --seed {seed}");
        });
    }));
    let site = site();
    let requests = requests(site.path());
    let mut injected = 0;
    for seed in first..first + count {
        SEED.store(seed, Ordering::Relaxed);
        injected += run(seed, site.path(), &requests, trace);
    }
    println!("faults: {count} seeds from {first} on, {injected} faults injected, all responses right");
}

/// Runs one seed. Returns the number of faults.
fn run(seed: u64, site: &Path, requests: &[Request], trace: Option<&Path>) -> u64 {
    let mut random = Rand32::new_inc(seed, 77);
    let open_before = descriptors();
    let mut server = start(site, random.rand_range(0..2) == 0);
    let waiting = Rc::new(Cell::new(None));
    server.add_observer(Box::new(LastPoll(Rc::clone(&waiting))));
    let mut plan = Plan::new(seed);
    if let Some(path) = trace {
        let file = File::options().append(true).open(path).expect("open the trace");
        let output = OwnedFd::from(file.try_clone().expect("a second descriptor"));
        plan = plan.with_trace(file, output.as_raw_fd());
        let narrator = Narrator::new(TraceLevel::Io, Vec::new(), LossyWriter::new(output));
        server.add_observer(Box::new(narrator));
    }
    injector::set(plan);
    let open_at_start = descriptors();
    let injected = converse(&mut server, requests, &mut random, &waiting);

    // Whatever failed, it is over now.
    server.event_loop().clock().advance(Duration::from_secs(100));
    settle(&mut server);
    assert_eq!(server.event_loop().open_connections(), 0, "connections are left");
    for request in &requests[..requests.len() - 1] {
        let response = exchange(&mut server, &request.bytes, request.is_head);
        assert!(response.is_same(&request.right[0]), "afterwards: {:?}", response.head);
    }
    settle(&mut server);
    let (carried, has_steps) = waiting.get().expect("a poll");
    assert!(carried == 0 && !has_steps, "the loop does not sleep");
    assert_eq!(descriptors(), open_at_start, "descriptors are left");
    drop(server);
    injector::end();
    assert_eq!(descriptors(), open_before, "the server leaves descriptors");
    injected
}

/// Lets a few clients talk to the server while calls fail, and checks what they received. Returns
/// the number of faults.
fn converse(
    server: &mut HttpServer,
    requests: &[Request],
    random: &mut Rand32,
    last: &Cell<Option<(usize, bool)>>,
) -> u64 {
    let address = server.addresses()[0].ip().expect("an IP address");
    let count = 1 + random.rand_range(0..4);
    let mut clients: Vec<Client<'_>> =
        (0..count).map(|_| Client::connect(address, requests, random)).collect();
    for _ in 0..TURNS {
        clients.iter_mut().for_each(|client| client.act(random));
        injector::inject(|| server.turn()).expect("a turn");
        server.event_loop().clock().advance(Duration::from_millis(u64::from(random.rand_range(0..10))));
        if clients.iter().all(Client::is_done) {
            break;
        }
    }
    let injected = injector::injected();
    let mut sleeps = || {
        server.turn().expect("a turn");
        last.get() == Some((0, false))
    };
    assert!((0..TURNS).any(|_| sleeps()), "the loop spins while no client does anything");
    let mut waited = Duration::ZERO;
    for _ in 0..DELIVERY {
        if clients.iter().all(Client::is_done) {
            break;
        }
        clients.iter_mut().for_each(Client::finish);
        server.turn().expect("a turn");
        if waited < SOON {
            let step = Duration::from_millis(20);
            server.event_loop().clock().advance(step);
            waited += step;
        } else {
            // The file may have left the memory of a busy machine. Then the server waits for the
            // disk, by its own clock.
            let step = Duration::from_millis(1);
            std::thread::sleep(step);
            server.event_loop().clock().advance(step);
        }
    }
    clients.iter_mut().for_each(Client::finish);
    clients.iter().for_each(|client| client.check(injected > 0));
    injected
}

/// Runs the turns that are needed to close what has ended.
fn settle(server: &mut HttpServer) {
    for _ in 0..20 {
        server.turn().expect("a turn");
        server.event_loop().clock().advance(Duration::from_secs(10));
    }
}

/// Returns the number of open descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc").count()
}

/// An observer that stores how many sources had work left at the last poll, and whether any source
/// has taken a step since.
struct LastPoll(Rc<Cell<Option<(usize, bool)>>>);

impl Observer for LastPoll {
    fn on_step(&mut self, source: SourceId, step: &Step) {
        match (self.0.get(), step) {
            (_, Step::Waiting { carried, .. }) => self.0.set(Some((*carried, false))),
            (Some((carried, _)), _) if source != SourceId::Loop => self.0.set(Some((carried, true))),
            _ => {}
        }
    }
}
