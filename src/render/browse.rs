//! The full-screen view of `browse`: a model that inputs change, and its drawing. Neither knows a terminal.
//!
//! The tables and texts are those of [`super::table`], so names are escaped before they enter a cell.

mod about;
mod actions;
mod cells;
mod draw;
mod input;
mod keys;
mod list;
mod marks;
mod model;
mod popup;
mod rows;
mod scene;
mod styled;
mod typing;
mod window;

pub use draw::draw;
pub use input::{Input, Key, Wheel};
pub use model::{Effect, Model, Screen};
pub use scene::{Package, Scene, Way};
