//! Integration tests of the whole server, with one module for each topic. Most run the real binary
//! and send raw bytes over real sockets. Tests that depend on time run the server in this process,
//! on a clock that the test controls.

mod common;

mod access_log;
mod bodies;
mod chat;
mod conditional;
mod configuration;
mod connecting;
mod directories;
mod discovery;
mod docs;
mod drain;
mod fairness;
mod file_errors;
mod files;
mod freshness;
mod generated;
mod hosts;
mod lessons;
mod library;
mod limits;
mod listings;
mod log_formats;
mod mail;
mod media_types;
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
mod talk_chat;
mod talk_clients;
mod talk_framing;
mod talk_tcp;
mod talk_udp;
mod trace;
mod transfers;
mod turn;
mod udp;
mod udp_timers;
mod unix_sockets;
mod urls;
mod variants;
mod waiting;
