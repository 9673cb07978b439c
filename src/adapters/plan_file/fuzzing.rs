//! Fuzz targets for saved plans.

use camino::Utf8Path;
use serde_json::Value;

use super::{DIGEST, PlanFileError, parse, seal};

/// Reads it as it is, and with the digest that it would have been saved with: otherwise nothing gets past that.
pub(crate) fn read(text: &str) {
    let path = Utf8Path::new("plan.json");
    let as_it_is = parse(path, text);
    let Ok(document) = serde_json::from_str::<Value>(text) else {
        assert!(matches!(as_it_is, Err(PlanFileError::NotJson { .. })));
        return;
    };
    let Ok(sealed) = seal(path, document.clone()) else {
        return;
    };
    let read = parse(path, &sealed);
    let wrong = matches!(
        read,
        Err(PlanFileError::Edited { .. } | PlanFileError::NotJson { .. })
    );
    assert!(!wrong, "what is saved is read again: {sealed}");
    let Ok(plan) = read else {
        assert!(as_it_is.is_err(), "what was saved cannot be saved again");
        return;
    };
    if let Ok(as_it_is) = as_it_is {
        assert_eq!(as_it_is, plan);
    }
    // White space says nothing; every other letter does.
    let Ok(mut value) = serde_json::from_str::<Value>(&sealed) else {
        return;
    };
    assert!(parse(path, &value.to_string()).is_ok_and(|again| again == plan));
    if let Some(job) = value.get_mut("job") {
        *job = Value::from("another-job-than-the-one-that-was-saved");
        let edited = parse(path, &value.to_string());
        assert!(matches!(edited, Err(PlanFileError::Edited { .. })));
    }
    let unsealed = sealed.replace(&format!("\"{DIGEST}\""), "\"dig\"");
    assert!(parse(path, &unsealed).is_err());
}
