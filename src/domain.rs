//! Pure data and pure decisions.
//!
//! Nothing here uses a file, a process, the environment, a clock or a log; `scripts/layers` checks that.

pub mod accept;
pub mod analysis;
pub mod baseline;
pub mod blocker;
pub mod boot_menu;
pub mod budget;
pub mod collect;
pub mod disk_use;
pub mod effective_job;
pub mod elapsed;
pub mod graph;
pub mod growth;
pub mod job;
pub mod leftover;
pub mod limits;
pub mod maintenance;
pub mod measure;
pub mod nearest;
pub mod note;
pub mod notice;
pub mod plan;
pub mod policy;
pub mod profile;
pub mod protected;
pub mod receipt;
pub mod reference;
pub mod retention;
pub mod risk;
pub mod root;
pub mod root_rules;
pub mod root_use;
pub mod snapshot;
pub mod store_path;
pub mod system_info;
pub mod undo;
pub mod unusual;
pub mod uptimes;
pub mod visible;
