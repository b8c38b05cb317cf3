//! Responses: their plans, the header fields of files, and refusals with their error pages.

pub mod answer;
pub mod byte_ranges;
pub mod decide;
pub mod made;
pub mod media_type;
pub mod not_found;
pub mod plan;
pub mod refusal;
pub mod relative;
pub mod render;
pub mod representation;
pub mod status;
