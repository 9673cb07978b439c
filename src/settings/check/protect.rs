//! What no job may take away.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use super::place::place;
use super::{Code, Findings, Pointer, Protected, Refused, each};
use crate::domain::job::{ProfileRef, Protect, ProtectedGeneration, RootPatterns};
use crate::domain::profile::GenerationNumber;
use crate::settings::platform::Platform;
use crate::settings::raw::{self, Object, Whole};

pub(super) fn protected(
    raw: &raw::Settings,
    platform: Platform,
    findings: &mut Findings,
) -> Result<Protected, Refused> {
    let at = Pointer::root().key("protect");
    let raw = raw.protect.as_ref().map(|Object(protect)| protect);
    let paths = match raw.and_then(|r| r.paths.as_ref()) {
        Some(list) => paths(list, platform, &at.key("paths"), findings),
        None => Ok(platform.critical_paths().map(Utf8PathBuf::from).collect()),
    };
    let pins = raw.and_then(|r| r.generations.as_deref());
    let generations = each(pins.unwrap_or_default().iter().enumerate(), |(i, pin)| {
        generation(pin, &at.key("generations").index(i), findings)
    });
    let patterns = raw.and_then(|r| r.roots.as_deref()).unwrap_or_default();
    let roots = roots(patterns, &at.key("roots"), findings);
    Ok(Protected {
        paths: paths?,
        protect: Protect {
            generations: generations?,
            roots: roots?,
        },
    })
}

fn paths(
    list: &[String],
    platform: Platform,
    at: &Pointer,
    findings: &mut Findings,
) -> Result<Vec<Utf8PathBuf>, Refused> {
    let places = each(list.iter().enumerate(), |(i, text)| {
        place(findings, &at.index(i), text).map(Utf8PathBuf::from)
    });
    // Letter for letter: no prefix covers a path, and `/` does not stand in for the others.
    let listed: BTreeSet<&str> = list.iter().map(String::as_str).collect();
    let missing: Vec<&str> = platform
        .critical_paths()
        .filter(|path| !listed.contains(path))
        .collect();
    if missing.is_empty() || findings.lacks_critical {
        return places;
    }
    let missing = missing.join(" ");
    Err(findings.error(
        Code::MissingCritical,
        at,
        &format!("critical paths are not protected: {missing}"),
        "write each of them as an item of its own, or leave `paths` out to protect all of them",
    ))
}

fn generation(
    Object(pin): &Object<raw::Pin>,
    at: &Pointer,
    findings: &mut Findings,
) -> Result<ProtectedGeneration, Refused> {
    let profile = pin_profile(&pin.profile, &at.key("profile"), findings);
    let Whole(number) = pin.number;
    let number = u32::try_from(number).map_err(|_| {
        findings.error(
            Code::PinNumber,
            &at.key("number"),
            &format!("{number} is not the number of a generation"),
            &format!("write a number from 0 to {}", u32::MAX),
        )
    });
    Ok(ProtectedGeneration {
        profile: profile?,
        number: GenerationNumber(number?),
        reason: pin.reason.clone(),
    })
}

fn pin_profile(text: &str, at: &Pointer, findings: &mut Findings) -> Result<ProfileRef, Refused> {
    if text.contains('/') {
        place(findings, at, text)?;
    }
    let name = text == text.trim() && !matches!(text, "." | "..");
    let profile = ProfileRef::parse(text).filter(|_| name);
    profile.ok_or_else(|| {
        findings.error(
            Code::PinProfile,
            at,
            &format!("`{text}` is not a profile"),
            "write its path, or the name it has in Nix's profiles directory, such as `system`",
        )
    })
}

fn roots(
    patterns: &[String],
    at: &Pointer,
    findings: &mut Findings,
) -> Result<RootPatterns, Refused> {
    let refuse = |findings: &mut Findings, at: &Pointer, error: &dyn std::fmt::Display| {
        findings.error(
            Code::RootPattern,
            at,
            &format!("the pattern cannot be read: {error}"),
            "write a path in which `*` stands for a name and `**` for any number of them",
        )
    };
    if patterns.len() > RootPatterns::MOST {
        let (count, most) = (patterns.len(), RootPatterns::MOST);
        return Err(findings.error(
            Code::RootPatternsMany,
            at,
            &format!("there are {count} patterns, and at most {most} are looked for"),
            "put some together by `*` and `**`",
        ));
    }
    let places = each(patterns.iter().enumerate(), |(i, text)| {
        let text = place(findings, &at.index(i), text)?;
        RootPatterns::check(text).map_err(|error| refuse(findings, &at.index(i), &error))?;
        Ok(text)
    })?;
    RootPatterns::new(places).map_err(|error| refuse(findings, at, &error))
}
