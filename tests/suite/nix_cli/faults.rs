//! Programs that look like Nix's and do wrong.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use camino::Utf8PathBuf;
use nix_prune::adapters::nix_cli::NixCli;
use nix_prune::adapters::scratch::Scratch;
use nix_prune::ports::{Collected, Interrupt, LinkState, NixActions, PerformError};
use rstest::rstest;

use super::{Fixture, chain};
use crate::support::{Nix, listing, script, wait_for, with_each_nix};

/// A directory of programs, each the real one but for what is replaced.
struct Fakes {
    f: Fixture,
    bin: Utf8PathBuf,
    real: Utf8PathBuf,
}

impl Fakes {
    fn new(nix: &Nix) -> Self {
        let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
        let bin = f.scratch.base().join("bin");
        fs::create_dir(&bin).unwrap();
        for tool in ["nix", "nix-env", "nix-store", "nix-collect-garbage"] {
            std::os::unix::fs::symlink(nix.bin.join(tool), bin.join(tool)).unwrap();
        }
        Self {
            f,
            bin,
            real: nix.bin.clone(),
        }
    }

    /// Replaces a program; `REAL` is the real one's path, `LINK` that of a generation's link without number.
    fn replace(&self, tool: &str, text: &str) {
        let path = self.bin.join(tool);
        fs::remove_file(&path).unwrap();
        let link = self.f.profile.to_path();
        let text = text
            .replace("REAL", self.real.join(tool).as_str())
            .replace("LINK", link.as_str());
        script(&path, &text);
    }

    fn cli(&self) -> NixCli {
        self.cli_with(Arc::new(Flag::default()))
    }

    fn cli_with(&self, interrupt: Arc<Flag>) -> NixCli {
        let child_env = self.f.scratch.child_env().clone();
        NixCli::new(
            self.f.scratch.places(),
            Some(&self.bin),
            child_env,
            interrupt,
        )
        .unwrap()
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Interrupt for Flag {
    fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn exit_0_of_nix_env_is_not_believed() {
    with_each_nix(|nix| {
        let fakes = Fakes::new(nix);
        fakes.replace("nix-env", "exit 0");
        let error = fakes
            .cli()
            .remove_generation(&fakes.f.facts(1))
            .unwrap_err();
        assert!(
            chain(&error).contains("did not delete it"),
            "{}",
            chain(&error)
        );
        let sight = fakes.cli().see_generation(&fakes.f.facts(1)).unwrap();
        assert_eq!(sight, LinkState::Unchanged);
    });
}

#[test]
fn a_failure_of_nix_env_is_told_with_its_words() {
    with_each_nix(|nix| {
        let fakes = Fakes::new(nix);
        fakes.replace("nix-env", "echo 'error: no luck' >&2; exit 1");
        let error = fakes
            .cli()
            .remove_generation(&fakes.f.facts(1))
            .unwrap_err();
        let text = chain(&error);
        for part in [
            "removing generation 1 of",
            "--delete-generations 1",
            "status 1",
            "no luck",
        ] {
            assert!(text.contains(part), "{text}");
        }
    });
}

#[test]
fn what_is_gone_counts_as_dropped_even_if_nix_env_fails_afterwards() {
    with_each_nix(|nix| {
        let fakes = Fakes::new(nix);
        fakes.replace("nix-env", "'REAL' \"$@\"; exit 1");
        fakes.cli().remove_generation(&fakes.f.facts(1)).unwrap();
        let sight = fakes.cli().see_generation(&fakes.f.facts(1)).unwrap();
        assert_eq!(sight, LinkState::Gone);
    });
}

#[rstest]
#[case(
    "rm 'LINK-1-link' 'LINK-2-link'",
    "this also removed the generations 2"
)]
#[case("rm 'LINK-1-link' 'LINK'", "has lost its current generation")]
#[case(
    "rm 'LINK-1-link'; ln -sfn LINK-9-link 'LINK'",
    "has lost its current generation"
)]
fn a_nix_env_that_takes_more_is_found_out(#[case] text: &str, #[case] words: &str) {
    with_each_nix(|nix| {
        let fakes = Fakes::new(nix);
        fakes.replace("nix-env", text);
        let error = fakes
            .cli()
            .remove_generation(&fakes.f.facts(1))
            .unwrap_err();
        assert!(chain(&error).contains(words), "{}", chain(&error));
    });
}

#[test]
fn a_switch_by_the_user_meanwhile_is_no_failure() {
    with_each_nix(|nix| {
        let fakes = Fakes::new(nix);
        fakes.replace(
            "nix-env",
            "'REAL' \"$@\"; 'REAL' -p 'LINK' --switch-generation 2",
        );
        fakes.cli().remove_generation(&fakes.f.facts(1)).unwrap();
    });
}

#[rstest]
// Nothing at all, a link without an entry, an entry without a link, a link that leads elsewhere.
#[case("exit 0", "created no link")]
#[case("ln -s \"$2\" \"$4\"", "no entry in gcroots/auto")]
#[case("ln -s \"$4\" \"$NIX_STATE_DIR/gcroots/auto/x\"", "created no link")]
#[case(
    "ln -s /elsewhere \"$4\"; ln -s \"$4\" \"$NIX_STATE_DIR/gcroots/auto/x\"",
    "points elsewhere"
)]
#[case("echo no >&2; exit 1", "status 1: no")]
fn a_hold_that_is_none_is_found_out(#[case] text: &str, #[case] words: &str) {
    with_each_nix(|nix| {
        let fakes = Fakes::new(nix);
        fakes.replace("nix-store", text);
        let path = fakes.f.path(1);
        let error = fakes.cli().hold(&path, &fakes.f.hold(0)).unwrap_err();
        assert!(chain(&error).contains(words), "{}", chain(&error));
    });
}

#[rstest]
#[case("echo no >&2; exit 1")]
#[case("exit 0")]
#[case("rm \"$4\"; ln -s /elsewhere \"$4\"")]
#[case("kill -9 $$")]
fn a_generation_that_cannot_be_put_back_leaves_no_half_of_it(#[case] text: &str) {
    with_each_nix(|nix| {
        let fakes = Fakes::new(nix);
        let (cli, facts) = (fakes.cli(), fakes.f.facts(1));
        cli.remove_generation(&facts).unwrap();
        // The entry of its first life would do for a root.
        let auto = fakes.f.scratch.state_dir().join("gcroots/auto");
        for entry in auto.read_dir_utf8().unwrap() {
            let entry = entry.unwrap().into_path();
            if entry.read_link_utf8().unwrap() == fakes.f.link(1) {
                fs::remove_file(entry).unwrap();
            }
        }
        fakes.replace("nix-store", text);
        assert!(
            cli.restore_generation(&facts, nix_prune::ports::RestoreMode::Fresh)
                .is_err()
        );
        let link = fakes.f.link(1);
        if text.contains("/elsewhere") {
            // What somebody else put there is not ours to remove.
            assert_eq!(link.read_link_utf8().unwrap(), "/elsewhere");
        } else {
            assert!(link.symlink_metadata().is_err());
        }
        assert!(!fakes.f.profile.dir().join("demo.lock").exists());
    });
}

#[rstest]
#[case("echo 'bash 5.2'", "cannot parse Nix version")]
#[case(
    "echo 'nix (Nix) 2.7.1'",
    "this is Nix 2.7.1, and the oldest supported version is 2.8"
)]
#[case("exit 3", "status 3")]
#[case("head -c 3000000 /dev/zero", "cannot parse Nix version")]
fn a_nix_that_is_too_old_or_none_cannot_be_used(#[case] text: &str, #[case] words: &str) {
    with_each_nix(|nix| {
        let fakes = Fakes::new(nix);
        fakes.replace("nix", text);
        let error = fakes.cli().nix_version().unwrap_err();
        assert!(matches!(error, PerformError::Unusable(_)), "{error:?}");
        let text = chain(&error);
        assert!(text.contains(words) && text.len() < 1000, "{text}");
    });
}

#[test]
fn a_program_that_is_missing_is_found_out_before_anything_is_done() {
    with_each_nix(|nix| {
        let fakes = Fakes::new(nix);
        fs::remove_file(fakes.bin.join("nix-store")).unwrap();
        let child_env = fakes.f.scratch.child_env().clone();
        let places = fakes.f.scratch.places();
        let interrupt = Arc::new(Flag::default());
        let error = NixCli::new(places, Some(&fakes.bin), child_env, interrupt);
        let error = error.err().unwrap();
        let text = chain(&error);
        assert!(text.contains("cannot find nix-store"), "{text}");
    });
}

#[rstest]
#[case("echo nonsense", Collected::default())]
#[case("printf '\\377\\000\\n'", Collected::default())]
#[case(
    "head -c 4000000 /dev/zero; echo; echo '7 store paths deleted, 1.0 KiB freed'",
    Collected { paths: Some(7), bytes: Some(nix_prune::domain::measure::Bytes(1024)) }
)]
#[case(
    "echo '7 store paths deleted, 1.0 KiB freed' >&2",
    Collected { paths: Some(7), bytes: Some(nix_prune::domain::measure::Bytes(1024)) }
)]
fn trap_28_what_a_collection_says_decides_nothing(#[case] text: &str, #[case] said: Collected) {
    with_each_nix(|nix| {
        let fakes = Fakes::new(nix);
        fakes.replace("nix-collect-garbage", text);
        assert_eq!(fakes.cli().collect().unwrap(), said);
    });
}

#[test]
fn trap_31_a_collection_that_fails_is_an_error_whatever_it_deleted() {
    with_each_nix(|nix| {
        let fakes = Fakes::new(nix);
        fakes.replace("nix-collect-garbage", "'REAL' \"$@\"; exit 1");
        let error = fakes.cli().collect().unwrap_err();
        assert!(matches!(error, PerformError::Nix { .. }), "{error:?}");
    });
}

#[test]
fn a_request_to_stop_ends_a_collection() {
    with_each_nix(|nix| {
        let fakes = Fakes::new(nix);
        let begun = fakes.f.scratch.base().join("begun");
        fakes.replace("nix-collect-garbage", &format!(": > '{begun}'; sleep 100"));
        let flag = Arc::new(Flag::default());
        let cli = fakes.cli_with(Arc::clone(&flag));
        std::thread::scope(|scope| {
            let collected = scope.spawn(|| cli.collect());
            wait_for("the collection to begin", || begun.exists());
            flag.0.store(true, Ordering::SeqCst);
            let error = collected.join().unwrap().unwrap_err();
            assert!(
                matches!(error, PerformError::Interrupted { .. }),
                "{error:?}"
            );
        });
    });
}

#[test]
fn nothing_is_begun_after_a_request_to_stop() {
    with_each_nix(|nix| {
        let fakes = Fakes::new(nix);
        let flag = Arc::new(Flag(true.into()));
        let cli = fakes.cli_with(flag);
        let before = listing(fakes.f.profile.dir());
        let error = cli.remove_generation(&fakes.f.facts(1)).unwrap_err();
        assert!(
            matches!(error, PerformError::Interrupted { .. }),
            "{error:?}"
        );
        assert_eq!(listing(fakes.f.profile.dir()), before);
    });
}

#[test]
fn the_environment_does_not_lead_nix_to_another_store() {
    with_each_nix(|nix| {
        let fakes = Fakes::new(nix);
        let seen = fakes.f.scratch.base().join("seen");
        fakes.replace("nix-collect-garbage", &format!("env > '{seen}'"));
        let child_env = [("NIX_STORE_DIR", "/elsewhere"), ("PATH", "/usr/bin:/bin")];
        let cli = NixCli::new(
            fakes.f.scratch.places(),
            Some(&fakes.bin),
            child_env.into_iter().collect(),
            Arc::new(Flag::default()),
        );
        cli.unwrap().collect().unwrap();
        let seen = fs::read_to_string(seen).unwrap();
        let store = format!("NIX_STORE_DIR={}", fakes.f.scratch.store());
        let state = format!("NIX_STATE_DIR={}", fakes.f.scratch.state_dir());
        for line in [store, state] {
            assert!(seen.lines().any(|seen| seen == line), "{seen}");
        }
        assert!(!seen.contains("/elsewhere"), "{seen}");
    });
}

/// Notes each call, and finds no daemon in the first so many.
fn no_daemon_at_first(fakes: &Fakes, times: usize, words: &str) {
    let calls = fakes.f.scratch.base().join("calls");
    let text = format!(
        "case \" $* \" in *--add-root*) echo x >>'{calls}';; *) exec 'REAL' \"$@\";; esac\n\
         if [ $(wc -l <'{calls}') -le {times} ]; then echo \"{words}\" >&2; exit 1; fi\nexec 'REAL' \"$@\""
    );
    fakes.replace("nix-store", &text);
}

#[rstest]
#[case::a_moment(
    2,
    "error: cannot connect to socket at '/x': Connection refused",
    3,
    true
)]
#[case::for_good(
    9,
    "error: cannot connect to socket at '/x': Connection refused",
    4,
    false
)]
#[case::another_reason(9, "error: no luck", 1, false)]
fn a_daemon_that_does_not_answer_is_tried_again_a_few_times(
    #[case] times: usize,
    #[case] words: &str,
    #[case] calls: usize,
    #[case] held: bool,
) {
    let Some(nix) = crate::support::nixes().last() else {
        return;
    };
    let fakes = Fakes::new(nix);
    no_daemon_at_first(&fakes, times, words);
    let hold = fakes.f.hold(1);
    let result = fakes.cli().hold(&fakes.f.path(1), &hold);
    assert_eq!(result.is_ok(), held, "{result:?}");
    let seen = fs::read_to_string(fakes.f.scratch.base().join("calls")).unwrap();
    assert_eq!(seen.lines().count(), calls);
    assert_eq!(hold.is_symlink(), held);
}

#[test]
fn a_daemon_that_was_waited_for_in_vain_is_not_waited_for_again() {
    let Some(nix) = crate::support::nixes().last() else {
        return;
    };
    let fakes = Fakes::new(nix);
    no_daemon_at_first(
        &fakes,
        99,
        "error: cannot connect to socket at '/x': Connection refused",
    );
    let cli = fakes.cli();
    for calls in [4, 5, 6] {
        cli.hold(&fakes.f.path(1), &fakes.f.hold(1)).unwrap_err();
        let seen = fs::read_to_string(fakes.f.scratch.base().join("calls")).unwrap();
        assert_eq!(seen.lines().count(), calls);
    }
}

#[test]
fn who_waits_for_a_daemon_can_be_stopped() {
    let Some(nix) = crate::support::nixes().last() else {
        return;
    };
    let fakes = Fakes::new(nix);
    let words = "error: cannot connect to socket at '/x': Connection refused";
    no_daemon_at_first(&fakes, 9, words);
    let stop = Arc::new(Flag::default());
    let cli = fakes.cli_with(Arc::clone(&stop));
    let calls = fakes.f.scratch.base().join("calls");
    let first_call = calls.clone();
    let asks = std::thread::spawn(move || {
        while fs::read_to_string(&first_call)
            .unwrap_or_default()
            .is_empty()
        {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        stop.0.store(true, Ordering::SeqCst);
    });
    let error = cli.hold(&fakes.f.path(1), &fakes.f.hold(1)).unwrap_err();
    asks.join().unwrap();
    assert!(chain(&error).contains("cannot connect") || chain(&error).contains("interrupted"));
    // Four without the stop; a second one may have begun on a slow machine.
    let seen = fs::read_to_string(calls).unwrap();
    assert!(seen.lines().count() <= 2, "{seen}");
}
