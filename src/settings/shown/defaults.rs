//! What holds where nobody wrote anything, as one would write it. The check knows the same as values; a test holds both,
//! and the schema, to each other.

use std::collections::BTreeMap;

use crate::settings::platform::Platform;
use crate::settings::raw::{self, Object, SELECTORS};

pub(super) fn fill(settings: &mut raw::Settings, platform: Platform) {
    settings.safe_mode.get_or_insert(true);
    settings.undo_window.get_or_insert_with(|| "7d".to_string());
    let Object(protect) = settings.protect.get_or_insert_default();
    let critical = || platform.critical_paths().map(str::to_string).collect();
    protect.paths.get_or_insert_with(critical);
    protect.generations.get_or_insert_default();
    protect.roots.get_or_insert_default();
    settings.accept.get_or_insert_default();
    for Object(job) in settings.jobs.iter_mut().flat_map(BTreeMap::values_mut) {
        job.enabled.get_or_insert(true);
        job.max_risk.get_or_insert_with(|| "high".to_string());
        if let Some(Object(budget)) = &mut job.budget {
            let never = || "never".to_string();
            budget.release_holds.get_or_insert_with(never);
        }
        if let Some(Object(operations)) = &mut job.operations {
            fill_operations(operations);
        }
    }
}

fn fill_operations(operations: &mut raw::Operations) {
    if let Some(Object(generations)) = &mut operations.generations {
        let every = || SELECTORS.map(str::to_string).to_vec();
        generations.profiles.get_or_insert_with(every);
        generations.refresh_boot_menu.get_or_insert(false);
    }
    if let Some(Object(roots)) = &mut operations.roots {
        roots.dangling.get_or_insert(false);
        roots.rules.get_or_insert_default();
    }
    if let Some(Object(collect)) = &mut operations.collect {
        collect.method.get_or_insert_with(|| "auto".to_string());
    }
    if let Some(Object(verify)) = &mut operations.verify {
        verify.contents.get_or_insert(false);
    }
}
