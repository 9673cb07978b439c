//! The line of a shell script that `nix.gc.options` is, as far as people write it: words, quotes, and sums of sizes.

use super::ImportError;

/// The words of a line. Quotes are taken off; what the shell would compute stays in one word, as it is written.
pub(super) fn words(line: &str) -> Result<Vec<String>, ImportError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = line.trim();
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("$(") && quote != Some('\'') {
            let end = closed(rest).ok_or_else(|| only_a_shell('$'))?;
            let (sum, behind) = rest.split_at(end);
            word.get_or_insert_default().push_str(sum);
            rest = behind;
            continue;
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match (c, quote) {
            // The line goes on behind a backslash at its end.
            ('\\', None) if rest.starts_with('\n') => {
                rest = rest.get(1..).unwrap_or_default();
                words.extend(word.take());
            }
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            ('$' | '`' | '\\' | '\n', _) => return Err(only_a_shell(c)),
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (
                '|' | '&' | ';' | '<' | '>' | '(' | ')' | '{' | '}' | '*' | '?' | '[' | ']' | '#'
                | '~' | '!',
                None,
            ) => {
                return Err(only_a_shell(c));
            }
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(open) = quote {
        return Err(only_a_shell(open));
    }
    words.extend(word);
    Ok(words)
}

fn only_a_shell(sign: char) -> ImportError {
    let sign = sign.escape_default();
    ImportError::new(
        format!("the options have a `{sign}`, which only a shell can make sense of"),
        "Write the flags that come of it.",
    )
}

/// Where `$(…)` at the start of a text ends, quotes inside it looked through.
fn closed(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, c) in text.char_indices() {
        match (c, quote) {
            (c, Some(open)) => quote = Some(open).filter(|open| *open != c),
            ('\'' | '"', None) => quote = Some(c),
            ('(', None) => depth += 1,
            (')', None) => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// How much `--max-freed` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freed {
    /// So many bytes, none below zero.
    Bytes(u64),
    /// As many as are missing until so many bytes are free.
    UntilFree(u64),
}

/// Reads the value of `--max-freed`: a number with or without a unit, a sum of the shell, or such a sum less what `df`
/// says is free.
pub(super) fn freed(text: &str) -> Result<Freed, ImportError> {
    let wrong = || {
        ImportError::new(
            format!("`{text}` of --max-freed is not an amount that can be taken over"),
            "Write a size such as `64G`, a sum such as `$((64 * 1024**3))`, or a sum less the bytes that `df` says are free in /nix/store.",
        )
    };
    let sum = text.strip_prefix("$((").and_then(|t| t.strip_suffix("))"));
    let Some(sum) = sum else {
        return size(text).map(Freed::Bytes).ok_or_else(wrong);
    };
    let mut reader = Sum { rest: sum };
    let total = reader.total().filter(|_| reader.rest.trim().is_empty());
    let Linear { fixed, available } = total.ok_or_else(wrong)?;
    let bytes = || u64::try_from(fixed.max(0)).ok();
    match available {
        0 => bytes().map(Freed::Bytes).ok_or_else(wrong),
        -1024 => bytes().map(Freed::UntilFree).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

/// As Nix reads sizes of flags: bytes, or K, M, G or T for powers of 1024.
pub(super) fn size(text: &str) -> Option<u64> {
    let shift = match text.chars().last()?.to_ascii_uppercase() {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        _ => 0,
    };
    let digits = if shift == 0 {
        text
    } else {
        text.get(..text.len() - 1)?
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| plain)?;
    number.checked_mul(1 << shift)
}

/// A number of bytes, and how often the bytes that are free are added to it, in 1024ths: `df` counts units of 1024 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Linear {
    fixed: i128,
    available: i128,
}

impl Linear {
    const fn of(fixed: i128) -> Self {
        Self {
            fixed,
            available: 0,
        }
    }

    fn plus(self, other: Self, sign: i128) -> Option<Self> {
        Some(Self {
            fixed: self.fixed.checked_add(other.fixed.checked_mul(sign)?)?,
            available: self
                .available
                .checked_add(other.available.checked_mul(sign)?)?,
        })
    }

    /// Only one of the two may hang on what is free.
    fn times(self, other: Self) -> Option<Self> {
        let (one, by) = if other.available == 0 {
            (self, other.fixed)
        } else {
            (other, Some(self.fixed).filter(|_| self.available == 0)?)
        };
        Some(Self {
            fixed: one.fixed.checked_mul(by)?,
            available: one.available.checked_mul(by)?,
        })
    }

    fn power(self, exponent: Self) -> Option<Self> {
        let whole = self.available == 0 && exponent.available == 0;
        let exponent = u32::try_from(exponent.fixed).ok().filter(|_| whole)?;
        self.fixed.checked_pow(exponent).map(Self::of)
    }
}

/// Reads a sum of the shell: whole numbers, `+ - * **`, brackets, and `$(df …)`.
struct Sum<'t> {
    rest: &'t str,
}

impl Sum<'_> {
    fn takes(&mut self, sign: &str) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(sign) {
            // `**` is not `*`.
            Some(behind) if !(sign == "*" && behind.starts_with('*')) => {
                self.rest = behind;
                true
            }
            _ => false,
        }
    }

    fn total(&mut self) -> Option<Linear> {
        let mut total = self.product()?;
        loop {
            let sign = if self.takes("+") {
                1
            } else if self.takes("-") {
                -1
            } else {
                return Some(total);
            };
            total = total.plus(self.product()?, sign)?;
        }
    }

    fn product(&mut self) -> Option<Linear> {
        let mut product = self.power()?;
        while self.takes("*") {
            product = product.times(self.power()?)?;
        }
        Some(product)
    }

    fn power(&mut self) -> Option<Linear> {
        let base = self.single()?;
        if self.takes("**") {
            base.power(self.power()?)
        } else {
            Some(base)
        }
    }

    fn single(&mut self) -> Option<Linear> {
        if self.takes("(") {
            let total = self.total()?;
            return self.takes(")").then_some(total);
        }
        self.rest = self.rest.trim_start();
        if self.rest.starts_with("$(") {
            let end = closed(self.rest)?;
            let (command, behind) = self.rest.split_at(end);
            self.rest = behind;
            let command = command.strip_prefix("$(")?.strip_suffix(')')?;
            return bytes_of_df(command);
        }
        let end = self.rest.find(|c: char| !c.is_ascii_digit());
        let (digits, behind) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = behind;
        // To a shell a leading zero makes an octal number.
        let is_octal = digits.len() > 1 && digits.starts_with('0');
        digits.parse().ok().filter(|_| !is_octal).map(Linear::of)
    }
}

/// What is free on the file system of the store, as `df` counts it: in units of 1024 bytes, or in bytes.
///
/// The command is not run; only those forms are known of which it is certain what they print.
fn bytes_of_df(command: &str) -> Option<Linear> {
    let mut steps = command
        .split('|')
        .map(|step| step.split_whitespace().collect::<Vec<_>>());
    let df = steps.next()?;
    let (program, arguments) = df.split_first()?;
    let (mut is_column, mut is_store, mut available) = (false, false, 1);
    if name_of(program) != "df" {
        return None;
    }
    for argument in arguments {
        match *argument {
            "-P" | "-k" | "-Pk" | "-kP" | "-l" | "--sync" => {}
            "--output=avail" => is_column = true,
            "-B1" | "--block-size=1" => available = 1024,
            "/nix/store" | "/nix/store/" | "/nix" | "/nix/" => is_store = true,
            _ => return None,
        }
    }
    let (mut is_last, mut is_fourth) = (false, is_column);
    for step in steps {
        let (program, arguments) = step.split_first()?;
        let arguments: String = arguments.concat().replace(['\'', '"'], "");
        match (name_of(program), arguments.as_str()) {
            ("tail", "-n1" | "-1") => is_last = true,
            ("awk", "{print$4}") if !is_column => is_fourth = true,
            ("awk", "NR==2{print$4}") if !is_column => (is_last, is_fourth) = (true, true),
            ("tr", "-d") if is_column => {}
            _ => return None,
        }
    }
    (is_store && is_last && is_fourth).then_some(Linear {
        fixed: 0,
        available,
    })
}

fn name_of(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("", &[])]
    #[case("  -d --max-freed 5G\n", &["-d", "--max-freed", "5G"])]
    #[case("--max-freed \"$((1 * 2))\"", &["--max-freed", "$((1 * 2))"])]
    #[case("--max-freed $((64 * 1024**3))", &["--max-freed", "$((64 * 1024**3))"])]
    #[case("--a 'b c' \"\" d\"e\"", &["--a", "b c", "", "de"])]
    #[case("-d \\\n --quiet", &["-d", "--quiet"])]
    #[case("x$((1 + $(df | awk '{ print $4 )}')))y", &["x$((1 + $(df | awk '{ print $4 )}')))y"])]
    fn a_line_has_words(#[case] line: &str, #[case] expected: &[&str]) {
        assert_eq!(words(line).unwrap(), expected);
    }

    #[rstest]
    #[case("$DAYS")]
    #[case("a; b")]
    #[case("a\nb")]
    #[case("$((1")]
    #[case("'a")]
    #[case("a `b`")]
    #[case("${x}")]
    #[case("a | b")]
    fn other_lines_are_left_to_a_shell(#[case] line: &str) {
        let error = words(line).unwrap_err();
        assert!(error.message.contains("only a shell"), "{}", error.message);
    }

    const G: u64 = 1 << 30;

    #[rstest]
    #[case("5368709120", Freed::Bytes(5 * G))]
    #[case("64G", Freed::Bytes(64 * G))]
    #[case("1t", Freed::Bytes(1024 * G))]
    #[case("0", Freed::Bytes(0))]
    #[case("$((64 * 1024**3))", Freed::Bytes(64 * G))]
    #[case("$((10 * 1024 * 1024 * 1024))", Freed::Bytes(10 * G))]
    #[case("$(( (2+3) * 1024 ** 3 - 1024**3 ))", Freed::Bytes(4 * G))]
    #[case("$((1 - 2))", Freed::Bytes(0))]
    #[case("$((30 * 1024**3 - 1024 * $(df -P -k /nix/store | tail -n 1 | awk '{ print $4 }')))", Freed::UntilFree(30 * G))]
    #[case("$((30 * 1024**3 - 1024 * $(df -P -k /nix/store | tail -n 1 | /nix/store/x-gawk-5/bin/awk '{ print $4 }')))", Freed::UntilFree(30 * G))]
    #[case("$((200 * 1024**3 - 1024 * $(df /nix/store | tail -n 1 | awk '{ print $4 }')))", Freed::UntilFree(200 * G))]
    #[case("$((500 * 1024**3 - 1024 * $(df --output=avail /nix/store | tail -n 1)))", Freed::UntilFree(500 * G))]
    #[case("$((5368709120 - 1024 * $(df -k --output=avail /nix | tail -1)))", Freed::UntilFree(5 * G))]
    #[case("$((5 * 1024**3 - $(df -P -k /nix/store | awk 'NR==2 {print $4}') * 1024))", Freed::UntilFree(5 * G))]
    #[case("$(( ( 100 * 1024 * 1024 * 1024 ) - $( df --output=avail -B1 /nix/store | tail -1 ) ))", Freed::UntilFree(100 * G))]
    fn amounts_are_computed(#[case] text: &str, #[case] expected: Freed) {
        assert_eq!(freed(text).unwrap(), expected);
    }

    #[rstest]
    #[case("")]
    #[case("-5")]
    #[case("5X")]
    #[case("5.5G")]
    #[case("$((1 /))")]
    #[case("$((0100))")]
    #[case("$((2 ** 200))")]
    #[case("$((1 + ))")]
    #[case("$((5 * 1024**3 + 1024 * $(df /nix/store | tail -n 1 | awk '{ print $4 }')))")]
    #[case("$((5 * 1024**3 - 2048 * $(df /nix/store | tail -n 1 | awk '{ print $4 }')))")]
    #[case("$((5 * 1024**3 - $(df /nix/store | tail -n 1 | awk '{ print $4 }')))")]
    #[case("$((5 * 1024**3 - 1024 * $(df /nix/store | tail -n 1 | awk '{ print $3 }')))")]
    #[case("$((5 * 1024**3 - 1024 * $(df -B1 --output=avail /nix/store | tail -n 1)))")]
    #[case("$((5 * 1024**3 - $(df -k --output=avail /nix/store | tail -n 1)))")]
    #[case("$((5 * 1024**3 - 1024 * $(df -BG --output=avail /nix/store | tail -n 1)))")]
    #[case("$((5 * 1024**3 - 1024 * $(df --output=avail /home | tail -n 1)))")]
    #[case("$((5 * 1024**3 - 1024 * $(df -k /nix/store | tail -n 1)))")]
    #[case("$((5 * 1024**3 - 1024 * $(df --output=avail | tail -n 1)))")]
    #[case("$((5 * 1024**3 - 1024 * $(df --output=avail /nix/store)))")]
    #[case("$((5 * 1024**3 - 1024 * $(rm -rf /nix/store | tail -n 1)))")]
    fn other_amounts_are_not_guessed(#[case] text: &str) {
        assert!(freed(text).is_err(), "{text}");
    }
}
