//! What Nix does in the world in memory.

use super::*;

fn failed(what: &str) -> PerformError {
    PerformError::Nix {
        what: what.to_string(),
        source: "exit status 1".into(),
    }
}

impl World {
    fn wait(&self) -> Result<(), PerformError> {
        self.now.set(self.now.get() + self.takes.get());
        if self.times_out.get() {
            return Err(PerformError::TimedOut {
                what: "nix-env".to_string(),
                source: "the profile is locked".into(),
            });
        }
        Ok(())
    }
}

impl World {
    pub(super) fn profile(&self) -> Profile {
        let generation = |(&n, (target, created)): (&u32, &(Utf8PathBuf, Timestamp))| {
            let named = StorePathRef::from_base_name(target.file_name().unwrap_or_default());
            let path = named.map_or(path(n), |path| path.to_owned());
            let on_disk = self.disk.borrow().contains(&path);
            let number = GenerationNumber(n);
            let content = if on_disk {
                Content::Bootable(path)
            } else {
                Content::Missing(path)
            };
            let generation = Generation {
                number,
                target: target.clone(),
                content,
                specialisations: Vec::new(),
                created: *created,
            };
            (number, generation)
        };
        Profile {
            path: ProfilePath::new(Utf8Path::new(PROFILE)).unwrap(),
            kind: ProfileKind::System,
            owner: Owner {
                uid: self.owner.get(),
                name: None,
            },
            current: Current::Known(GenerationNumber(self.current.get())),
            generations: self.links.borrow().iter().map(generation).collect(),
            is_nix_own: false,
            blocked: None,
        }
    }
}

impl NixActions for World {
    fn give_up_reserve(&self) -> Result<bool, PerformError> {
        if self.reserve_of_nix.get() {
            self.full_for_a_lock.set(false);
        }
        Ok(self.reserve_of_nix.replace(false))
    }

    fn is_ourselves(&self, _: &Owner) -> bool {
        !self.of_another_user.get()
    }

    fn nix_version(&self) -> Result<String, PerformError> {
        Ok("2.34.8".to_string())
    }

    fn check_store(&self) -> Result<(), PerformError> {
        if self.is_elsewhere.get() {
            return Err(PerformError::OtherStore("another store".into()));
        }
        Ok(())
    }

    fn hold(&self, path: &StorePath<String>, link: &Utf8Path) -> Result<(), PerformError> {
        if self.fail_hold.get() || self.unholdable.borrow().as_ref() == Some(path) {
            return Err(failed("nix-store --realise"));
        }
        self.point(|| {
            assert!(self.disk.borrow().contains(path));
            self.lost.borrow_mut().remove(link);
            self.holds
                .borrow_mut()
                .insert(link.to_path_buf(), path.clone());
        });
        Ok(())
    }

    fn remove_generation(&self, facts: &GenerationFacts) -> Result<(), PerformError> {
        let n = facts.number.0;
        if self.change_before_drop.get() {
            self.current.set(n);
            return Err(PerformError::Stale(
                "the current generation changed".to_string(),
            ));
        }
        if self.fail_drop.get() {
            return Err(failed("nix-env --delete-generations"));
        }
        self.wait()?;
        assert_ne!(n, self.current.get(), "the current generation was dropped");
        self.point(|| self.links.borrow_mut().remove(&n));
        self.drops.set(self.drops.get() + 1);
        if self.unlinks_after.get() == Some(self.drops.get()) {
            self.roots.borrow_mut().clear();
        }
        if self.removes_more.get() {
            return Err(PerformError::RemovedMore {
                what: "nix-env --delete-generations".to_string(),
                more: "with it went the generations 8".to_string(),
            });
        }
        if self.lie_about_drop.get() {
            return Err(failed("nix-env --delete-generations"));
        }
        Ok(())
    }

    fn see_generation(&self, facts: &GenerationFacts) -> Result<LinkState, PerformError> {
        Ok(match self.links.borrow().get(&facts.number.0) {
            None => LinkState::Gone,
            Some((target, time)) if *target == facts.target && *time == facts.created => {
                LinkState::Unchanged
            }
            Some((target, _)) if *target == facts.target => LinkState::Unfinished,
            Some(_) => LinkState::Different,
        })
    }

    fn restore_generation(
        &self,
        facts: &GenerationFacts,
        claim: RestoreMode,
    ) -> Result<(), PerformError> {
        self.wait()?;
        let n = facts.number.0;
        if claim == RestoreMode::Fresh && self.links.borrow().contains_key(&n) {
            return Err(PerformError::Stale(format!("the number {n} is taken")));
        }
        if !self.disk.borrow().contains(&facts.store_path) {
            return Err(PerformError::Stale(format!("{} is gone", facts.target)));
        }
        let wrong = Timestamp::from_unix(self.now.get(), 0).unwrap();
        self.point(|| {
            self.links
                .borrow_mut()
                .insert(n, (facts.target.clone(), wrong));
        });
        self.point(|| {
            self.links
                .borrow_mut()
                .insert(n, (facts.target.clone(), facts.created));
        });
        Ok(())
    }

    fn remove_leftovers(
        &self,
        facts: &LeftoverFacts,
        _: &ProtectedPaths,
    ) -> Result<String, PerformError> {
        self.point(|| self.leftovers.borrow_mut().clear());
        Ok(format!("removed {}", facts.class.count(facts.old.entries)))
    }

    fn remove_root(&self, facts: &RootFacts, _: &ProtectedPaths) -> Result<(), PerformError> {
        self.point(|| self.entries.borrow_mut().remove(&facts.entry));
        Ok(())
    }

    fn see_root(&self, facts: &RootFacts) -> Result<LinkState, PerformError> {
        Ok(match self.entries.borrow().get(&facts.entry) {
            None => LinkState::Gone,
            Some(link) if *link == facts.link => LinkState::Unchanged,
            Some(_) => LinkState::Different,
        })
    }

    fn restore_root(&self, facts: &RootFacts) -> Result<(), PerformError> {
        self.point(|| {
            self.entries
                .borrow_mut()
                .insert(facts.entry.clone(), facts.link.clone());
        });
        Ok(())
    }

    fn remove_root_link(
        &self,
        facts: &RootLinkFacts,
        _: &ProtectedPaths,
    ) -> Result<(), PerformError> {
        if self.fail_drop.get() {
            return Err(failed("removing the link"));
        }
        self.point(|| self.root_links.borrow_mut().remove(&facts.link));
        if self.lie_about_drop.get() {
            return Err(failed("removing the link"));
        }
        Ok(())
    }

    fn see_root_link(&self, facts: &RootLinkFacts) -> Result<LinkState, PerformError> {
        Ok(match self.root_links.borrow().get(&facts.link) {
            None => LinkState::Gone,
            Some((path, _)) if *path != facts.store_path => LinkState::Different,
            Some((_, time)) if *time == facts.made_at => LinkState::Unchanged,
            Some(_) => LinkState::Unfinished,
        })
    }

    fn restore_root_link(
        &self,
        facts: &RootLinkFacts,
        claim: RestoreMode,
    ) -> Result<(), PerformError> {
        let taken = self.root_links.borrow().contains_key(&facts.link);
        if claim == RestoreMode::Fresh && taken {
            return Err(PerformError::Stale("its name is taken".to_string()));
        }
        for time in [
            Timestamp::from_unix(self.now.get(), 0).unwrap(),
            facts.made_at,
        ] {
            let link = (facts.store_path.clone(), time);
            self.point(|| {
                self.root_links
                    .borrow_mut()
                    .insert(facts.link.clone(), link);
            });
        }
        Ok(())
    }

    fn release_hold(&self, facts: &HoldFacts) -> Result<(), PerformError> {
        self.point(|| self.holds.borrow_mut().remove(&facts.link));
        Ok(())
    }

    fn see_hold(&self, facts: &HoldFacts) -> Result<LinkState, PerformError> {
        Ok(match self.holds.borrow().get(&facts.link) {
            None => LinkState::Gone,
            Some(path) if *path == facts.store_path => LinkState::Unchanged,
            Some(_) => LinkState::Different,
        })
    }

    fn collect(&self) -> Result<Collected, PerformError> {
        self.collections.set(self.collections.get() + 1);
        let before = self.disk.borrow().len();
        self.point(|| self.collect_garbage());
        let gone = u64::try_from(before - self.disk.borrow().len()).unwrap();
        Ok(Collected {
            paths: Some(gone),
            bytes: Some(Bytes(gone * 1000)),
        })
    }

    fn begin_direct(
        &self,
    ) -> Result<Box<dyn nix_prune::ports::DirectCollection + '_>, PerformError> {
        self.begin()
    }

    fn deletion_limit(&self) -> Result<Option<ArgLimit>, PerformError> {
        let one_by_one = ArgLimit {
            bytes: 1,
            per_path: 1,
        };
        let limit = self.limit.get().unwrap_or(one_by_one);
        Ok(Some(limit).filter(|_| !self.only_wholly.get()))
    }

    fn delete_paths(&self, paths: &[StorePath<String>]) -> Deleted {
        self.deletions.set(self.deletions.get() + 1);
        self.tidied
            .set(self.tidied.get() + usize::from(paths.is_empty()));
        if let [path] = paths
            && self.refuses.borrow().contains(path)
        {
            if let Some(path) = self.comes_alive.borrow_mut().take() {
                self.holds.borrow_mut().insert("/alive".into(), path);
            }
            return Deleted {
                paths: Vec::new(),
                bytes: Some(Bytes(0)),
                refused: vec![UndeletedPath {
                    path: path.clone(),
                    why: "it is alive".to_string(),
                }],
                outcome: Ok(()),
            };
        }
        let chosen = |path: &&StorePath<String>| {
            if let Some(blocks) = &mut *self.blocks.borrow_mut() {
                assert!(!self.is_kept(path), "{path} is alive");
                blocks.delete(path);
                return self.disk.borrow_mut().remove(*path);
            }
            self.dead.borrow_mut().remove(*path)
        };
        let gone: Vec<_> = paths.iter().filter(chosen).cloned().collect();
        assert_eq!(gone.len(), paths.len(), "nobody chose {paths:?}");
        Deleted {
            bytes: Some(Bytes(1000 * paths.len() as u64)),
            paths: gone,
            refused: Vec::new(),
            outcome: Ok(()),
        }
    }

    fn refresh_boot_menu(
        &self,
        _: &nix_prune::domain::plan::BootFacts,
    ) -> Result<Option<String>, PerformError> {
        self.refreshes.set(self.refreshes.get() + 1);
        if self.fail_refresh.get() {
            return Err(failed("switch-to-configuration boot"));
        }
        Ok(Some("updating the menu".to_string()))
    }

    fn optimise(&self, since: Option<Registrations>) -> Result<Optimised, PerformError> {
        let since = since.map_or(String::new(), |since| format!(" since {}", since.last_id));
        self.maintained
            .borrow_mut()
            .push(format!("optimise{since}"));
        Ok(Optimised {
            registrations: self.registrations.get(),
            ..Optimised::default()
        })
    }

    fn verify(&self, contents: bool) -> Result<Verified, PerformError> {
        let done = format!("verify {contents}");
        self.maintained.borrow_mut().push(done);
        let mut found = Verified {
            by_nix: true,
            ..Verified::default()
        };
        let damaged = self.damaged.borrow();
        damaged
            .iter()
            .for_each(|path| found.add(path.clone(), Damage::Modified));
        Ok(found)
    }

    fn free_space_at(&self, dir: &Utf8Path) -> Result<Bytes, PerformError> {
        assert_eq!(dir, "/boot");
        self.boot_free.get().ok_or_else(|| failed("statvfs"))
    }

    fn free_space(&self) -> Result<FreeSpace, PerformError> {
        if let Some(blocks) = &mut *self.blocks.borrow_mut() {
            return Ok(free(blocks.available()));
        }
        let taken = 1000 * self.disk.borrow().len() + 50 * self.dead.borrow().len();
        Ok(free(1_000_000 - u64::try_from(taken).unwrap()))
    }
}
