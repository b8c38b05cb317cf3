//! Replies about the server itself, for programs that observe it.

use super::reply::{Outcome, Reply};
use crate::{
    http::{Method, Plan, Recorded, Refusal, Request, RequestKind, ResponseBody, Status, Vary},
    services::{
        monitoring::MonitoringResource,
        statistics::{MetricsFormat, Report},
    },
};

const TEXT: &str = "Content-Type: text/plain; charset=utf-8\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
/// The field lines and the text of the 405 response for the statistics.
const STATISTICS_METHODS: &str =
    "Allow: GET, HEAD, POST, OPTIONS\r\nContent-Type: text/plain; charset=utf-8\r\n";
const USE_METHODS: &str = "Use GET, or POST to set all counters to 0.\n";
const ANOTHER_ORIGIN: Refusal =
    Refusal::new(Status::Forbidden, "Pages of other sites must not reset the statistics.");

impl Reply<'_, '_> {
    /// Responds to a request for a resource that shows how the server is doing.
    pub(super) fn respond_from_monitoring(
        self,
        resource: MonitoringResource,
        request: &Request<'_>,
    ) -> Outcome {
        match request.validate() {
            Ok(RequestKind::Path(_)) => {}
            Ok(RequestKind::Options) => {
                let plan = Plan::options(self.request);
                return self.send(plan, None);
            }
            Err(refusal) => return self.refuse(refusal),
        }
        match resource {
            MonitoringResource::Health => self.send_health(),
            MonitoringResource::Metrics => self.send_metrics(request),
        }
    }

    /// Sends whether the server takes requests. Requests for it are recorded nowhere.
    pub(super) fn send_health(self) -> Outcome {
        // A load balancer should send its requests elsewhere before the server refuses them.
        let (status, text) = match self.cx.stopping {
            true => (Status::ServiceUnavailable, "stopping\n"),
            false => (Status::Ok, "ok\n"),
        };
        let body = ResponseBody::Page(text.into());
        let plan = Plan::made(self.request, status, TEXT, body).recorded(Recorded::Nowhere);
        self.send(plan, None)
    }

    /// Sends the metrics, in the format that the client reads.
    fn send_metrics(self, request: &Request<'_>) -> Outcome {
        // A page must not read them through a host name that leads to this machine.
        if let Err(refusal) = self.http.check(request) {
            return self.refuse(refusal);
        }
        let format = match request.fields.accept().prefers_plain_metrics() {
            true => MetricsFormat::Text,
            false => MetricsFormat::OpenMetrics,
        };
        let Some(text) = self.report(|report| report.metrics(format)) else {
            return self.refuse(Refusal::NOT_FOUND);
        };
        let fields = format!("Content-Type: {}\r\n", format.media_type());
        let plan = Plan::made(self.request, Status::Ok, fields, ResponseBody::Page(text.into_bytes()));
        self.send(plan.varying(Vary::ACCEPT).recorded(Recorded::InLog), None)
    }

    /// Responds to a request for the statistics: sends them as JSON, or resets them. The caller has
    /// checked the host and the peer.
    pub(super) fn respond_with_statistics(self, request: &Request<'_>) -> Outcome {
        let is_post = self.request.line.starts_with(b"POST ");
        match self.request.method {
            Method::Get | Method::Head => self.send_statistics(),
            _ if !is_post => self.send_text(Status::MethodNotAllowed, STATISTICS_METHODS, USE_METHODS),
            // A form on any page can send a POST.
            _ if request.is_from_another_origin() => self.refuse(ANOTHER_ORIGIN),
            _ => self.reset_statistics(),
        }
    }

    fn send_statistics(self) -> Outcome {
        match self.report(|report| report.json()) {
            Some(json) => self.send_text(Status::Ok, JSON, json),
            None => self.refuse(Refusal::NOT_FOUND),
        }
    }

    /// Sets all counters to 0, and lets what the load target draws begin again.
    fn reset_statistics(self) -> Outcome {
        if let Some(target) = self.target {
            target.restart();
        }
        if let Some(statistics) = &self.http.statistics {
            statistics.borrow_mut().reset(self.cx.clock.precise_now());
        }
        self.cx.counters.reset();
        self.send_text(Status::NoContent, "", "")
    }

    /// Sends a text about the server, which is not counted.
    fn send_text(self, status: Status, fields: &'static str, text: impl Into<Vec<u8>>) -> Outcome {
        let plan = Plan::made(self.request, status, fields, ResponseBody::Page(text.into()));
        self.send(plan.recorded(Recorded::InLog), None)
    }

    /// Calls `make` with the report of the statistics, and returns its result. Returns `None` if
    /// there are no statistics.
    fn report<T>(&self, make: impl FnOnce(&Report<'_>) -> T) -> Option<T> {
        let statistics = self.http.statistics.as_ref()?.borrow();
        let now = self.cx.clock.precise_now();
        Some(make(&Report { statistics: &statistics, counters: self.cx.counters, now }))
    }
}
