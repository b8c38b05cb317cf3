//! The list of lessons: what each consists of.

use std::io;

use super::{
    answers::*,
    bug::Bug,
    chat_rooms::{fill_a_queue, open_two_rooms},
    harness::Harness,
    lossy_echo::lose_answers,
    message_echo::echo_messages,
    outgoing::connect_to_peers,
    scripts::*,
    setup::{Setup, serve_http},
    slow_disk::serve_from_slow_disk,
    transcript::{ClientAction, TranscriptEntry},
};
use crate::trace::{SourceId, Step};

/// One lesson.
pub struct Lesson {
    /// The number that selects the lesson on the command line.
    pub number: u8,
    /// The title of the lesson.
    pub title: &'static str,
    /// The text of the lesson, a page of `docs/lessons`.
    pub page: &'static str,
    /// The bugs that the lesson can show.
    pub bugs: &'static [Bug],
    /// What the lesson needs.
    pub needs: LessonNeeds,
    /// Creates the loop, with its services.
    pub(super) setup: fn(&Setup<'_>) -> io::Result<Harness>,
    /// Runs the scripted clients.
    pub script: fn(&mut Harness) -> io::Result<()>,
    /// Returns the answer to the page's question, computed from the transcript.
    pub answer: fn(&[TranscriptEntry]) -> String,
    /// Text in the line of the transcript that the lesson is about.
    pub decisive: &'static str,
    /// Returns the answer to the page's second question, which is asked before that line.
    pub second_answer: fn(&[TranscriptEntry]) -> String,
    /// Returns a sentence about what a bug costs the other client, if there is another one.
    pub cost: Option<fn(&[TranscriptEntry]) -> String>,
}

/// What a lesson needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LessonNeeds {
    /// The size of each connection's send buffer in bytes, which the kernel doubles; `None` for the
    /// default size.
    pub send_buffer: Option<usize>,
    /// The number of descriptors that the lesson needs.
    pub descriptors: u64,
    /// The backlog that listen(2) gets; `None` for the server's own.
    pub backlog: Option<i32>,
    /// Whether the lesson lowers the open-file limit of the process while it runs. The limit
    /// concerns all threads, so such a lesson must run in a process without other work.
    pub lowers_open_file_limit: bool,
}

impl LessonNeeds {
    const fn new(send_buffer: Option<usize>, descriptors: u64) -> LessonNeeds {
        LessonNeeds { send_buffer, descriptors, backlog: None, lowers_open_file_limit: false }
    }

    const fn with_backlog(self, backlog: i32) -> LessonNeeds {
        LessonNeeds { backlog: Some(backlog), ..self }
    }

    const fn lowering_open_file_limit(self) -> LessonNeeds {
        LessonNeeds { lowers_open_file_limit: true, ..self }
    }
}

macro_rules! lessons {
    ($($number:literal $title:literal $bugs:expr, $script:ident
        ($send_buffer:expr, $descriptors:expr $(, $with:ident($($value:expr)?))*), $answer:expr,
        $decisive:literal $second_answer:expr, $cost:expr $(, $setup:expr)?;)*) => {
        /// All lessons, in order.
        pub const LESSONS: &[Lesson] = &[$(Lesson {
            number: $number,
            title: $title,
            page: include_str!(concat!("../../docs/lessons/", $number, ".md")),
            bugs: &$bugs,
            needs: LessonNeeds::new($send_buffer, $descriptors)$(.$with($($value)?))*,
            setup: lessons!(@setup $($setup)?),
            script: $script,
            answer: $answer,
            decisive: $decisive,
            second_answer: $second_answer,
            cost: $cost,
        }),*];
    };
    (@setup) => { serve_http };
    (@setup $setup:expr) => { $setup };
}

lessons! {
    1 "Readable is not \"request ready\"" [], drip_request (None, 64), |entries| count_reads(entries, C1),
        "parse GET" |entries| count(entries, C1, |step| matches!(step, Step::Incomplete { .. })), None;
    2 "A stream has no messages" [Bug::OneReadOneMessage], pipeline_requests (None, 64), |entries| count_reads(entries, C1),
        "leftover=44" left_over_first, None;
    3 "A client that does not read" [Bug::WriteAll], stop_reading (Some(16 * 1024), 64), |entries| yes_if_response(entries, C2),
        "arm W" |entries| yes_if_after(entries, C1, |step| matches!(step, Step::Blocked { .. }), |step| matches!(step, Step::Read { .. })), Some(time_that_b_waited);
    4 "An edge is reported once" [Bug::NoDrain, Bug::AcceptOnce], leave_input_unread (None, 64), |entries| count_wakes(entries, L1),
        "queue empty" |entries| count(entries, L1, |step| matches!(step, Step::Accepted { .. })), None;
    5 "The end of input is not the end" [Bug::CloseOnEof], half_close_client (None, 64), |entries| yes_if_response(entries, C1),
        " eof" |entries| yes_if_after(entries, C1, |step| matches!(step, Step::EndOfInput), |step| matches!(step, Step::Read { .. })), None;
    6 "Deadlines" [Bug::NoDeadline], miss_deadlines (None, 64), timeout_while_time_passes,
        "deadline head-timeout" |entries| yes_if_response(entries, C1), None;
    7 "A hog and a small request" [Bug::NoBudget], send_many_requests (None, 64), |entries| count_responses_before(entries, C1, C2),
        "carry" |entries| count(entries, C1, |step| matches!(step, Step::CarriedOver)), Some(responses_before_b);
    8 "A thousand silent clients cost no time" [Bug::ScanAll], connect_silent_clients (None, 2100), ready_at_last_wake,
        "c1001[R]" |entries| count(entries, SourceId::Connection(1001), |step| matches!(step, Step::Read { .. })), None;
    9 "Writing to a client that is gone" [Bug::IgnoreErrors], reset_connection (Some(16 * 1024), 64), open_at_last_accept,
        "reason=reset" yes_if_reported_after_reset, None;
    10 "Descriptors run out" [Bug::RetryAccept, Bug::AwaitEdge], run_out_of_descriptors
        (None, 64, lowering_open_file_limit()), |entries| count_wakes(after_connect(entries, 'B'), L1),
        "park descriptors" |entries| yes_if_after(entries, L1, |step| matches!(step, Step::AcceptPaused { .. }), |step| matches!(step, Step::Accepted { .. })), None;
    11 "A full backlog" [Bug::AcceptOnce], fill_backlog (None, 64, with_backlog(1)), connected_before_accept,
        "C is not connected" |entries| yes_if_noted(entries, 'C', ClientAction::Refused), None;
    12 "Connecting without blocking" [Bug::TrustWritable], connect_to_peers (None, 64), count_writable_outgoing,
        "from SO_ERROR" |entries| yes_if_connected(entries, C2), None;
    13 "Where a message ends" [Bug::TrustLength, Bug::HalfLength], send_messages (None, 64), |entries| count(entries, C1, |step| matches!(step, Step::Understood { .. })),
        "parse refused" |entries| yes_unless(entries, C2, |step| matches!(step, Step::Refused { .. })), None, echo_messages;
    14 "The datagram that does not come" [Bug::NoTimeout], wait_for_answers (None, 64), yes_if_loss_is_reported,
        " drop " timeout_after_loss, Some(datagrams_until_answered), lose_answers;
    15 "A file is always ready" [Bug::WaitForDisk], read_from_slow_disk (None, 64), yes_if_b_is_first,
        "not in memory" yes_if_disk_is_reported, Some(time_blocked_by_disk), serve_from_slow_disk;
    16 "Two rooms" [Bug::UnboundedQueue], fill_a_queue (Some(16 * 1024), 64), yes_if_d_is_served_while_b_is_blocked,
        "chat dropped" members_of_last_line, None, open_two_rooms;
}
