//! Which safety checks are accepted, where, and why.

use std::sync::Arc;

use super::place::place;
use super::{Code, Findings, Pointer, Refused, each};
use crate::domain::accept::{Acceptance, NotAPlace, Place};
use crate::domain::blocker::CheckCode;
use crate::domain::job::RootPatterns;
use crate::domain::nearest::nearest;
use crate::settings::raw::{self, Object};

pub(super) fn accepted(
    raw: &raw::Settings,
    findings: &mut Findings,
) -> Result<Arc<[Acceptance]>, Refused> {
    let at = Pointer::root().key("accept");
    let list = raw.accept.as_deref().unwrap_or_default();
    if list.len() > RootPatterns::MOST {
        let (count, most) = (list.len(), RootPatterns::MOST);
        return Err(findings.error(
            Code::AcceptMany,
            &at,
            &format!("there are {count} entries, and at most {most} are allowed"),
            "put some together by `*` and `**`",
        ));
    }
    let entries = each(list.iter().enumerate(), |(i, entry)| {
        acceptance(entry, &at.index(i), findings)
    });
    Ok(entries?.into())
}

fn acceptance(
    Object(raw): &Object<raw::Acceptance>,
    at: &Pointer,
    findings: &mut Findings,
) -> Result<Acceptance, Refused> {
    let code = code(&raw.code, &at.key("code"), findings);
    let place = accepted_place(&raw.place, &at.key("place"), findings);
    let reason = raw.reason.trim();
    let reason = if reason.is_empty() {
        Err(findings.error(
            Code::AcceptReason,
            &at.key("reason"),
            "the reason is empty",
            "write why the check is accepted there; every plan shows it",
        ))
    } else {
        Ok(reason.to_string())
    };
    Ok(Acceptance {
        code: code?,
        place: place?,
        reason: reason?,
    })
}

fn code(text: &str, at: &Pointer, findings: &mut Findings) -> Result<CheckCode, Refused> {
    let known = CheckCode::ALL.into_iter();
    let (message, hint) = match known.clone().find(|code| code.as_str() == text) {
        Some(code) if Acceptance::is_possible(code) => return Ok(code),
        Some(code) if CheckCode::acceptable().any(|other| other == code) => (
            format!("`{code}` is about no place, and settings cannot accept it"),
            format!("remove the entry; `--accept {code}` accepts it for one run"),
        ),
        Some(code) => (
            format!("`{code}` stops nothing"),
            "remove the entry".to_string(),
        ),
        None => {
            let codes: Vec<&str> = Acceptance::codes().map(CheckCode::as_str).collect();
            let hint = match nearest(text, codes.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("write one of {}", codes.join(", ")),
            };
            (format!("`{text}` is no safety check"), hint)
        }
    };
    Err(findings.error(Code::AcceptCode, at, &message, &hint))
}

fn accepted_place(text: &str, at: &Pointer, findings: &mut Findings) -> Result<Place, Refused> {
    let text = place(findings, at, text)?;
    Place::new(text).map_err(|error| {
        let hint = match error {
            NotAPlace::Everywhere(_) => {
                "write the place that it is about; its first name must have no wildcard"
            }
            NotAPlace::Pattern(_) => {
                "write a path in which `*` stands for a name and `**` for any number of them"
            }
        };
        findings.error(Code::AcceptPlace, at, &error.to_string(), hint)
    })
}
