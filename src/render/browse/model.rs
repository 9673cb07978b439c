//! The state of the screen, and how inputs change it.

use super::draw;
use super::input::{Input, Key, Wheel};
use super::keys::Tab;
use super::list::{Grouping, List};
use super::marks::Marks;
use super::popup::Popup;
use super::rows;
use super::scene::Scene;
use super::typing::Typing;
use super::window::last_top_of_popup;
use crate::domain::graph::Weight;
use crate::domain::plan::{HoldFacts, Plan};
use crate::domain::profile::{GenerationNumber, ProfilePath};
use crate::render::table::View;

/// What the caller must do after an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Draw.
    Draw,
    /// Draw on a screen that was cleared.
    Redraw,
    /// Leave.
    Leave,
    /// Stop until the shell continues the program.
    Suspend,
    /// Carry out what is marked.
    Apply,
    /// Pin a generation, with a reason.
    Pin(ProfilePath, GenerationNumber, Option<String>),
    /// Remove the pin of a generation.
    Unpin(ProfilePath, GenerationNumber),
    /// Release a hold.
    Release(HoldFacts),
}

/// The size of the screen, and what it can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Columns.
    pub columns: u16,
    /// Lines.
    pub lines: u16,
    /// Whether it shows characters beyond ASCII.
    pub is_utf8: bool,
}

/// The state of the screen.
#[derive(Debug)]
pub struct Model {
    pub(super) scene: Scene,
    pub(super) view: View,
    pub(super) screen: Screen,
    pub(super) tab: Tab,
    lists: [List; Tab::ALL.len()],
    pub(super) marks: Marks,
    /// What each group of the tab frees beside what is marked; `None` once either has changed.
    added_by_groups: Option<Vec<Weight>>,
    pub(super) popup: Option<Popup>,
    /// The text that keys go into.
    pub(super) typing: Option<Typing>,
    /// What became of the last key; shown in place of the keys.
    pub(super) notice: Option<String>,
}

impl Model {
    /// The first screen: the overview, with what every run deletes marked.
    pub fn new(scene: Scene, view: View, screen: Screen) -> Self {
        let marks = Marks::new(&scene);
        Self {
            scene,
            view,
            screen,
            tab: Tab::Overview,
            lists: Default::default(),
            marks,
            added_by_groups: None,
            popup: None,
            typing: None,
            notice: None,
        }
    }

    /// Takes what was read anew, and says why.
    pub fn reload(&mut self, scene: Scene, notice: String) {
        self.marks = self.marks.carried_over(&self.scene, &scene);
        self.scene = scene;
        self.notice = Some(notice);
        for list in &mut self.lists {
            // Items and nodes have other numbers now.
            let empty = List {
                cursor: list.cursor,
                sort: list.sort,
                grouping: list.grouping,
                filter: std::mem::take(&mut list.filter),
                ..List::default()
            };
            *list = empty;
        }
        self.fill();
    }

    /// Says something in place of the keys.
    pub fn say(&mut self, notice: String) {
        self.notice = Some(notice);
    }

    /// Takes another size.
    pub fn resize(&mut self, screen: Screen) {
        self.screen = screen;
    }

    /// How many items are marked.
    pub fn count_of_marks(&self) -> usize {
        self.marks.count()
    }

    /// The plan that the marks are a part of.
    pub fn plan(&self) -> &Plan {
        &self.marks.way(&self.scene).plan
    }

    /// What is browsed.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Whether an item of the plan is marked.
    pub fn is_marked(&self, item: usize) -> bool {
        self.marks.is_marked(item)
    }

    /// Whether the dead paths are marked.
    pub fn are_dead_paths_marked(&self) -> bool {
        self.marks.are_dead_paths_marked()
    }

    /// Whether removed links are held as the job says.
    pub fn has_usual_window(&self) -> bool {
        self.marks.window() == super::marks::Window::Usual
    }

    pub(super) fn list(&self) -> &List {
        let [first, ..] = &self.lists;
        self.lists.get(self.tab.index()).unwrap_or(first)
    }

    pub(super) fn list_mut(&mut self) -> &mut List {
        let at = self.tab.index().min(self.lists.len() - 1);
        let [first, rest @ ..] = &mut self.lists;
        match at.checked_sub(1).and_then(|at| rest.get_mut(at)) {
            Some(list) => list,
            None => first,
        }
    }

    /// What stands before the name of a row below a heading.
    pub(super) fn indent(&self) -> &'static str {
        if self.list().headings.is_empty() {
            ""
        } else {
            "  "
        }
    }

    /// Makes the rows of the tab anew.
    pub(super) fn fill(&mut self) {
        let (rows, headings) = rows::build(&self.scene, self.tab, self.list());
        self.list_mut().replace(rows, headings);
        self.added_by_groups = None;
    }

    /// Forgets the figures that depend on the marks.
    pub(super) fn forget_figures(&mut self) {
        self.added_by_groups = None;
    }

    /// Computes the figures of the groups on the screen, if they are not known.
    pub(super) fn know_groups(&mut self) {
        if self.added_by_groups.is_none() {
            let headings = &self.list().headings;
            let added = self.marks.added_by(&self.scene, headings);
            self.added_by_groups = Some(added);
        }
    }

    /// What a group frees beside what is marked.
    pub(super) fn added_by_group(&self, group: usize) -> Weight {
        let added = self.added_by_groups.as_ref();
        let added = added.and_then(|added| added.get(group));
        added.copied().unwrap_or_default()
    }

    fn open(&mut self, tab: Tab) {
        self.tab = tab;
        self.forget_figures();
        if self.list().rows.is_empty() {
            self.fill();
        }
    }

    /// Changes the state by an input.
    pub fn update(&mut self, input: Input) -> Effect {
        self.notice = None;
        if self.popup.is_some() {
            return self.update_popup(input);
        }
        if let Some(typing) = self.typing.take() {
            return self.type_into(typing, input);
        }
        self.update_list(input)
    }

    pub(super) fn update_list(&mut self, input: Input) -> Effect {
        match input {
            Input::Key(key) => self.press(key),
            Input::Wheel(wheel) => self.move_by(lines_of(wheel)),
            Input::Click(column, line) => self.click(column, line, false),
            Input::DoubleClick(column, line) => self.click(column, line, true),
        }
    }

    fn press(&mut self, key: Key) -> Effect {
        let page = isize::try_from(draw::rows_height(self.screen)).unwrap_or(isize::MAX);
        match key {
            Key::Interrupt | Key::Char('q') => return Effect::Leave,
            Key::Esc => return self.escape(),
            Key::Suspend => return Effect::Suspend,
            Key::Redraw => return Effect::Redraw,
            Key::Char('x' | 'a') => return self.apply(),
            Key::Up | Key::Char('k') => return self.move_by(-1),
            Key::Down | Key::Char('j') => return self.move_by(1),
            Key::PageUp => return self.move_by(-page),
            Key::PageDown => return self.move_by(page),
            Key::Home => return self.move_by(isize::MIN),
            Key::End => return self.move_by(isize::MAX),
            Key::Tab | Key::Right | Key::Char('l') => self.open(self.tab.step(1)),
            Key::BackTab | Key::Left | Key::Char('h') => {
                self.open(self.tab.step(Tab::ALL.len() - 1));
            }
            Key::Char(digit @ '1'..='7') => {
                let at = digit.to_digit(10).unwrap_or(1) as usize - 1;
                self.open(Tab::Overview.step(at));
            }
            Key::Char(' ') => self.mark(),
            Key::Char('c') => {
                self.marks.clear(&self.scene);
                self.forget_figures();
            }
            Key::Char('u') => self.toggle_window(),
            Key::Char('/') if self.tab != Tab::Overview => self.typing = Some(Typing::Filter),
            Key::Char('s') => {
                self.list_mut().sort = self.list().sort.next();
                self.fill();
                self.notice = Some(format!("Sorted by {}.", self.list().sort.word()));
            }
            Key::Char('g') => {
                self.list_mut().grouping = self.list().grouping.next();
                self.fill();
                let words = match self.list().grouping {
                    Grouping::Usual => "Grouped by profile, kind or run.",
                    Grouping::Owner => "Grouped by owner.",
                    Grouping::Flat => "Not grouped.",
                };
                self.notice = Some(words.to_string());
            }
            Key::Enter | Key::Char('w') => self.show_why(),
            Key::Char('p') => return self.pin(),
            Key::Char('r') => self.ask_to_release(),
            Key::Char('?') => self.popup = Some(Popup::Help { top: 0 }),
            Key::Backspace | Key::Char(_) => {}
        }
        Effect::Draw
    }

    fn escape(&mut self) -> Effect {
        let list = self.list_mut();
        if list.filter.is_empty() && list.package.is_none() {
            return Effect::Leave;
        }
        if list.filter.is_empty() {
            list.package = None;
        }
        list.filter.clear();
        self.fill();
        Effect::Draw
    }

    fn update_popup(&mut self, input: Input) -> Effect {
        let page = isize::try_from(draw::rows_height(self.screen)).unwrap_or(isize::MAX);
        let popup = self.popup.take();
        if let Some(Popup::Question { effect, .. }) = popup {
            return if matches!(input, Input::Key(Key::Char('y' | 'Y'))) {
                effect
            } else {
                Effect::Draw
            };
        }
        let by = match input {
            Input::Key(Key::Interrupt) => return Effect::Leave,
            Input::Key(Key::Redraw) => 0,
            Input::Key(Key::Up | Key::Char('k')) => -1,
            Input::Key(Key::Down | Key::Char('j')) => 1,
            Input::Key(Key::PageUp) => -page,
            Input::Key(Key::PageDown | Key::Char(' ')) => page,
            Input::Key(Key::Home) => isize::MIN,
            Input::Key(Key::End) => isize::MAX,
            Input::Wheel(wheel) => lines_of(wheel),
            _ => return Effect::Draw,
        };
        self.popup = popup;
        let last = last_top_of_popup(self);
        if let Some(top) = self.popup.as_mut().and_then(Popup::top) {
            *top = top.saturating_add_signed(by).min(last);
        }
        Effect::Draw
    }

    pub(super) fn move_by(&mut self, rows: isize) -> Effect {
        if self.tab == Tab::Overview {
            let most = draw::last_top_of_overview(self);
            let list = self.list_mut();
            list.top = list.top.saturating_add_signed(rows).min(most);
        } else {
            let height = draw::rows_height(self.screen);
            let list = self.list_mut();
            list.step(rows);
            list.follow(height);
        }
        Effect::Draw
    }

    fn click(&mut self, column: u16, line: u16, is_double: bool) -> Effect {
        if let Some(tab) = draw::tab_at(self, column, line) {
            self.open(tab);
            return Effect::Draw;
        }
        let Some(row) = draw::row_at(self, line) else {
            return Effect::Draw;
        };
        self.list_mut().cursor = row;
        if is_double || draw::is_mark(column) {
            self.mark();
        }
        Effect::Draw
    }
}

fn lines_of(wheel: Wheel) -> isize {
    const LINES: isize = 3;
    match wheel {
        Wheel::Up => -LINES,
        Wheel::Down => LINES,
    }
}
