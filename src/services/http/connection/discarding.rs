//! The state `Discarding`: the head of a request is complete, and its body is still arriving. The
//! body is dropped, unless the response shows it.

use std::mem;

use super::{HttpConnection, State};
use crate::{
    http::{PartialRequest, Refusal, RequestInfo, missing_part},
    protocol::{Context, InputShare, Outbox, Progress, Received},
    trace::Step,
};

/// A request whose body is still arriving, and the memory that it takes.
pub struct DiscardingRequest {
    pub partial: PartialRequest,
    _share: InputShare,
}

impl HttpConnection {
    /// Returns the request whose body is being dropped, and leaves that state.
    pub(super) fn take_partial(&mut self) -> Option<Box<DiscardingRequest>> {
        if !matches!(self.state, State::Discarding(_)) {
            return None;
        }
        match mem::replace(&mut self.state, State::Idle) {
            State::Discarding(request) => Some(request),
            _ => None,
        }
    }

    /// Waits for the rest of the request that `input` begins. If its head is complete, takes it and
    /// what has arrived of the body.
    pub(super) fn begin(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        let need = missing_part(input);
        cx.trace(|| Step::Incomplete { have: input.len(), need });
        let begun = if need == "body" { PartialRequest::begin(input, self.http.max_head) } else { None };
        let Some((mut partial, consumed)) = begun else {
            self.seen = u32::try_from(input.len()).unwrap_or(0);
            return Received { consumed: 0, progress: Progress::NeedInput };
        };
        if self.shows_body(&partial) {
            partial.keep_body(&input[partial.head().len()..consumed]);
        }
        let Some(_share) = cx.input.take(partial.max_kept()) else {
            let request = RequestInfo::unparsed(input);
            let progress = self.reply(&request, b"", out, cx, |reply| reply.refuse(Refusal::FULL));
            return Received { consumed: input.len(), progress };
        };
        self.state = State::Discarding(Box::new(DiscardingRequest { partial, _share }));
        Received { consumed, progress: Progress::Partial }
    }

    /// Returns whether the response to a request shows the request's body. All other bodies are
    /// dropped.
    fn shows_body(&self, partial: &PartialRequest) -> bool {
        self.http.target.as_ref().is_some_and(|target| {
            target.answers(self.access, self.client(partial.head()))
                && partial.without_body().is_some_and(|request| target.keeps_body(&request))
        })
    }

    /// Reads what has arrived of a request's body, and drops it unless the response shows it.
    /// Replies to the request once the end of the body is known.
    pub(super) fn discard(
        &mut self,
        mut discarding: Box<DiscardingRequest>,
        input: &[u8],
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Received {
        let partial = &mut discarding.partial;
        let read = partial.read(input).and_then(|(consumed, body)| {
            let request = body.map(|body| partial.request(body)).transpose()?.flatten();
            Ok((consumed, request))
        });
        match read {
            Ok((consumed, Some(mut request))) => {
                request.info.client = self.client(partial.head());
                let (len, left) = (partial.head().len() + consumed, input.len() - consumed);
                cx.trace(|| Step::Understood { start: request.info.line.to_vec(), len, left });
                let message = partial.message();
                let progress = self.reply(&request.info, message, out, cx, |reply| reply.respond(&request));
                Received { consumed, progress }
            }
            Ok((consumed, None)) => {
                cx.trace(|| Step::Incomplete { have: input.len(), need: "body" });
                self.state = State::Discarding(discarding);
                Received { consumed, progress: Progress::Partial }
            }
            Err(refusal) => {
                cx.trace(|| Step::Refused { reason: refusal.why });
                let request = RequestInfo::unparsed(partial.head());
                let progress = self.reply(&request, b"", out, cx, |reply| reply.refuse(refusal));
                Received { consumed: input.len(), progress }
            }
        }
    }
}
