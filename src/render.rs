//! Views of plain data: text, tables, JSON, graphs, metrics and a page.
//!
//! [`json`] writes everything as it is; [`table`] writes for a terminal, and escapes everything that a name or a link could use to
//! control it; [`browse`] draws a full screen.

pub mod browse;
pub mod dot;
pub mod html;
pub mod json;
pub mod metrics;
pub mod reason;
pub mod table;
pub mod text;

pub use json::{Document, schema, to_text};
pub use table::{Style, View};
