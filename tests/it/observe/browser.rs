//! The live page in a real browser.

use super::*;
use crate::live::browser::Browser;

#[test]
fn observe_page_shows_the_browser_its_own_connections() {
    let Some(mut browser) = Browser::start() else { return };
    let site = site();
    let observed = Observed::with(&site, &[]);
    let page = browser.open(&observed.url);
    browser.wait(&page, "document.getElementById('status')?.textContent === 'Live'");
    let hello = format!("http://{}/hello.txt", observed.server.addr());
    browser.open(&hello);
    // (It may have requested an icon since.)
    browser.wait(&page, "document.querySelector('#connections tr .own') !== null");
    browser.wait(&page, "document.getElementById('trace').textContent.includes('parse GET /hello.txt')");
    browser.wait(&page, "document.getElementById('sets').textContent.includes('{L1')");
    browser.wait(&page, "document.querySelectorAll('#ribbon li').length >= 2");
    // Another client has another User-Agent.
    observed.server.get("/other.txt");
    let other = "[...document.querySelectorAll('#connections tr')].some((row) => \
                 row.textContent.includes('GET /other.txt') && !row.querySelector('.own'))";
    browser.wait(&page, other);
}

#[test]
fn observe_page_goes_back_to_earlier_turns() {
    let Some(mut browser) = Browser::start() else { return };
    let site = site();
    let observed = Observed::with(&site, &[]);
    let page = browser.open(&observed.url);
    browser.wait(&page, "document.getElementById('status')?.textContent === 'Live'");
    let mut client = observed.server.connect();
    for name in ["one", "two"] {
        client.send(get(&format!("/{name}.txt")));
        client.response();
        let parsed = format!("document.getElementById('trace').textContent.includes('/{name}.txt')");
        browser.wait(&page, &parsed);
    }
    // Back to the turn before the last one, with the keyboard's step of the slider.
    let back = "(() => { const slider = document.getElementById('scrubber'); slider.value -= 1; \
                slider.dispatchEvent(new Event('input')); return true; })()";
    browser.wait(&page, back);
    browser.wait(&page, "document.getElementById('status').textContent === 'Paused'");
    let shows = |name| format!("document.getElementById('connections').textContent.includes('{name}.txt')");
    browser.wait(&page, &format!("{} && !{}", shows("one"), shows("two")));
    browser.wait(&page, "!document.getElementById('trace').textContent.includes('two.txt')");
    browser.wait(&page, "document.getElementById('scrubber').ariaValueText.startsWith('turn ')");
    // New turns do not move what is shown.
    client.send(get("/three.txt"));
    client.response();
    let has_more = "Number(document.getElementById('scrubber').max) > Number(document.getElementById('scrubber').value) + 1";
    eventually("the page has the next turn", || {
        browser.value(&page, "document.getElementById('forward').click()");
        browser.value(&page, "document.getElementById('back').click()");
        browser.value(&page, has_more) == true
    });
    browser.wait(&page, &format!("{} && !{}", shows("one"), shows("two")));
    browser.value(&page, "document.getElementById('live').click()");
    browser.wait(&page, &shows("three"));
}

#[test]
fn observe_page_makes_its_browser_a_client() {
    let Some(mut browser) = Browser::start() else { return };
    let site = site();
    let observed = Observed::with(&site, &["--listing"]);
    let page = browser.open(&observed.url);
    browser.wait(&page, "document.getElementById('status')?.textContent === 'Live'");
    let shows = |text: &str| {
        format!(
            "[...document.querySelectorAll('#connections tr')].some((row) => \
             row.textContent.includes('{text}') && row.querySelector('.own'))"
        )
    };
    let presses = |name: &str| format!("document.getElementById('{name}').click()");
    browser.value(&page, &presses("idle"));
    browser.wait(&page, &shows("K keep-alive"));
    browser.value(&page, &presses("slow"));
    browser.wait(&page, &shows("W sending, blocked"));
    browser.wait(&page, "document.getElementById('slow').getAttribute('aria-pressed') === 'true'");
    browser.value(&page, &presses("slow"));
    browser.wait(&page, &format!("{} && !{}", shows(". closed: reset"), shows("blocked")));
    browser.value(&page, &presses("abort"));
    browser.wait(&page, "document.getElementById('tried').textContent.startsWith('Gone')");
    browser.wait(&page, &format!("!{}", shows("W sending")));
}

#[test]
fn observe_page_of_a_recording_steps_with_keys_and_needs_no_server() {
    let Some(mut browser) = Browser::start() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let mut observed = Observed::of_recording(&crate::replay::recording(dir.path()));
    let page = browser.open(&observed.url);
    browser.wait(&page, "document.getElementById('status')?.textContent === 'Recording'");
    let is_hidden = |id| format!("document.getElementById('{id}').offsetParent === null");
    browser.wait(&page, &["pause", "live", "slow"].map(is_hidden).join(" && "));
    browser.wait(&page, "document.getElementById('turn-title').textContent === 'Turn 1'");
    // The page has all of it.
    observed.server.signal(rustix::process::Signal::TERM);
    assert!(observed.server.exit().success());
    let press = |key| {
        format!(
            "document.body.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true }}))"
        )
    };
    browser.value(&page, &press("ArrowRight"));
    browser.wait(&page, "document.getElementById('place').textContent.startsWith('turn 2, at ')");
    browser.value(&page, &press("ArrowLeft"));
    browser.wait(&page, "document.getElementById('place').textContent.startsWith('turn 1, at ')");
    browser.wait(&page, "document.getElementById('back').disabled");
    browser.value(&page, "document.getElementById('forward').click()");
    browser.wait(&page, "document.getElementById('place').textContent.startsWith('turn 2, at ')");
    browser.wait(&page, "document.getElementById('status').textContent === 'Recording'");
}
