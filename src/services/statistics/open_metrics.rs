//! The report for Prometheus and other programs that collect metrics: OpenMetrics text
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>), or the older text format of Prometheus
//! for a client that asks for it.
//!
//! The names follow the conventions of Prometheus: base units, and `_total` for counters.

use std::{
    fmt::{Display, Write},
    time::Duration,
};

use super::Report;

/// The upper bounds of the buckets of service times, as OpenMetrics writes them, and in
/// microseconds.
const BUCKETS: [(&str, u64); 18] = [
    ("1e-05", 10),
    ("2.5e-05", 25),
    ("5e-05", 50),
    ("0.0001", 100),
    ("0.00025", 250),
    ("0.0005", 500),
    ("0.001", 1_000),
    ("0.0025", 2_500),
    ("0.005", 5_000),
    ("0.01", 10_000),
    ("0.025", 25_000),
    ("0.05", 50_000),
    ("0.1", 100_000),
    ("0.25", 250_000),
    ("0.5", 500_000),
    ("1.0", 1_000_000),
    ("2.5", 2_500_000),
    ("10.0", 10_000_000),
];

/// The format of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4.
    Text,
}

impl MetricsFormat {
    /// Returns the value of `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            MetricsFormat::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            MetricsFormat::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The text so far.
struct Metrics {
    format: MetricsFormat,
    text: String,
    /// The name of the family whose samples are written, and the suffix of its samples.
    name: &'static str,
    suffix: &'static str,
}

impl Metrics {
    /// Begins a family of samples. `kind` is a type of OpenMetrics. A name that ends with `_bytes`
    /// or `_seconds` has that unit.
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        let is_counter = kind == "counter";
        (self.name, self.suffix) = (name, if is_counter { "_total" } else { "" });
        let is_open = self.format == MetricsFormat::OpenMetrics;
        // In the older format, the name of a counter includes its suffix.
        let suffix = if is_open { "" } else { self.suffix };
        let _ = writeln!(self.text, "# HELP {name}{suffix} {help}");
        let _ = writeln!(self.text, "# TYPE {name}{suffix} {kind}");
        let unit = ["bytes", "seconds"].into_iter().find(|unit| name.ends_with(&format!("_{unit}")));
        if let Some(unit) = unit.filter(|_| is_open) {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
    }

    /// Adds a sample to the family. `labels` is empty, or labels in braces.
    fn sample(&mut self, labels: &str, value: impl Display) {
        let _ = writeln!(self.text, "{}{}{labels} {value}", self.name, self.suffix);
    }

    /// Adds a family with one sample.
    fn single(&mut self, name: &'static str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample("", value);
    }

    fn counter(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.single(name, "counter", help, value);
    }
}

impl Report<'_> {
    /// Returns the report as metrics.
    pub fn metrics(&self, format: MetricsFormat) -> String {
        let mut metrics = Metrics { format, text: String::new(), name: "", suffix: "" };
        self.http_metrics(&mut metrics);
        self.time_metrics(&mut metrics);
        self.connection_metrics(&mut metrics);
        self.loop_metrics(&mut metrics);
        if format == MetricsFormat::OpenMetrics {
            metrics.text.push_str("# EOF\n");
        }
        metrics.text
    }

    fn http_metrics(&self, metrics: &mut Metrics) {
        let statistics = self.statistics;
        metrics.counter("oneloop_http_requests", "Requests whose response has begun.", statistics.requests);
        metrics.family("oneloop_http_responses", "counter", "Complete responses, by status code.");
        for (code, count) in statistics.by_code() {
            metrics.sample(&format!("{{code=\"{code}\"}}"), count);
        }
        let help = "Responses whose connection ended before they were complete.";
        metrics.counter("oneloop_http_responses_aborted", help, statistics.aborted);
        let help = "Bytes of responses, with their heads.";
        metrics.counter("oneloop_http_sent_bytes", help, statistics.bytes_sent);
    }

    /// Adds the histogram of service times. A time that has the same three digits as a bound counts
    /// as longer, even if it is exactly the bound.
    fn time_metrics(&self, metrics: &mut Metrics) {
        let statistics = self.statistics;
        let help = "Time from the turn that received a request to the last byte of its response.";
        metrics.family("oneloop_http_service_seconds", "histogram", help);
        let mut times = statistics.times.recorded().peekable();
        let mut count = 0;
        metrics.suffix = "_bucket";
        for (bound, micros) in BUCKETS {
            let is_within = |(time, _): &(Duration, u64)| *time <= Duration::from_micros(micros);
            while let Some((_, number)) = times.next_if(is_within) {
                count += number;
            }
            metrics.sample(&format!("{{le=\"{bound}\"}}"), count);
        }
        metrics.sample("{le=\"+Inf\"}", statistics.completed());
        metrics.suffix = "_sum";
        metrics.sample("", seconds(statistics.total_time));
        metrics.suffix = "_count";
        metrics.sample("", statistics.completed());
    }

    fn connection_metrics(&self, metrics: &mut Metrics) {
        let counters = self.counters;
        let help = "Connections that were accepted.";
        metrics.counter("oneloop_connections_accepted", help, counters.accepted);
        metrics.family("oneloop_connections_closed", "counter", "Connections that were closed, by reason.");
        for (reason, count) in counters.closed() {
            metrics.sample(&format!("{{reason=\"{reason}\"}}"), count);
        }
        metrics.single("oneloop_connections_open", "gauge", "Connections that are open.", counters.open);
        let help = "Bytes that were read from connections.";
        metrics.counter("oneloop_connections_received_bytes", help, counters.bytes_received);
        let help = "Bytes that were sent on connections.";
        metrics.counter("oneloop_connections_sent_bytes", help, counters.bytes_sent);
    }

    fn loop_metrics(&self, metrics: &mut Metrics) {
        let counters = self.counters;
        metrics.counter("oneloop_loop_turns", "Turns of the loop.", counters.turns);
        let help = "Sources that were ready, added up over all turns.";
        metrics.counter("oneloop_loop_ready_sources", help, counters.ready);
        let help = "Turns that began with work carried over.";
        metrics.counter("oneloop_loop_carried_turns", help, counters.with_carried);
        let help = "Time in which the loop did not sleep.";
        metrics.counter("oneloop_loop_busy_seconds", help, seconds(counters.busy));
        let longest = seconds(counters.longest);
        metrics.single(
            "oneloop_loop_longest_turn_seconds",
            "gauge",
            "The longest turn of the loop.",
            longest,
        );
    }
}

/// Formats a duration in seconds.
fn seconds(duration: Duration) -> String {
    format!("{:?}", duration.as_secs_f64())
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

    fn metrics(format: MetricsFormat) -> String {
        let now = Clock::frozen(SystemTime::UNIX_EPOCH).now();
        let (mut statistics, mut counters) = (Statistics::new(now), LoopCounters::default());
        for (code, micros) in [(200, 3), (200, 40), (404, 70), (200, 20_000_000)] {
            statistics.begin();
            statistics.complete(code, Duration::from_micros(micros));
        }
        counters.count_closed(CloseReason::Eof);
        counters.busy = Duration::from_millis(1500);
        Report { statistics: &statistics, counters: &counters, now }.metrics(format)
    }

    #[test]
    fn metrics_in_both_formats() {
        let open = metrics(MetricsFormat::OpenMetrics);
        for expected in [
            "# HELP oneloop_http_responses Complete responses, by status code.\n# TYPE oneloop_http_responses counter\n",
            "\noneloop_http_responses_total{code=\"200\"} 3\noneloop_http_responses_total{code=\"404\"} 1\n",
            "\n# TYPE oneloop_http_sent_bytes counter\n# UNIT oneloop_http_sent_bytes bytes\noneloop_http_sent_bytes_total 0\n",
            "\noneloop_http_service_seconds_bucket{le=\"1e-05\"} 1\n",
            "\noneloop_http_service_seconds_bucket{le=\"5e-05\"} 2\n",
            "\noneloop_http_service_seconds_bucket{le=\"10.0\"} 3\noneloop_http_service_seconds_bucket{le=\"+Inf\"} 4\n",
            "\noneloop_http_service_seconds_sum 20.000113\noneloop_http_service_seconds_count 4\n",
            "\noneloop_connections_closed_total{reason=\"eof\"} 1\n",
            "\noneloop_loop_busy_seconds_total 1.5\n",
            "\noneloop_loop_longest_turn_seconds 0.0\n# EOF\n",
        ] {
            assert!(open.contains(expected), "{expected}\nis not in\n{open}");
        }
        let text = metrics(MetricsFormat::Text);
        assert!(text.contains("# TYPE oneloop_http_responses_total counter\n"), "{text}");
        assert!(!text.contains("# UNIT") && !text.contains("# EOF"), "{text}");
        let samples = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
        };
        assert_eq!(samples(&open), samples(&text));
    }
}
