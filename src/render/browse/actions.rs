//! What the keys do to the selected row and to the marks.

use super::keys::Tab;
use super::list::Row;
use super::model::{Effect, Model};
use super::popup::{self, Popup};
use super::typing::Typing;
use crate::domain::graph::NodeIdx;
use crate::domain::plan::{HoldFacts, Item, Subject};
use crate::domain::retention::Reason;
use crate::render::json;
use crate::render::table;

/// The most chains that are shown for a path.
const MAX_CHAINS: usize = 50;

impl Model {
    pub(super) fn mark(&mut self) {
        self.forget_figures();
        let list = self.list();
        let (can_be_removed, is_heading) = match list.selected() {
            Some(Row::Item(at)) => (self.marks.toggle(&[at], &self.scene), false),
            Some(Row::Heading(at)) => {
                let heading = list.headings.get(at);
                let items = heading.map_or(Vec::new(), |heading| heading.items.clone());
                (self.marks.toggle(&items, &self.scene), true)
            }
            Some(Row::DeadPaths) => (self.marks.toggle_dead_paths(&self.scene), false),
            Some(Row::Path(_)) if self.tab == Tab::DeadPaths => {
                let words = "A collection deletes all dead paths together; mark the first row.";
                self.notice = Some(words.to_string());
                return;
            }
            Some(Row::Root(_) | Row::Package(_) | Row::Path(_)) => (false, false),
            None => return,
        };
        if !can_be_removed {
            let words = match (self.tab, is_heading) {
                (Tab::Holds, false) => "Its undo window is open: r releases the hold.",
                (Tab::Packages, _) => {
                    "Packages are not removed themselves: Enter shows what keeps them."
                }
                (_, true) => "Nothing of this group can be removed.",
                (_, false) => "It cannot be removed; the lines above say why.",
            };
            self.notice = Some(words.to_string());
        } else if !is_heading {
            self.move_by(1);
        }
    }

    pub(super) fn toggle_window(&mut self) {
        self.forget_figures();
        let notice = if !self.marks.toggle_window(&self.scene) {
            let window = self.scene.usual.window;
            if window.is_zero() {
                "The job has no undo window: removals cannot be undone.".to_string()
            } else {
                format!("The policy of this machine requires an undo window of {window}.")
            }
        } else if self.has_usual_window() {
            let window = self.scene.usual.window;
            format!("Removals can be undone for {window}; their space is free after that.")
        } else {
            "No undo window: the space is free at once, and removals cannot be undone.".to_string()
        };
        self.notice = Some(notice);
    }

    pub(super) fn apply(&mut self) -> Effect {
        if self.marks.summary(&self.scene).marked > 0 {
            return Effect::Apply;
        }
        self.notice = Some("Nothing is marked.".to_string());
        Effect::Draw
    }

    /// The item of the selected row.
    pub(super) fn selected_item(&self) -> Option<&Item> {
        match self.list().selected()? {
            Row::Item(at) => self.scene.item(at),
            _ => None,
        }
    }

    /// The store path that the selected row is about.
    fn selected_node(&self) -> Option<NodeIdx> {
        match self.list().selected()? {
            Row::Item(at) => self.scene.node_of(self.scene.item(at)?),
            Row::Root(at) => Some(self.scene.root(at)?.node),
            Row::Path(node) => Some(node),
            Row::Heading(_) | Row::Package(_) | Row::DeadPaths => None,
        }
    }

    pub(super) fn show_why(&mut self) {
        if let Some(Row::Package(at)) = self.list().selected() {
            let node = self.scene.packages().get(at).map(|it| it.node);
            let list = self.list_mut();
            list.package = node;
            list.filter.clear();
            list.cursor = 0;
            self.fill();
            return;
        }
        match self.selected_node() {
            Some(node) => {
                let document = json::why(&self.scene.store, node, MAX_CHAINS);
                let document = Box::new(document);
                self.popup = Some(Popup::Why { document, top: 0 });
            }
            None => self.notice = Some("The row is about no valid store path.".to_string()),
        }
    }

    pub(super) fn pin(&mut self) -> Effect {
        let Some(Item {
            subject: Subject::Generation {
                profile, number, ..
            },
            decision,
            ..
        }) = self.selected_item()
        else {
            self.notice = Some("Only generations can be pinned.".to_string());
            return Effect::Draw;
        };
        let (profile, number) = (profile.clone(), *number);
        let is_pin = |reason: &Reason| matches!(reason, Reason::Pinned { .. });
        if decision.reasons().any(is_pin) {
            return Effect::Unpin(profile, number);
        }
        self.typing = Some(Typing::Reason {
            profile,
            number,
            text: String::new(),
        });
        Effect::Draw
    }

    pub(super) fn ask_to_release(&mut self) {
        let hold = self.selected_item().and_then(|it| self.scene.hold_of(it));
        let Some(hold) = hold else {
            self.notice = Some("Only holds can be released: see the tab Holds.".to_string());
            return;
        };
        let warning = (hold.until > self.view.now).then(|| table::open_windows(1));
        let text = popup::question_of_release(&self.scene.names().held(&hold.held), warning);
        let effect = Effect::Release(HoldFacts::from(hold));
        self.popup = Some(Popup::Question { effect, text });
    }
}
