//! Decides whether an output has colours.

use anstyle_query::{clicolor, clicolor_force, no_color, term_supports_color};

/// Returns whether to colour an output, which may be a terminal. `NO_COLOR` turns colours off,
/// `CLICOLOR_FORCE` on, and `CLICOLOR=0` off on a terminal (<https://no-color.org>,
/// <https://bixense.com/clicolors>).
pub fn is_wanted(is_terminal: bool) -> bool {
    is_colored(is_terminal, no_color(), clicolor_force(), clicolor(), term_supports_color())
}

fn is_colored(
    is_terminal: bool,
    no_color: bool,
    force: bool,
    clicolor: Option<bool>,
    has_color: bool,
) -> bool {
    !no_color && (force || is_terminal && has_color && clicolor.unwrap_or(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn color_follows_the_variables() {
        let table = [
            ((true, false, false, None, true), true),
            ((true, false, false, Some(true), true), true),
            ((true, false, false, Some(false), true), false),
            ((true, true, true, Some(true), true), false),
            ((true, false, false, None, false), false),
            ((false, false, false, Some(true), true), false),
            ((false, false, true, None, false), true),
        ];
        for ((is_terminal, no_color, force, clicolor, has_color), expected) in table {
            let found = is_colored(is_terminal, no_color, force, clicolor, has_color);
            assert_eq!(found, expected, "{is_terminal} {no_color} {force} {clicolor:?} {has_color}");
        }
    }
}
