//! The statistics of a server, and where it reports them.

use std::{cell::RefCell, rc::Rc};

use super::{Config, HttpServer};
use crate::{
    clock::Clock,
    event_loop::EventLoop,
    lossy_writer::LossyWriter,
    services::{Report, Statistics},
};

/// Where a server reports its statistics.
pub struct Reporting {
    pub statistics: Option<Rc<RefCell<Statistics>>>,
    /// The warning after SIGUSR2 if there are no statistics.
    without: Option<&'static str>,
    writer: Option<LossyWriter>,
    /// Whether to report also when the server ends.
    at_end: bool,
}

impl Reporting {
    /// Begins to count, if `config` says so.
    pub fn new(config: &Config, clock: &Clock) -> Reporting {
        let is_counting = config.statistics || config.metrics.is_some() || config.target.is_some();
        let statistics = is_counting.then(|| Rc::new(RefCell::new(Statistics::new(clock.now()))));
        Reporting { statistics, without: config.no_statistics, writer: None, at_end: false }
    }

    /// Returns the report, if there are statistics.
    pub fn report(&self, event_loop: &mut EventLoop) -> Option<String> {
        let statistics = self.statistics.as_ref()?.borrow();
        let now = event_loop.clock().precise_now();
        Some(Report { statistics: &statistics, counters: event_loop.counters(), now }.to_string())
    }

    /// Writes the report, or a warning that there is none.
    pub fn write(&mut self, event_loop: &mut EventLoop) {
        match (self.report(event_loop), &mut self.writer) {
            (Some(report), Some(writer)) => writer.write(report.as_bytes()),
            (Some(_), None) => {}
            (None, _) => log::warn!("{}", self.without.unwrap_or("SIGUSR2: the server keeps no statistics")),
        }
    }

    /// Writes the report of a server that ends, if it is wanted.
    pub fn write_at_end(&mut self, event_loop: &mut EventLoop) {
        if self.at_end {
            self.write(event_loop);
        }
    }
}

impl HttpServer {
    /// Sets where the server reports its statistics after SIGUSR2 and, if `at_end` is true, when
    /// [`HttpServer::serve_forever`] ends. See
    /// [`Config::statistics`](super::Config::statistics), which a metrics path and a load target
    /// imply.
    pub fn report_statistics_to(&mut self, writer: LossyWriter, at_end: bool) {
        (self.reporting.writer, self.reporting.at_end) = (Some(writer), at_end);
    }

    /// Returns whether the server keeps statistics.
    pub fn keeps_statistics(&self) -> bool {
        self.reporting.statistics.is_some()
    }

    /// Returns the report of the statistics, a few lines of text, or `None` if the server keeps
    /// none.
    pub fn statistics(&mut self) -> Option<String> {
        self.reporting.report(&mut self.event_loop)
    }
}
