//! What people and scripts see: the same plain data, many views.
//!
//! [`json`] writes everything as it is; [`table`] writes for a terminal, and lets nothing through that a name or a
//! link could use to draw there.

pub mod action;
pub mod json;
pub mod reason;
pub mod table;
pub mod text;

pub use json::{Document, schema, to_text};
pub use table::{Style, View};
