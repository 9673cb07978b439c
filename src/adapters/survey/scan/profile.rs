//! One profile: its link, its generations, and their targets.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use camino::Utf8Path;

use crate::domain::blocker::CheckCode;
use crate::domain::note::NoteCode;
use crate::domain::profile::{
    Content, Current, CurrentUnknown, Generation, GenerationNumber, Profile, ProfileKind,
    ProfilePath,
};

use super::super::names::{generation_target, resolve, shown};
use super::super::profile_dir::DirKind;
use super::Reading;

impl Reading<'_> {
    pub(super) fn profile(&mut self, path: ProfilePath) -> Profile {
        let kind = self.site.kind(path.name());
        let mut blocked = self
            .site
            .is_unsafe(self.context.actor, self.context.users)
            .or_else(|| self.trouble.clone());
        let mut generations = BTreeMap::new();
        let mine = self.generations_of(&path);
        for (number, name) in mine {
            let Some((generation, error)) = self.generation(number, &name, kind) else {
                let link = shown(self.site.dir.join(&name));
                blocked.get_or_insert(format!("{link} is not a link"));
                self.odd.push(shown(&name));
                continue;
            };
            generations.insert(number, generation);
            if let Some(error) = error {
                let link = shown(path.link(number));
                let why = format!("cannot read the target of {link}: {error}");
                let hint = "check the store directory";
                let (places, code) = ([path.to_path()], CheckCode::ProfileUnreadable);
                self.context
                    .findings
                    .refuse_at(places, code, why.clone(), hint);
                blocked.get_or_insert(why);
            }
        }
        let current = self.current(&path, &generations);
        if let Current::Unknown(why) = &current
            && kind != ProfileKind::RemovedUser
        {
            self.report_unknown(&path, kind, why, generations.keys().last());
        }
        Profile {
            path,
            kind,
            owner: self.context.users.owner(self.site.place.uid()),
            current,
            is_nix_own: self.site.is_nix_own,
            generations,
            blocked,
        }
    }

    /// The numbers and names of a profile's generations. All names begin with the profile's name, so they are adjacent
    /// in the sorted entries.
    fn generations_of(&self, path: &ProfilePath) -> Vec<(GenerationNumber, String)> {
        let prefix = format!("{}-", path.name());
        self.entries
            .range(prefix.clone()..)
            .take_while(|(name, _)| name.starts_with(&prefix))
            .filter_map(|(name, _)| Some((path.number_of(name)?, name.clone())))
            .collect()
    }

    /// A generation, with the error if its store path cannot be read; `None` if the name is not a link.
    fn generation(
        &self,
        number: GenerationNumber,
        name: &str,
        kind: ProfileKind,
    ) -> Option<(Generation, Option<io::Error>)> {
        let entry = self.entries.get(name)?;
        let text = entry.text.as_ref()?;
        let path = text.to_str().map(Utf8Path::new);
        let path = path.and_then(|text| generation_target(text, self.context.store.dir));
        let (content, error) = match path {
            None => (Content::Foreign, None),
            Some(path) => match self.context.store.content(path.clone()) {
                Ok(content) => (content, None),
                // A path that is not known to exist does not exist: such a generation is kept.
                Err(error) => (Content::Missing(path), Some(error)),
            },
        };
        // Nothing else boots, and paths that anybody may build are not read needlessly.
        let boots = kind.is_system() || self.site.role == DirKind::Asked;
        let specialisations = content.on_disk().filter(|_| boots);
        let specialisations = specialisations.map(|path| self.context.store.specialisations(path));
        let generation = Generation {
            number,
            target: text.to_string_lossy().into_owned().into(),
            specialisations: specialisations.unwrap_or_default(),
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
        // Only the bare name counts: with any other text Nix itself does not know the current generation, and its own
        // commands would delete it (trap 12).
        match text.to_str().and_then(|text| path.number_of(text)) {
            Some(number) if generations.contains_key(&number) => Current::Known(number),
            Some(number) => Current::Unknown(CurrentUnknown::Dangling(number)),
            None => Current::Unknown(CurrentUnknown::OtherText(shown(text))),
        }
    }

    /// The generation that the profile's link points to, if it does not exist.
    fn missing_generation(&self, path: &ProfilePath) -> Option<PathBuf> {
        let text = self.entries.get(path.name())?.text.as_deref()?;
        let link = resolve(self.site.dir.as_std_path(), text);
        let name = link.file_name()?.to_str()?;
        let beside = link.parent() == Some(self.site.dir.as_std_path());
        let is_gone = path.number_of(name).is_some() && !self.entries.contains_key(name);
        (beside && is_gone).then_some(link)
    }

    fn report_unknown(
        &self,
        path: &ProfilePath,
        kind: ProfileKind,
        why: &CurrentUnknown,
        newest: Option<&GenerationNumber>,
    ) {
        let findings = self.context.findings;
        let (place, profile) = (path.to_path(), shown(path.to_path()));
        let message = format!("the current generation of {profile} is unknown: {why}");
        if self.site.role == DirKind::Revealed && kind == ProfileKind::Other {
            // Anybody can leave such links, and no job selects them: they must not stop a collection.
            findings.note(NoteCode::ProfileCurrentUnknown, message);
            return;
        }
        let hint = match newest {
            Some(number) => format!(
                "select it with `nix-env --profile {profile} --switch-generation NUMBER`, such as {number}; until then \
                 every generation is kept"
            ),
            None => format!(
                "there is no generation to switch to; remove the link {profile}, or create a generation with `nix-env --profile \
                 {profile} --set PATH`"
            ),
        };
        findings.refuse_at([&place], CheckCode::CurrentUnknown, message, &hint);
        if let Some(link) = self.missing_generation(path).filter(|_| kind.is_system()) {
            // Only root can remove one there. Only its link kept the system, so a collection would delete it.
            findings.refuse_at(
                [&place],
                CheckCode::RootsVanished,
                format!("{} is gone, and {profile} points to it", shown(link)),
                "restore it from a backup, or switch to another generation; a collection would delete its paths",
            );
        }
    }
}
