//! The commands at the stepper's prompt.

use oneloop::internals::StepperCommand;

/// Checks each line: spaces around words do not matter, and an error message is one printable
/// line.
pub fn commands(data: &[u8]) {
    for line in String::from_utf8_lossy(data).lines() {
        let parsed = StepperCommand::parse(line);
        let spaced = line.split_whitespace().collect::<Vec<_>>().join("  ");
        match &parsed {
            Ok(command) => {
                assert_eq!(command.is_none(), line.trim().is_empty(), "{line:?}");
                assert_eq!(StepperCommand::parse(&spaced), parsed, "{line:?}");
            }
            Err(mistake) => {
                assert!(!mistake.is_empty() && !mistake.chars().any(char::is_control), "{mistake:?}");
                assert!(StepperCommand::parse(&spaced).is_err(), "{line:?}");
            }
        }
    }
}
