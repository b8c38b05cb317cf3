//! The whole server: mostly from outside, by real processes, real sockets and raw bytes; where time
//! matters, in this process on a clock that the test moves. One module for each theme.

mod common;

mod access_log;
mod bodies;
mod conditional;
mod configuration;
mod directories;
mod docs;
mod drain;
mod fairness;
mod files;
mod freshness;
mod generated;
mod hosts;
mod lessons;
mod library;
mod limits;
mod listings;
mod log_formats;
mod observed;
mod paths;
mod peers;
mod pipelining;
mod process;
mod properties;
mod ranges;
mod recording;
mod refusals;
mod requests;
mod responses;
mod smuggling;
mod spa;
mod stderr;
mod stepping;
mod trace;
mod transfers;
mod turn;
mod udp;
mod urls;
mod variants;
