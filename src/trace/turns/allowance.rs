//! How much a recorder may record, so that pages cost a busy loop little.

use std::time::Duration;

/// The shortest time between two periods.
const PERIOD: Duration = Duration::from_millis(90);
/// The number of turns that may be recorded in one period, in the long run.
const TURNS: i64 = 20;
/// The number of turns that may be recorded after a pause.
const MAX_TURNS: i64 = 200;
/// The number of steps for each turn, on average. A long turn uses up more than there are.
const STEPS: i64 = 100;

/// The number of turns and steps that may be recorded now.
pub struct Allowance {
    turns: i64,
    steps: i64,
    /// When the last period began.
    period_at: Option<Duration>,
}

impl Allowance {
    pub fn new() -> Allowance {
        Allowance { turns: MAX_TURNS, steps: MAX_TURNS * STEPS, period_at: None }
    }

    /// Begins a period at `now`, unless one has just begun because of another page.
    pub fn begin_period(&mut self, now: Duration) {
        if self.period_at.is_none_or(|begun| now.saturating_sub(begun) >= PERIOD) {
            self.period_at = Some(now);
            self.turns = (self.turns + TURNS).min(MAX_TURNS);
            self.steps = (self.steps + TURNS * STEPS).min(MAX_TURNS * STEPS);
        }
    }

    pub fn use_turn(&mut self) {
        self.turns -= 1;
    }

    pub fn use_step(&mut self) {
        self.steps -= 1;
    }

    /// Returns whether nothing more may be recorded before the next period.
    pub fn is_used_up(&self) -> bool {
        self.turns <= 0 || self.steps <= 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses up the allowance, and returns the number of turns.
    fn use_up(allowance: &mut Allowance) -> i64 {
        let mut turns = 0;
        while !allowance.is_used_up() {
            allowance.use_turn();
            turns += 1;
        }
        turns
    }

    #[test]
    fn allowance_grows_with_each_period_up_to_a_limit() {
        let mut allowance = Allowance::new();
        allowance.begin_period(Duration::ZERO);
        assert_eq!(use_up(&mut allowance), MAX_TURNS);
        allowance.begin_period(PERIOD / 2);
        assert!(allowance.is_used_up(), "another page in the same period");
        allowance.begin_period(PERIOD);
        assert_eq!(use_up(&mut allowance), TURNS);
        (2..100).for_each(|periods| allowance.begin_period(PERIOD * periods));
        assert_eq!(use_up(&mut allowance), MAX_TURNS);
    }

    #[test]
    fn turn_of_too_many_steps_costs_later_periods() {
        let mut allowance = Allowance::new();
        (0..(MAX_TURNS + TURNS) * STEPS).for_each(|_| allowance.use_step());
        allowance.begin_period(PERIOD);
        assert!(allowance.is_used_up());
        allowance.begin_period(2 * PERIOD);
        assert!(!allowance.is_used_up());
    }
}
