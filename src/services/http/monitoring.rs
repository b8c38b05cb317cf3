//! Replies about the server itself, for programs that observe it.

use super::reply::{Outcome, Reply};
use crate::{
    http::{Plan, Recorded, Request, RequestKind, ResponseBody, Status},
    services::monitoring::MonitoringResource,
};

const TEXT: &str = "Content-Type: text/plain; charset=utf-8\r\n";

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
        }
    }

    /// Sends whether the server takes requests. Requests for it are recorded nowhere.
    fn send_health(self) -> Outcome {
        // A load balancer should send its requests elsewhere before the server refuses them.
        let (status, text) = match self.cx.stopping {
            true => (Status::ServiceUnavailable, "stopping\n"),
            false => (Status::Ok, "ok\n"),
        };
        let body = ResponseBody::Page(text.into());
        let plan = Plan::made(self.request, status, TEXT, body).recorded(Recorded::Nowhere);
        self.send(plan, None)
    }
}
