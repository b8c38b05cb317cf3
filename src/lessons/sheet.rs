//! The questions of all lessons on a page to print, and the answers on a page of their own.

use std::io;

use super::{catalog::LESSONS, diagram::escaped, page::prose_under};

const STYLE: &str = "\
@page{margin:18mm}body{font:15px/1.45 system-ui,sans-serif;max-width:46em;margin:2em auto;padding:0 1em;\
color:#1b1f24;background:#fff}h1{font-size:1.5em}h2{font-size:1.05em;margin:1.1em 0 .2em}p{margin:.2em 0}\
section{break-inside:avoid}.answer{border-bottom:1px solid #59636e;height:1.5em;width:14em}\
.answers{break-before:page}table{border-collapse:collapse}td,th{padding:.2em 1em .2em 0;text-align:left}\
@media screen and (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}}";

/// Returns the sheet as an HTML document. Plays each lesson to find the answers.
///
/// # Errors
/// Fails if a lesson cannot be played.
pub fn prediction_sheet() -> io::Result<String> {
    let mut questions = String::new();
    let mut answers = String::new();
    for lesson in LESSONS {
        let entries = lesson.play(None)?;
        let title = escaped(&format!("{}. {}", lesson.number, lesson.title));
        let part = |name| escaped(prose_under(lesson.page, name)).replace('`', "");
        questions.push_str(&format!(
            "<section><h2>{title}</h2><p>{}</p><p><b>{}</b></p><div class=\"answer\"></div><p><b>{}</b></p>\
             <div class=\"answer\"></div></section>\n",
            part("The scene"),
            part("Predict"),
            part("Predict again")
        ));
        answers.push_str(&format!(
            "<tr><td>{title}</td><td>{}</td><td>{}</td></tr>\n",
            (lesson.answer)(&entries),
            (lesson.second_answer)(&entries)
        ));
    }
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Predictions</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style>\n\
         <h1>Predict, then look</h1>\n<p>Write down your guess before each lesson (oneloop lesson N). \
         A wrong guess is worth more than a right one.</p>\n{questions}\
         <section class=\"answers\"><h1>Answers</h1><table><tr><th>lesson</th><th>first</th><th>second</th></tr>\n\
         {answers}</table></section></html>\n"
    ))
}
