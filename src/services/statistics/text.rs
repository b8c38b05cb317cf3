//! The report for a person: one block of text that is read in ten seconds.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use super::{
    Report,
    times::Quantiles,
    wrk::{self, SocketError},
};
use crate::{protocol::CloseReason, size::Size};

/// The width of the column of names, and of the column of figures.
const NAME: usize = 14;
const FIGURE: usize = 14;

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = Duration::from_millis(self.period().as_millis() as u64);
        writeln!(f, "statistics of {}:", humantime::format_duration(period))?;
        self.requests(f)?;
        self.connections(f)?;
        self.turns(f)
    }
}

impl Report<'_> {
    /// Writes what HTTP has counted.
    fn requests(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statistics = self.statistics;
        let mut note = format!("{}/s", grouped(self.per_second(statistics.requests)));
        for (count, what) in [(statistics.in_progress(), "in progress"), (statistics.aborted, "aborted")] {
            if count > 0 {
                write!(note, ", {} {what}", grouped(count))?;
            }
        }
        row(f, "requests", &grouped(statistics.requests), &note)?;
        for (code, count) in statistics.by_code() {
            row(f, &format!("  {code}"), &grouped(count), "")?;
        }
        for (name, bytes) in [("sent", statistics.bytes_sent), ("received", self.counters.bytes_received)] {
            let rate = format!("{}/s", Size(self.per_second(bytes)));
            row(f, name, &Size(bytes).to_string(), &rate)?;
        }
        if statistics.completed() > 0 {
            let times = statistics.times.quantiles();
            row(f, "service time", &time(times.p50), &format!("p50, {}", longest_times(&times)))?;
        }
        self.delays(f)
    }

    /// Writes how late the delays of the load target ended, if there were any.
    fn delays(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delays = &self.statistics.delays;
        if delays.count() == 0 {
            return Ok(());
        }
        let times = delays.quantiles();
        let note = format!("late by {} (p50), {}", time(times.p50), longest_times(&times));
        row(f, "delays", &grouped(delays.count()), &note)
    }

    /// Writes what became of the connections, and how wrk counts that.
    fn connections(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counters = self.counters;
        let open = format!("accepted, {} open", grouped(counters.open as u64));
        row(f, "connections", &grouped(counters.accepted), &open)?;
        let mut closed = counters.closed().to_vec();
        closed.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (reason, count) in closed {
            let note = wrk::socket_error(reason).map(|error| format!(" ({error} error in wrk)"));
            let note = format!("{}{}", meaning(reason), note.unwrap_or_default());
            row(f, &format!("  {reason}"), &grouped(count), &note)?;
        }
        let [connect, read] = [SocketError::Connect, SocketError::Read].map(|error| self.wrk_errors(error));
        let timeout = self.wrk_timeouts();
        let note = format!("connect {connect}, read {read}, timeout {timeout}");
        row(f, "errors in wrk", &grouped(connect + read + timeout), &note)
    }

    /// Writes what the loop has done.
    fn turns(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counters = self.counters;
        let mean = counters.ready as f64 / counters.turns.max(1) as f64;
        let (rate, most) = (grouped(self.per_second(counters.turns)), grouped(counters.most_ready as u64));
        row(
            f,
            "turns",
            &grouped(counters.turns),
            &format!("{rate}/s, {mean:.1} ready sources each, {most} at most"),
        )?;
        let busy = 100.0 * counters.busy.as_secs_f64() / self.period().as_secs_f64().max(1e-9);
        let longest = format!("of the time; the longest turn took {}", time(counters.longest));
        row(f, "  busy", &format!("{busy:.1} %"), &longest)?;
        row(f, "  carried over", &grouped(counters.with_carried), "turns began with work of the turn before")
    }

    /// Returns `count` divided by the seconds of the report, rounded.
    fn per_second(&self, count: u64) -> u64 {
        let seconds = self.period().as_secs_f64();
        if seconds > 0.0 { (count as f64 / seconds).round() as u64 } else { 0 }
    }
}

/// Writes one line in three columns.
fn row(f: &mut fmt::Formatter<'_>, name: &str, figure: &str, note: &str) -> fmt::Result {
    let line = format!("  {name:NAME$}{figure:>FIGURE$}  {note}");
    writeln!(f, "{}", line.trim_end())
}

/// Says what a close reason means.
fn meaning(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Done => "after the last response",
        CloseReason::Eof => "closed by the client",
        CloseReason::HeadTimeout => "no complete request in time",
        CloseReason::IdleTimeout => "idle for too long",
        CloseReason::SendTimeout => "the client accepted no data",
        CloseReason::TooSlow => "the client was too slow",
        CloseReason::Reset => "reset by the client",
        CloseReason::Aborted => "reset by the server",
        CloseReason::BrokenPipe => "closed by the client before the end of a response",
        CloseReason::BadRequest => "after a malformed request",
        CloseReason::Limit => "a limit was reached",
        CloseReason::Evicted => "idle, replaced by another client's",
        CloseReason::AddressLimit => "too many from one address",
        CloseReason::Shutdown => "the server stopped",
        CloseReason::TlsFailed => "no TLS handshake",
        CloseReason::FileChanged => "a file changed while it was sent",
        CloseReason::ConnectFailed(_) | CloseReason::ConnectTimeout => "not established",
    }
}

/// Formats all quantiles but the first one.
fn longest_times(times: &Quantiles) -> String {
    let [p99, p999, max] = [times.p99, times.p999, times.max].map(time);
    format!("99% within {p99}, 99.9% within {p999}, max {max}")
}

/// Formats a number with a comma after each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a duration with a unit and three digits.
fn time(duration: Duration) -> String {
    let nanos = duration.as_nanos() as f64;
    let (value, unit) = match nanos {
        n if n < 999.5 => return format!("{n:.0} ns"),
        n if n < 999.5e3 => (n / 1e3, "us"),
        n if n < 999.5e6 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{clock::Clock, protocol::LoopCounters, services::statistics::Statistics};

    #[test]
    fn block_has_columns_and_units() {
        let mut clock = Clock::frozen(SystemTime::UNIX_EPOCH);
        let mut statistics = Statistics::new(clock.now());
        for n in 0..1_234_000_u64 {
            statistics.begin();
            statistics.complete(if n % 1000 == 0 { 404 } else { 200 }, Duration::from_nanos(40_000 + n / 20));
        }
        for _ in 0..5 {
            statistics.begin();
        }
        (0..3).for_each(|_| statistics.abort());
        statistics.complete(200, Duration::from_millis(2100));
        statistics.count_sent(1_300_000_000);
        (0..2000).for_each(|n| statistics.delay_ended(Duration::from_nanos(n * 500)));
        clock.advance(Duration::from_millis(72_500));
        let mut counters = LoopCounters::default();
        (counters.accepted, counters.open) = (1003, 3);
        for (reason, count) in [(CloseReason::IdleTimeout, 100), (CloseReason::Eof, 900)] {
            (0..count).for_each(|_| counters.count_closed(reason));
        }
        counters.bytes_received = 100_000_000;
        (counters.turns, counters.ready, counters.most_ready, counters.with_carried) =
            (400_120, 1_160_348, 64, 13);
        (counters.busy, counters.longest) = (Duration::from_secs(45), Duration::from_micros(3104));
        let report = Report { statistics: &statistics, counters: &counters, now: clock.now() };
        let expected = "\
statistics of 1m 12s 500ms:
  requests           1,234,005  17,021/s, 1 in progress, 3 aborted
    200              1,232,767
    404                  1,234
  sent                 1.2 GiB  17.1 MiB/s
  received            95.4 MiB  1.3 MiB/s
  service time         70.9 us  p50, 99% within 101 us, 99.9% within 102 us, max 2.10 s
  delays                 2,000  late by 500 us (p50), 99% within 990 us, 99.9% within 999 us, max 1.00 ms
  connections            1,003  accepted, 3 open
    eof                    900  closed by the client
    idle-timeout           100  idle for too long (read error in wrk)
  errors in wrk            101  connect 0, read 100, timeout 1
  turns                400,120  5,519/s, 2.9 ready sources each, 64 at most
    busy                62.1 %  of the time; the longest turn took 3.10 ms
    carried over            13  turns began with work of the turn before
";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    fn block_of_nothing_divides_by_no_zero() {
        let now = Clock::frozen(SystemTime::UNIX_EPOCH).now();
        let (statistics, counters) = (Statistics::new(now), LoopCounters::default());
        let text = Report { statistics: &statistics, counters: &counters, now }.to_string();
        assert!(text.starts_with("statistics of 0s:\n  requests                   0  0/s\n"), "{text}");
        assert!(
            !text.contains("service time") && !text.contains("delays") && !text.contains("NaN"),
            "{text}"
        );
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), expected);
        }
    }

    #[test]
    fn times_have_three_digits() {
        let table =
            [(0, "0 ns"), (999, "999 ns"), (1000, "1.00 us"), (41_260, "41.3 us"), (999_499, "999 us")];
        for (nanos, expected) in table {
            assert_eq!(time(Duration::from_nanos(nanos)), expected);
        }
        for (millis, expected) in [(1, "1.00 ms"), (12, "12.0 ms"), (1500, "1.50 s"), (90_000, "90.0 s")] {
            assert_eq!(time(Duration::from_millis(millis)), expected);
        }
    }
}
