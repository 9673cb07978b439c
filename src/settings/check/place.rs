//! Paths as they must be written: one spelling each, because they are compared letter for letter.

use super::{Code, Findings, Pointer, Refused};

/// Accepts an absolute path (or pattern) without `.`, `..`, doubled or trailing slashes or blanks around it.
///
/// A pattern or pin in another spelling would protect nothing, and nobody would notice.
pub(super) fn place<'a>(
    findings: &mut Findings,
    at: &Pointer,
    text: &'a str,
) -> Result<&'a str, Refused> {
    if !text.trim_start().starts_with('/') {
        return Err(findings.error(
            Code::PathRelative,
            at,
            &format!("`{text}` is not absolute"),
            "write the whole path, from `/`",
        ));
    }
    let parts = || text.trim().split('/').filter(|p| !matches!(*p, "" | "."));
    let normal = format!("/{}", parts().collect::<Vec<_>>().join("/"));
    let hint = if parts().any(|part| part == "..") {
        "write the path that it leads to, without `..`".to_string()
    } else if normal != text {
        format!("write `{normal}`")
    } else {
        return Ok(text);
    };
    let message = format!("`{text}` is not normalised");
    Err(findings.error(Code::PathNotNormalised, at, &message, &hint))
}
