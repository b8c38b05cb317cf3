//! Live reload: the script at the end of pages, the stream of events, and both in a browser.

pub mod browser;
mod events;
mod pages;
mod responses;
