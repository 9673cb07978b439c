//! One profile: its link, its generations, and what they lead to.

use std::collections::BTreeMap;
use std::io;

use camino::Utf8Path;

use crate::domain::profile::{
    Content, Current, CurrentUnknown, Generation, GenerationNumber, Profile, ProfileKind,
    ProfilePath,
};
use crate::domain::refusal::RefusalCode;

use super::super::Findings;
use super::super::names::{generation_target, shown};
use super::super::site::Role;
use super::Reading;

impl Reading<'_> {
    pub(super) fn profile(&mut self, path: ProfilePath, findings: &mut Findings) -> Profile {
        let kind = self.site.role.kind(path.name());
        let mut blocked = self
            .site
            .is_unsafe(self.lens.actor, self.lens.users)
            .or_else(|| self.trouble.clone());
        let mut generations = BTreeMap::new();
        let mine = self.generations_of(&path);
        for (number, name) in mine {
            let Some((generation, error)) = self.generation(number, &name) else {
                let link = shown(self.site.dir.join(&name));
                blocked.get_or_insert(format!("{link} is not a link"));
                self.odd.push(shown(&name));
                continue;
            };
            generations.insert(number, generation);
            if let Some(error) = error {
                let link = shown(path.link(number));
                let why = format!("cannot look at what {link} leads to: {error}");
                let hint = "find out what is wrong with the store directory";
                findings.refuse(RefusalCode::ProfileUnreadable, why.clone(), hint);
                blocked.get_or_insert(why);
            }
        }
        let current = self.current(&path, &generations);
        if let Current::Unknown(why) = &current {
            self.report_unknown(&path, kind, why, findings);
        }
        Profile {
            path,
            kind,
            owner: self.lens.users.owner(self.site.place.uid()),
            current,
            generations,
            blocked,
        }
    }

    /// The numbers and names of a profile's generations: all names begin with the profile's, so that they are found
    /// together in the sorted entries.
    fn generations_of(&self, path: &ProfilePath) -> Vec<(GenerationNumber, String)> {
        let prefix = format!("{}-", path.name());
        self.entries
            .range(prefix.clone()..)
            .take_while(|(name, _)| name.starts_with(&prefix))
            .filter_map(|(name, _)| Some((path.number_of(name)?, name.clone())))
            .collect()
    }

    /// A generation, with the error when its store path cannot be seen; `None` when the name is not a link.
    fn generation(
        &self,
        number: GenerationNumber,
        name: &str,
    ) -> Option<(Generation, Option<io::Error>)> {
        let entry = self.entries.get(name)?;
        let text = entry.text.as_ref()?;
        let path = text.to_str().map(Utf8Path::new);
        let path = path.and_then(|text| generation_target(text, self.lens.store.dir));
        let (content, error) = match path {
            None => (Content::Foreign, None),
            Some(path) => match self.lens.store.content(path.clone()) {
                Ok(content) => (content, None),
                // What is not known to be there is not there: such a generation is kept.
                Err(error) => (Content::Missing(path), Some(error)),
            },
        };
        let generation = Generation {
            number,
            target: text.to_string_lossy().into_owned().into(),
            content,
            created: entry.meta.modified,
        };
        Some((generation, error))
    }

    fn current(
        &self,
        path: &ProfilePath,
        generations: &BTreeMap<GenerationNumber, Generation>,
    ) -> Current {
        let Some(entry) = self.entries.get(path.name()) else {
            return Current::Unknown(CurrentUnknown::NoLink);
        };
        let Some(text) = &entry.text else {
            return Current::Unknown(CurrentUnknown::NotALink);
        };
        // Only the bare name counts: with any other text Nix itself does not know the current generation, and its
        // own commands would delete it (trap 12).
        match text.to_str().and_then(|text| path.number_of(text)) {
            Some(number) if generations.contains_key(&number) => Current::Known(number),
            Some(number) => Current::Unknown(CurrentUnknown::Dangling(number)),
            None => Current::Unknown(CurrentUnknown::OtherText(shown(text))),
        }
    }

    fn report_unknown(
        &self,
        path: &ProfilePath,
        kind: ProfileKind,
        why: &CurrentUnknown,
        findings: &mut Findings,
    ) {
        let profile = shown(path.to_path());
        let message = format!("the current generation of {profile} is not known: {why}");
        if self.site.role == Role::Revealed && kind == ProfileKind::Other {
            // Anybody can leave such links behind, and no job selects them: that must not stop a collection.
            findings.note(message);
            return;
        }
        let hint = format!(
            "choose it with `nix-env --profile {profile} --switch-generation NUMBER`; until then every generation \
             stays"
        );
        findings.refuse(RefusalCode::CurrentUnknown, message, &hint);
    }
}
