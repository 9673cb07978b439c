//! Rust source, read just well enough: comments and the contents of literals out of the way, paths spelled out.

/// One file of Rust.
pub(super) struct Source<'a> {
    /// Its path in the project, with slashes.
    pub(super) path: &'a str,
    /// The code, without comments and without the contents of literals.
    pub(super) tokens: Vec<Token>,
    /// The same without what only tests see; empty for a file of tests.
    pub(super) real_tokens: Vec<Token>,
}

/// A word, a literal or a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Word(String),
    Text(String),
    Sign(char),
}

impl Token {
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(w) if w == word)
    }

    pub(super) fn is_sign(&self, sign: char) -> bool {
        self.kind == Kind::Sign(sign)
    }

    pub(super) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A path such as `crate::domain::plan`, wherever it stands; `bang` for a macro's, `import` for one of `use`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CodePath {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
    pub(super) bang: bool,
    pub(super) import: bool,
}

impl CodePath {
    pub(super) fn begins(&self, with: &[&str]) -> bool {
        self.segments.len() >= with.len() && self.segments.iter().zip(with).all(|(a, b)| a == b)
    }

    /// Whether it takes all of a module that something forbidden lies in.
    pub(super) fn globs(&self, forbidden: &[&str]) -> bool {
        let Some((last, parents)) = self.segments.split_last() else {
            return false;
        };
        last == "*"
            && parents.len() <= forbidden.len()
            && parents.iter().zip(forbidden).all(|(a, b)| a == b)
    }

    pub(super) fn written(&self) -> String {
        self.segments.join("::") + if self.bang { "!" } else { "" }
    }
}

impl<'a> Source<'a> {
    pub(super) fn new(path: &'a str, text: &str) -> Self {
        let tokens = tokens(text);
        let only_tests = path.ends_with("/tests.rs") || path.contains("/tests/");
        let real_tokens = if only_tests {
            Vec::new()
        } else {
            without_tests(&tokens)
        };
        Self {
            path,
            tokens,
            real_tokens,
        }
    }

    /// `FILE:LINE: what`.
    pub(super) fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

/// Splits code into tokens; comments vanish.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let (kind, end) = next(&chars, at);
        tokens.extend(kind.map(|kind| Token { line, kind }));
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    tokens
}

/// The token at `at`, if it is one, and where the next one may begin.
fn next(chars: &[char], at: usize) -> (Option<Kind>, usize) {
    let see = |ahead: usize| chars.get(at + ahead).copied().unwrap_or('\0');
    match (see(0), see(1)) {
        ('/', '/') => (None, line_end(chars, at)),
        ('/', '*') => (None, comment_end(chars, at)),
        ('"', _) => quoted(chars, at + 1),
        ('b' | 'c', '"') => quoted(chars, at + 2),
        ('r', '"' | '#') => raw(chars, at + 1),
        ('b' | 'c', 'r') if matches!(see(2), '"' | '#') => raw(chars, at + 2),
        // A character, unless it is a lifetime: 'a' and '\n', but not 'a.
        ('\'', '\\') => {
            let end = (at + 3..chars.len()).find(|i| chars[*i] == '\'');
            (None, end.map_or(chars.len(), |i| i + 1))
        }
        ('\'', _) if see(2) == '\'' => (None, at + 3),
        (c, _) if c.is_alphanumeric() || c == '_' => {
            let part = |c: &char| c.is_alphanumeric() || *c == '_';
            let word: String = chars[at..].iter().take_while(|c| part(c)).collect();
            let end = at + word.chars().count();
            (Some(Kind::Word(word)), end)
        }
        (c, _) if c.is_whitespace() => (None, at + 1),
        (c, _) => (Some(Kind::Sign(c)), at + 1),
    }
}

fn line_end(chars: &[char], at: usize) -> usize {
    let end = (at..chars.len()).find(|i| chars[*i] == '\n');
    end.unwrap_or(chars.len())
}

/// Comments nest.
fn comment_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(chars: &[char], start: usize) -> (Option<Kind>, usize) {
    let mut at = start;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    let end = at.min(chars.len());
    let text = chars[start.min(end)..end].iter().collect();
    (Some(Kind::Text(text)), (end + 1).min(chars.len()))
}

/// A raw text, from behind its `r`; a raw word such as `r#type` is the word.
fn raw(chars: &[char], start: usize) -> (Option<Kind>, usize) {
    let hashes = chars[start..].iter().take_while(|c| **c == '#').count();
    let open = start + hashes;
    if chars.get(open) != Some(&'"') {
        return (None, open);
    }
    let closes =
        |i: &usize| chars[*i] == '"' && (1..=hashes).all(|n| chars.get(i + n) == Some(&'#'));
    let end = (open + 1..chars.len()).find(closes).unwrap_or(chars.len());
    let text = chars[(open + 1).min(end)..end].iter().collect();
    (Some(Kind::Text(text)), (end + 1 + hashes).min(chars.len()))
}

/// Leaves out every item that is there only for tests.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut real = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if let Some(end) = test_attribute(&tokens[at..]) {
            at = item_end(tokens, at + end);
        } else {
            real.push(tokens[at].clone());
            at += 1;
        }
    }
    real
}

/// The length of a `#[cfg(test)]` or `#[cfg(all(test, …))]` that stands here; `not` and `any` make no test.
fn test_attribute(tokens: &[Token]) -> Option<usize> {
    if !(tokens[0].is_sign('#') && tokens.get(1)?.is_sign('[')) {
        return None;
    }
    let end = tokens.iter().position(|t| t.is_sign(']'))?;
    let words: Vec<&str> = tokens[..end].iter().filter_map(Token::word).collect();
    let plain = words == ["cfg", "test"];
    let all = words.starts_with(&["cfg", "all"])
        && words.contains(&"test")
        && !words.contains(&"not")
        && !words.contains(&"any");
    (plain || all).then_some(end + 1)
}

/// Behind the `;` or the closing brace of the item at `at`.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    let (mut braces, mut others) = (0, 0);
    while at < tokens.len() {
        match tokens[at].kind {
            Kind::Sign('{') => braces += 1,
            Kind::Sign('}') => braces -= 1,
            Kind::Sign('(' | '[') => others += 1,
            Kind::Sign(')' | ']') => others -= 1,
            _ => {}
        }
        let closed = braces == 0 && others == 0;
        at += 1;
        if closed && (tokens[at - 1].is_sign('}') || tokens[at - 1].is_sign(';')) {
            break;
        }
    }
    at
}

/// Every path in the code, those of `use` trees spelled out.
pub(super) fn paths(tokens: &[Token]) -> Vec<CodePath> {
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        // `impl Trait + use<'a>` is no import.
        let import = !tokens.get(at + 1).is_some_and(|t| t.is_sign('<'));
        if tokens[at].is_word("use") && import {
            at = tree(tokens, at + 1, &[], &mut paths);
        } else if tokens[at].word().is_some() {
            at = plain(tokens, at, &mut paths);
        } else {
            at += 1;
        }
    }
    paths
}

fn colons(tokens: &[Token], at: usize) -> bool {
    let sign = |i: usize| tokens.get(i).is_some_and(|t| t.is_sign(':'));
    sign(at) && sign(at + 1)
}

/// A path outside `use`: words with `::` between.
fn plain(tokens: &[Token], mut at: usize, paths: &mut Vec<CodePath>) -> usize {
    let line = tokens[at].line;
    let mut segments = Vec::new();
    while let Some(word) = tokens.get(at).and_then(Token::word) {
        segments.push(word.to_string());
        at += 1;
        if !colons(tokens, at) {
            break;
        }
        at += 2;
    }
    let sign = |i: usize, sign| tokens.get(i).is_some_and(|t: &Token| t.is_sign(sign));
    let bang = sign(at, '!') && !sign(at + 1, '=');
    paths.push(CodePath {
        line,
        segments,
        bang,
        import: false,
    });
    at
}

/// One branch of a `use` tree, from behind its parents to behind it.
fn tree(tokens: &[Token], mut at: usize, above: &[String], paths: &mut Vec<CodePath>) -> usize {
    let mut segments = above.to_vec();
    let line = tokens.get(at).map_or(0, |t| t.line);
    while let Some(token) = tokens.get(at) {
        at += 1;
        match &token.kind {
            Kind::Word(word) if word == "as" => at += 1,
            Kind::Word(word) if word == "self" && !segments.is_empty() => {}
            Kind::Word(word) => segments.push(word.clone()),
            Kind::Sign('*') => segments.push("*".to_string()),
            Kind::Sign('{') => {
                while tokens
                    .get(at)
                    .is_some_and(|t| !t.is_sign('}') && !t.is_sign(';'))
                {
                    at = tree(tokens, at, &segments, paths);
                    at += usize::from(tokens.get(at).is_some_and(|t| t.is_sign(',')));
                }
                return at + 1;
            }
            Kind::Sign(',' | '}' | ';') => {
                at -= 1;
                break;
            }
            _ => {}
        }
    }
    if segments.len() > above.len() || !above.is_empty() {
        paths.push(CodePath {
            line,
            segments,
            bang: false,
            import: true,
        });
    }
    at
}
