//! Draws a URL as a QR code in the terminal, two rows of modules on each line.

use std::io::{self, IsTerminal};

use qrcode::{Color, EcLevel, QrCode, types::QrError};

use super::{color, errors::Failure, logger::LogPipe, urls::Urls};

/// The width of the light border in modules (ISO/IEC 18004, section 6.3.8).
const QUIET_ZONE: usize = 4;
/// White on black in colours that themes of terminals do not change (the cube of 256 colours).
const WHITE_ON_BLACK: &str = "\x1b[38;5;231;48;5;16m";
const RESET: &str = "\x1b[0m";

/// Returns the QR code of the URL for other devices, to be printed below the URLs. If standard
/// output is not a terminal, programs read it, so the code goes to standard error instead, and the
/// result is empty.
///
/// # Errors
/// Fails if only this machine can connect, or if the URL is too long.
pub fn code_of(urls: &Urls, log: &LogPipe) -> Result<String, Failure> {
    let Some(url) = urls.for_device() else {
        if !urls.has_wide() {
            let advice = "add --bind 0.0.0.0, or an address of this machine in the network of the device";
            return Err(Failure::Usage(format!("no other device can open the site for --qr; {advice}")));
        }
        log::warn!("--qr: this machine has no address in a network, so no other device can open the site");
        return Ok(String::new());
    };
    let draw = |is_terminal| {
        draw(url, color::is_wanted(is_terminal))
            .map_err(|e| Failure::Usage(format!("cannot draw '{url}' for --qr: {e}")))
    };
    if io::stdout().is_terminal() {
        return draw(true);
    }
    let is_terminal = log.blocking_stderr().is_some_and(|stderr| stderr.is_terminal());
    log.write_line(draw(is_terminal)?.trim_end());
    Ok(String::new())
}

/// Draws `text` as a QR code, a line for each two rows of modules. With `is_colored`, the code is
/// black on white in every terminal. Without, light modules have the colour of the text, which is
/// right on a dark background, and which most readers also accept on a light one.
///
/// # Errors
/// Fails if the text is too long for a QR code, which holds about 2,300 bytes.
fn draw(text: &str, is_colored: bool) -> Result<String, QrError> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)?;
    let width = code.width();
    let modules = code.to_colors();
    let is_light = |x: usize, y: usize| {
        let inside = x.checked_sub(QUIET_ZONE).zip(y.checked_sub(QUIET_ZONE));
        let inside = inside.filter(|(x, y)| *x < width && *y < width);
        inside.is_none_or(|(x, y)| modules.get(y * width + x) == Some(&Color::Light))
    };
    let (start, end) = if is_colored { (WHITE_ON_BLACK, RESET) } else { ("", "") };
    let size = width + 2 * QUIET_ZONE;
    let mut drawn = String::new();
    // The number of rows is odd. The row below the last one is part of the border.
    for y in (0..size).step_by(2) {
        drawn.push_str(start);
        drawn.extend((0..size).map(|x| match (is_light(x, y), is_light(x, y + 1)) {
            (true, true) => '\u{2588}',
            (true, false) => '\u{2580}',
            (false, true) => '\u{2584}',
            (false, false) => ' ',
        }));
        drawn.push_str(end);
        drawn.push('\n');
    }
    Ok(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qr_code_has_a_light_border_and_three_finders() {
        let drawn = draw("http://192.168.1.5:8000/", false).expect("it fits");
        let lines: Vec<Vec<char>> = drawn.lines().map(|line| line.chars().collect()).collect();
        // Version 2 has 25 modules on each side.
        assert_eq!((lines.len(), lines[0].len()), (17, 33), "{drawn}");
        for border in [&lines[0], &lines[1]] {
            assert!(border.iter().all(|module| *module == '\u{2588}'), "{drawn}");
        }
        let is_light = |x: usize, y: usize| {
            let (upper, lower) = match lines[y / 2][x] {
                '\u{2588}' => (true, true),
                '\u{2580}' => (true, false),
                '\u{2584}' => (false, true),
                _ => (false, false),
            };
            if y.is_multiple_of(2) { upper } else { lower }
        };
        for (left, top) in [(4, 4), (22, 4), (4, 22)] {
            let row: Vec<bool> = (0..7).map(|x| is_light(left + x, top + 3)).collect();
            assert_eq!(row, [false, true, false, false, false, true, false], "a finder pattern: {drawn}");
        }
    }

    #[test]
    fn qr_code_is_colored_only_if_asked() {
        let [plain, colored] = [false, true].map(|is_colored| draw("x", is_colored).expect("it fits"));
        assert!(!plain.contains('\x1b'));
        for (plain, colored) in plain.lines().zip(colored.lines()) {
            assert_eq!(colored, format!("{WHITE_ON_BLACK}{plain}{RESET}"));
        }
        assert!(draw(&"x".repeat(3_000), false).is_err(), "too long for a QR code");
    }
}
