//! The report as JSON, for scripts beside a load generator.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{
    Report,
    times::{Quantiles, TimeHistogram},
    wrk::SocketError,
};

#[derive(Serialize)]
struct JsonReport {
    seconds: f64,
    requests: u64,
    in_progress: u64,
    aborted: u64,
    responses: BTreeMap<u16, u64>,
    bytes_sent: u64,
    bytes_received: u64,
    connections: JsonConnections,
    service_time_us: JsonTimes,
    delays: JsonDelays,
    turns: JsonTurns,
    wrk_errors: WrkErrors,
}

#[derive(Serialize)]
struct JsonConnections {
    accepted: u64,
    open: usize,
    closed: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct JsonTimes {
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

/// How late the delays of the load target ended.
#[derive(Serialize)]
struct JsonDelays {
    ended: u64,
    late_us: JsonTimes,
}

#[derive(Serialize)]
struct JsonTurns {
    wakes: u64,
    ready_sources: u64,
    most_ready: usize,
    carried: u64,
    busy_us: f64,
    longest_us: f64,
}

#[derive(Serialize)]
struct WrkErrors {
    connect: u64,
    read: u64,
    timeout: u64,
}

impl Report<'_> {
    /// Returns the report as a JSON object on one line.
    pub fn json(&self) -> String {
        let (statistics, counters) = (self.statistics, self.counters);
        let report = JsonReport {
            seconds: self.period().as_secs_f64(),
            requests: statistics.requests,
            in_progress: statistics.in_progress(),
            aborted: statistics.aborted,
            responses: statistics.by_code().collect(),
            bytes_sent: statistics.bytes_sent,
            bytes_received: counters.bytes_received,
            connections: JsonConnections {
                accepted: counters.accepted,
                open: counters.open,
                closed: counters
                    .closed()
                    .iter()
                    .map(|(reason, count)| (reason.to_string(), *count))
                    .collect(),
            },
            service_time_us: times(&statistics.times),
            delays: JsonDelays { ended: statistics.delays.count(), late_us: times(&statistics.delays) },
            turns: JsonTurns {
                wakes: counters.turns,
                ready_sources: counters.ready,
                most_ready: counters.most_ready,
                carried: counters.with_carried,
                busy_us: micros(counters.busy),
                longest_us: micros(counters.longest),
            },
            wrk_errors: WrkErrors {
                connect: self.wrk_errors(SocketError::Connect),
                read: self.wrk_errors(SocketError::Read),
                timeout: self.wrk_timeouts(),
            },
        };
        // Numbers and strings always have a form in JSON.
        serde_json::to_string(&report).unwrap_or_default() + "\n"
    }
}

/// Returns the quantiles of times, and the longest one.
fn times(times: &TimeHistogram) -> JsonTimes {
    let Quantiles { p50, p99, p999, max } = times.quantiles();
    JsonTimes { p50: micros(p50), p99: micros(p99), p999: micros(p999), max: micros(max) }
}

/// Returns a duration in microseconds, to a tenth.
fn micros(duration: Duration) -> f64 {
    (duration.as_nanos() as f64 / 100.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{
        clock::Clock,
        protocol::{CloseReason, LoopCounters},
        services::statistics::Statistics,
    };

    #[test]
    fn json_has_each_figure() {
        let mut clock = Clock::frozen(SystemTime::UNIX_EPOCH);
        let (mut statistics, mut counters) = (Statistics::new(clock.now()), LoopCounters::default());
        for code in [200, 503, 200] {
            statistics.begin();
            statistics.complete(code, Duration::from_nanos(1540));
        }
        statistics.begin();
        statistics.count_sent(99);
        statistics.delays.record(Duration::from_nanos(49_990));
        (counters.accepted, counters.open, counters.bytes_received) = (4, 2, 77);
        counters.count_closed(CloseReason::Evicted);
        counters.count_closed(CloseReason::Eof);
        (counters.turns, counters.ready, counters.most_ready, counters.with_carried) = (8, 16, 5, 1);
        (counters.busy, counters.longest) = (Duration::from_millis(3), Duration::from_millis(1));
        clock.advance(Duration::from_millis(2500));
        let report = Report { statistics: &statistics, counters: &counters, now: clock.now() };
        let expected = concat!(
            r#"{"seconds":2.5,"requests":4,"in_progress":1,"aborted":0,"responses":{"200":2,"503":1},"#,
            r#""bytes_sent":99,"bytes_received":77,"#,
            r#""connections":{"accepted":4,"open":2,"closed":{"eof":1,"evicted":1}},"#,
            r#""service_time_us":{"p50":1.5,"p99":1.5,"p999":1.5,"max":1.5},"#,
            r#""delays":{"ended":1,"late_us":{"p50":50.0,"p99":50.0,"p999":50.0,"max":50.0}},"#,
            r#""turns":{"wakes":8,"ready_sources":16,"most_ready":5,"carried":1,"#,
            r#""busy_us":3000.0,"longest_us":1000.0},"#,
            r#""wrk_errors":{"connect":0,"read":1,"timeout":0}}"#,
            "\n"
        );
        assert_eq!(report.json(), expected);
    }
}
