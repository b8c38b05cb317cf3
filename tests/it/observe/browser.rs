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
    let own = "[...document.querySelectorAll('#connections tr')].some((row) => \
               row.textContent.includes('GET /hello.txt') && row.querySelector('.own'))";
    browser.wait(&page, own);
    browser.wait(&page, "document.getElementById('trace').textContent.includes('parse GET /hello.txt')");
    browser.wait(&page, "document.getElementById('sets').textContent.includes('{L1')");
    browser.wait(&page, "document.querySelectorAll('#ribbon li').length >= 2");
    // Another client has another User-Agent.
    observed.server.get("/other.txt");
    let other = "[...document.querySelectorAll('#connections tr')].some((row) => \
                 row.textContent.includes('GET /other.txt') && !row.querySelector('.own'))";
    browser.wait(&page, other);
}
