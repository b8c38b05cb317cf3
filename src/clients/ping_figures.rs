//! The figures of a ping over UDP: which of the numbered datagrams came back, how often, in which
//! order, and how long each one took.

use std::{fmt, time::Duration};

/// Counts and times of the datagrams that have been sent and of their answers.
#[derive(Debug, Clone, Default)]
pub struct PingFigures {
    /// Whether each datagram that has been sent was answered, by its number.
    is_answered: Vec<bool>,
    /// The round-trip time of the first answer to each datagram, in the order of arrival.
    times: Vec<Duration>,
    duplicates: u64,
    reordered: u64,
    /// One more than the highest number answered.
    next_expected: u32,
}

/// What an answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    /// The first answer to a datagram.
    First,
    /// Another answer to a datagram that has been answered.
    Duplicate,
    /// An answer with a number that has not been sent.
    Unknown,
}

impl PingFigures {
    /// Counts a datagram as sent. Returns its number, from 0.
    pub fn send(&mut self) -> u32 {
        self.is_answered.push(false);
        self.sent() - 1
    }

    /// Counts an answer to the datagram `number`, which took `time`.
    pub fn answer(&mut self, number: u32, time: Duration) -> AnswerKind {
        let Some(is_answered) = self.is_answered.get_mut(number as usize) else { return AnswerKind::Unknown };
        if std::mem::replace(is_answered, true) {
            self.duplicates += 1;
            return AnswerKind::Duplicate;
        }
        self.times.push(time);
        // RFC 4737 section 3: a datagram is reordered if a later one has arrived before it.
        self.reordered += u64::from(number < self.next_expected);
        self.next_expected = self.next_expected.max(number + 1);
        AnswerKind::First
    }

    /// Returns the number of datagrams sent.
    pub fn sent(&self) -> u32 {
        self.is_answered.len() as u32
    }

    /// Returns the number of datagrams that have been answered, each counted once.
    pub fn answered(&self) -> u32 {
        self.times.len() as u32
    }

    /// Returns the round-trip times if there was an answer.
    fn round_trips(&self) -> Option<RoundTrips> {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let count = sorted.len();
        let seconds = || sorted.iter().map(Duration::as_secs_f64);
        let avg = seconds().sum::<f64>() / count as f64;
        let variance = seconds().map(|time| (time - avg).powi(2)).sum::<f64>() / count as f64;
        Some(RoundTrips {
            min,
            avg: Duration::from_secs_f64(avg),
            median: (sorted[(count - 1) / 2] + sorted[count / 2]) / 2,
            // The nearest rank: at least 99 % of the times are at most this long.
            p99: sorted[(count * 99).div_ceil(100) - 1],
            max,
            mdev: Duration::from_secs_f64(variance.sqrt()),
        })
    }
}

/// Formats the figures as ping(8) does, on one line or two.
impl fmt::Display for PingFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, answered) = (self.sent(), self.answered());
        let loss = f64::from(sent - answered) * 100.0 / f64::from(sent.max(1));
        write!(f, "{sent} sent, {answered} received, {loss:.1}% loss")?;
        write!(f, ", {} duplicates, {} reordered", self.duplicates, self.reordered)?;
        match self.round_trips() {
            Some(times) => write!(f, "\n{times}"),
            None => Ok(()),
        }
    }
}

/// The distribution of the round-trip times.
#[derive(Debug, PartialEq, Eq)]
struct RoundTrips {
    min: Duration,
    avg: Duration,
    median: Duration,
    p99: Duration,
    max: Duration,
    /// The standard deviation.
    mdev: Duration,
}

impl fmt::Display for RoundTrips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RoundTrips { min, avg, median, p99, max, mdev } = self;
        let ms = [min, avg, median, p99, max, mdev].map(|time| format!("{:.3}", time.as_secs_f64() * 1e3));
        write!(f, "rtt min/avg/median/p99/max/mdev = {} ms", ms.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Returns the figures after `sent` datagrams and answers with these numbers and times in ms.
    fn figures(sent: u32, answers: &[(u32, u32)]) -> PingFigures {
        let mut figures = PingFigures::default();
        for number in 0..sent {
            assert_eq!(figures.send(), number);
        }
        for (number, ms) in answers {
            figures.answer(*number, *ms * MS);
        }
        figures
    }

    #[test]
    fn answers_are_counted_by_kind() {
        let mut figures = figures(3, &[]);
        let table = [
            (1, AnswerKind::First),
            (1, AnswerKind::Duplicate),
            (0, AnswerKind::First),
            (3, AnswerKind::Unknown),
            (u32::MAX, AnswerKind::Unknown),
            (2, AnswerKind::First),
            (1, AnswerKind::Duplicate),
        ];
        for (number, expected) in table {
            assert_eq!(figures.answer(number, MS), expected, "{number}");
        }
        assert_eq!((figures.sent(), figures.answered()), (3, 3));
        assert_eq!((figures.duplicates, figures.reordered), (2, 1), "0 arrived after 1");
    }

    #[test]
    fn figures_are_shown_like_ping() {
        type Answers = &'static [(u32, u32)];
        let table: [(u32, Answers, &str); 5] = [
            (0, &[], "0 sent, 0 received, 0.0% loss, 0 duplicates, 0 reordered"),
            (3, &[], "3 sent, 0 received, 100.0% loss, 0 duplicates, 0 reordered"),
            (
                1,
                &[(0, 5)],
                "1 sent, 1 received, 0.0% loss, 0 duplicates, 0 reordered\n\
                 rtt min/avg/median/p99/max/mdev = 5.000/5.000/5.000/5.000/5.000/0.000 ms",
            ),
            (
                3,
                &[(2, 4), (0, 1), (0, 9)],
                "3 sent, 2 received, 33.3% loss, 1 duplicates, 1 reordered\n\
                 rtt min/avg/median/p99/max/mdev = 1.000/2.500/2.500/4.000/4.000/1.500 ms",
            ),
            (
                3,
                &[(0, 1), (1, 2), (2, 6)],
                "3 sent, 3 received, 0.0% loss, 0 duplicates, 0 reordered\n\
                 rtt min/avg/median/p99/max/mdev = 1.000/3.000/2.000/6.000/6.000/2.160 ms",
            ),
        ];
        for (sent, answers, expected) in table {
            assert_eq!(figures(sent, answers).to_string(), expected);
        }
    }

    #[test]
    fn p99_is_the_nearest_rank() {
        for (count, expected) in [(1, 1), (2, 2), (99, 99), (100, 99), (101, 100), (200, 198), (1000, 990)] {
            let answers: Vec<(u32, u32)> = (0..count).map(|n| (n, n + 1)).collect();
            let times = figures(count, &answers).round_trips().expect("answers");
            assert_eq!(times.p99, expected * MS, "of {count}");
        }
    }
}
