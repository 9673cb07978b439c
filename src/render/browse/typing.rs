//! Text that is typed on the bottom line: a filter, or the reason of a pin.

use super::input::{Input, Key};
use super::model::{Effect, Model};
use crate::domain::profile::{GenerationNumber, ProfilePath};
use crate::render::text::escape;

/// What is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typing {
    /// The filter of the list.
    Filter,
    /// Why a generation is pinned.
    Reason {
        profile: ProfilePath,
        number: GenerationNumber,
        text: String,
    },
}

impl Typing {
    /// The bottom line. Of a text that is too long the end is shown, where the next key goes.
    pub(super) fn line(&self, model: &Model, columns: usize) -> String {
        match self {
            Self::Filter => format!(" /{}_", escape(&model.list().filter)),
            Self::Reason {
                profile,
                number,
                text,
            } => {
                let profile = escape(&model.scene.names().of(profile));
                let question =
                    format!(" Reason to pin {profile}:{number} (Enter pins, Esc does not): ");
                let shown = escape(text);
                let space = columns.saturating_sub(question.chars().count() + 1);
                let skip = shown.chars().count().saturating_sub(space);
                let end: String = shown.chars().skip(skip).collect();
                format!("\x1b[1m{question}\x1b[0m{end}_")
            }
        }
    }
}

impl Model {
    /// Takes an input while a text is typed.
    pub(super) fn type_into(&mut self, typing: Typing, input: Input) -> Effect {
        match (typing, input) {
            (typing, Input::Key(Key::Redraw)) => {
                self.typing = Some(typing);
                Effect::Redraw
            }
            (Typing::Filter, Input::Key(key)) => self.type_filter(key),
            (Typing::Filter, input) => {
                self.typing = Some(Typing::Filter);
                self.update_list(input)
            }
            (
                Typing::Reason {
                    profile,
                    number,
                    mut text,
                },
                input,
            ) => {
                match input {
                    Input::Key(Key::Char(c)) => text.push(c),
                    Input::Key(Key::Backspace) => _ = text.pop(),
                    Input::Key(Key::Enter) => {
                        let reason = text.trim();
                        let reason = (!reason.is_empty()).then(|| reason.to_string());
                        return Effect::Pin(profile, number, reason);
                    }
                    Input::Key(Key::Esc | Key::Interrupt) => {
                        self.say("Not pinned.".to_string());
                        return Effect::Draw;
                    }
                    _ => {}
                }
                self.typing = Some(Typing::Reason {
                    profile,
                    number,
                    text,
                });
                Effect::Draw
            }
        }
    }

    fn type_filter(&mut self, key: Key) -> Effect {
        let list = self.list_mut();
        let is_done = match key {
            Key::Char(c) => {
                list.filter.push(c);
                false
            }
            Key::Backspace => {
                list.filter.pop();
                false
            }
            Key::Esc | Key::Interrupt => {
                list.filter.clear();
                true
            }
            _ => true,
        };
        list.cursor = 0;
        self.typing = (!is_done).then_some(Typing::Filter);
        self.fill();
        Effect::Draw
    }
}
