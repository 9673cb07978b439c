//! The most that one run may do unasked.

use super::{Code, Findings, Pointer, Refused};
use crate::domain::budget::parse_size;
use crate::domain::limits::Limits;
use crate::settings::raw::{self, Object, Whole};

/// More generations than any machine has.
const MOST: u64 = 100_000;

pub(super) fn limits(raw: &raw::Settings, findings: &mut Findings) -> Result<Limits, Refused> {
    let Some(Object(raw)) = &raw.limits else {
        return Ok(Limits::default());
    };
    let at = Pointer::root().key("limits");
    let generations = raw.max_generations_per_run.map(|Whole(number)| {
        let most = u64::try_from(number).ok().filter(|most| *most <= MOST);
        most.ok_or_else(|| {
            findings.error(
                Code::LimitsGenerations,
                &at.key("maxGenerationsPerRun"),
                &format!("{number} is not a number of generations"),
                &format!("write a number from 0 to {MOST}"),
            )
        })
    });
    let bytes = raw.max_bytes_per_run.as_ref().map(|text| {
        parse_size(text).map_err(|_| {
            findings.error(
                Code::LimitsBytes,
                &at.key("maxBytesPerRun"),
                &format!("`{text}` is not a size"),
                "write a size such as `50G` or `1.5T`",
            )
        })
    });
    Ok(Limits {
        generations: generations.transpose()?,
        bytes: bytes.transpose()?,
        ..Limits::default()
    })
}
