//! What is sent: the plan of a response, the metadata of a file as field lines, refusals and their
//! pages.

pub mod answer;
pub mod byte_ranges;
pub mod media_type;
pub mod plan;
pub mod refusal;
pub mod render;
pub mod representation;
pub mod status;
