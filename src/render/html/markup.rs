//! HTML in which only text of this crate is markup.

use crate::domain::measure::{Bytes, Timestamp};
use crate::render::table::View;
use crate::render::text::{capital, escape};

/// A piece of a page. Markup is `'static`, so that a text from outside cannot become markup by a slip.
#[derive(Debug, Default)]
pub(super) struct Html {
    text: String,
}

impl Html {
    /// Adds markup.
    pub(super) fn own(&mut self, markup: &'static str) -> &mut Self {
        self.text.push_str(markup);
        self
    }

    /// Adds text. Characters that hide or reorder it become visible.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for c in escape(text).chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\'' => self.text.push_str("&#39;"),
                c => self.text.push(c),
            }
        }
        self
    }

    /// Adds an attribute behind the name of a tag.
    pub(super) fn attribute(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.own(" ").own(name).own("=\"").text(value).own("\"")
    }

    /// Adds a paragraph.
    pub(super) fn paragraph(&mut self, text: &str) -> &mut Self {
        self.own("<p>").prose(text).own("</p>\n")
    }

    /// Adds text whose commands, between backquotes, are set off.
    pub(super) fn prose(&mut self, text: &str) -> &mut Self {
        for (n, part) in text.split('`').enumerate() {
            match n % 2 {
                0 => self.text(part),
                _ => self.own("<code>").text(part).own("</code>"),
            };
        }
        self
    }

    /// Adds the sentences of a list, each with a capital letter.
    pub(super) fn list<'a>(&mut self, sentences: impl Iterator<Item = &'a str>) -> &mut Self {
        self.own("<ul>\n");
        for sentence in sentences {
            self.own("<li>").prose(&capital(sentence)).own("</li>\n");
        }
        self.own("</ul>\n")
    }

    /// Adds a JSON text as the content of a script element: no character in it can end the element.
    pub(super) fn json(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '<' => self.text.push_str("\\u003c"),
                '>' => self.text.push_str("\\u003e"),
                '&' => self.text.push_str("\\u0026"),
                c => self.text.push(c),
            }
        }
        self
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// A longer name gets a wide column.
const LONG_BYTES: usize = 28;

/// A cell of a table.
#[derive(Debug)]
pub(super) enum Cell {
    /// Words.
    Text(String),
    /// A name or path, as it is written.
    Name(String),
    /// A size; empty where it is not known.
    Size(Option<Bytes>),
    /// A number.
    Count(u64),
    /// A point in time; empty where it is not known.
    Time(Option<Timestamp>),
}

impl Cell {
    fn is_number(&self) -> bool {
        matches!(self, Self::Size(_) | Self::Count(_))
    }

    fn write(&self, view: &View, html: &mut Html) {
        match self {
            Self::Text(text) => html.text(text),
            Self::Name(name) => {
                let is_long = name.len() > LONG_BYTES;
                html.own(if is_long {
                    "<code class=\"long\">"
                } else {
                    "<code class=\"short\">"
                });
                html.text(name).own("</code>")
            }
            Self::Count(number) => html.text(&number.to_string()),
            Self::Size(Some(bytes)) => html
                .own("<data")
                .attribute("value", &bytes.0.to_string())
                .own(">")
                .text(&bytes.to_string())
                .own("</data>"),
            Self::Time(Some(at)) => html
                .own("<time")
                .attribute("datetime", &at.to_string())
                .own(">")
                .text(&view.time(*at))
                .own("</time>"),
            Self::Size(None) | Self::Time(None) => html,
        };
    }
}

/// A table whose first column names the row.
pub(super) struct Table<'a> {
    /// Its name in the page.
    pub(super) id: &'a str,
    /// What it shows.
    pub(super) caption: &'a str,
    /// The headings of the columns.
    pub(super) columns: &'a [&'static str],
    /// The rows.
    pub(super) rows: Vec<Vec<Cell>>,
    /// Number of rows that are left out.
    pub(super) more: u64,
}

impl Table<'_> {
    /// Adds the table, which scrolls in a box of its own.
    pub(super) fn write(&self, view: &View, html: &mut Html) {
        html.own("<div class=\"scroll\" role=\"region\" tabindex=\"0\"")
            .attribute("aria-label", self.caption)
            .own(">\n<table")
            .attribute("id", self.id)
            .own("><caption>")
            .text(self.caption)
            .own("</caption>\n<thead><tr>");
        let is_number = |column: usize| {
            let first = self.rows.first().and_then(|row| row.get(column));
            first.is_some_and(Cell::is_number)
        };
        for (n, column) in self.columns.iter().enumerate() {
            let tag = if is_number(n) {
                "<th scope=\"col\" class=\"number\">"
            } else {
                "<th scope=\"col\">"
            };
            html.own(tag).own(column).own("</th>");
        }
        html.own("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            html.own("<tr>");
            for (n, cell) in row.iter().enumerate() {
                let (open, close) = match (n, cell.is_number()) {
                    (0, _) => ("<th scope=\"row\">", "</th>"),
                    (_, true) => ("<td class=\"number\">", "</td>"),
                    (_, false) => ("<td>", "</td>"),
                };
                html.own(open);
                cell.write(view, html);
                html.own(close);
            }
            html.own("</tr>\n");
        }
        html.own("</tbody></table>\n</div>\n");
        if self.more > 0 {
            html.paragraph(&format!("… and {} more.", self.more));
        }
    }

    /// Adds the table behind a line that opens it.
    pub(super) fn write_folded(&self, view: &View, html: &mut Html) {
        html.own("<details><summary>Table: ")
            .text(self.caption)
            .own("</summary>\n");
        self.write(view, html);
        html.own("</details>\n");
    }
}
