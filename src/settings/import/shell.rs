//! Reads the line of shell script in `nix.gc.options`, as far as people write it: words, quotes, and sums of sizes.

use super::{ImportError, Result};
use crate::domain::budget::parse_size;

/// The words of a line, without quotes; a `$(…)` remains one word as it is written.
pub(super) fn words(line: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = line.trim();
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("$(") && quote != Some('\'') {
            let end = closing_bracket(rest).ok_or_else(|| only_a_shell('$'))?;
            let (sum, behind) = rest.split_at(end);
            word.get_or_insert_default().push_str(sum);
            rest = behind;
            continue;
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match (c, quote) {
            // A backslash at the end continues the line.
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
        format!("the options contain a `{sign}`, which only a shell can evaluate"),
        "Write the flags that the shell would pass.",
    )
}

/// Where `$(…)` at the start of a text ends; brackets in quotes do not count.
fn closing_bracket(text: &str) -> Option<usize> {
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

/// The limit of `--max-freed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freed {
    /// This many bytes.
    Bytes(u64),
    /// The bytes that are missing until this many are free.
    UntilFree(u64),
}

/// Reads the value of `--max-freed`: a number with or without a unit, a sum, or a sum minus the free space from `df`.
pub(super) fn freed(text: &str) -> Result<Freed> {
    let wrong = || {
        ImportError::new(
            format!("`{text}` of --max-freed is not an amount that can be imported"),
            "Write a size such as `64G`, a sum such as `$((64 * 1024**3))`, or a sum minus the free bytes that `df` prints for /nix/store.",
        )
    };
    let sum = text.strip_prefix("$((").and_then(|t| t.strip_suffix("))"));
    let Some(sum) = sum else {
        return size(text).map(Freed::Bytes).ok_or_else(wrong);
    };
    let total = |free| {
        let mut sum = Sum { rest: sum, free };
        sum.total()
            .filter(|_| sum.rest.trim().is_empty())
            .ok_or_else(wrong)
    };
    let bytes = total(0)?;
    let per_unit = total(1)? - bytes;
    // A straight line through four points.
    let is_line = total(2)? - bytes == 2 * per_unit && total(3)? - bytes == 3 * per_unit;
    let bytes = u64::try_from(bytes.max(0)).ok().filter(|_| is_line);
    match (bytes, per_unit) {
        (Some(bytes), 0) => Ok(Freed::Bytes(bytes)),
        (Some(bytes), -1024) => Ok(Freed::UntilFree(bytes)),
        _ => Err(wrong()),
    }
}

/// As Nix reads sizes of flags: bytes, or K, M, G or T for powers of 1024.
fn size(text: &str) -> Option<u64> {
    let number = text
        .strip_suffix(|unit| "KMGTkmgt".contains(unit))
        .unwrap_or(text);
    let unit = if number == text { "B" } else { "" };
    let is_plain = number.bytes().all(|b| b.is_ascii_digit());
    let size = parse_size(&format!("{text}{unit}"))
        .ok()
        .filter(|_| is_plain)?;
    Some(size.0)
}

/// A size as the settings take it.
pub(super) fn written(bytes: u64) -> String {
    let units = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    let fits = |(_, shift): &&(&str, u32)| bytes.trailing_zeros() >= *shift;
    match units.iter().find(fits) {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

/// Computes a sum of the shell: whole numbers, `+ - * **`, brackets, and `$(df …)`.
struct Sum<'t> {
    rest: &'t str,
    /// How many units of 1024 bytes are taken to be free.
    free: i128,
}

impl Sum<'_> {
    fn takes(&mut self, sign: &str) -> bool {
        let behind = self.rest.trim_start().strip_prefix(sign);
        // `**` is not `*`.
        let behind = behind.filter(|behind| !(sign == "*" && behind.starts_with('*')));
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    fn total(&mut self) -> Option<i128> {
        let mut total = self.product()?;
        loop {
            total = if self.takes("+") {
                total.checked_add(self.product()?)?
            } else if self.takes("-") {
                total.checked_sub(self.product()?)?
            } else {
                return Some(total);
            };
        }
    }

    fn product(&mut self) -> Option<i128> {
        let mut product = self.power()?;
        while self.takes("*") {
            product = product.checked_mul(self.power()?)?;
        }
        Some(product)
    }

    fn power(&mut self) -> Option<i128> {
        let base = self.single()?;
        if self.takes("**") {
            base.checked_pow(self.power()?.try_into().ok()?)
        } else {
            Some(base)
        }
    }

    fn single(&mut self) -> Option<i128> {
        if self.takes("(") {
            let total = self.total()?;
            return self.takes(")").then_some(total);
        }
        let text = self.rest.trim_start();
        if text.starts_with("$(") {
            let (command, behind) = text.split_at(closing_bracket(text)?);
            self.rest = behind;
            let scale = scale_of_df(command.strip_prefix("$(")?.strip_suffix(')')?)?;
            return self.free.checked_mul(scale);
        }
        let end = text.find(|c: char| !c.is_ascii_digit());
        let (digits, behind) = text.split_at(end.unwrap_or(text.len()));
        self.rest = behind;
        // To a shell a leading zero makes an octal number.
        let is_octal = digits.len() > 1 && digits.starts_with('0');
        digits.parse().ok().filter(|_| !is_octal)
    }
}

/// The number that `df` prints for 1024 free bytes on the file system of the store: 1, or 1024 if it counts bytes.
///
/// The command is not run; only forms are known of which it is certain what they print.
fn scale_of_df(command: &str) -> Option<i128> {
    let mut steps = command.split('|').map(|step| {
        let step = step.trim().replace(['\'', '"'], "");
        let (program, arguments) = step.split_once(' ').unwrap_or((&step, ""));
        let program = program.rsplit('/').next().unwrap_or_default();
        (program.to_string(), arguments.to_string())
    });
    let (_, arguments) = steps.next().filter(|(program, _)| program == "df")?;
    let (mut is_column, mut is_store, mut scale) = (false, false, 1);
    for argument in arguments.split_whitespace() {
        match argument {
            "-P" | "-k" | "-Pk" | "-kP" | "-l" | "--sync" => {}
            "--output=avail" => is_column = true,
            "-B1" | "--block-size=1" => scale = 1024,
            "/nix/store" | "/nix/store/" | "/nix" | "/nix/" => is_store = true,
            _ => return None,
        }
    }
    let (mut is_last, mut is_fourth) = (false, is_column);
    for (program, arguments) in steps {
        match (program.as_str(), arguments.replace(' ', "").as_str()) {
            ("tail", "-n1" | "-1") => is_last = true,
            ("awk", "{print$4}") if !is_column => is_fourth = true,
            ("awk", "NR==2{print$4}") if !is_column => (is_last, is_fourth) = (true, true),
            ("tr", "-d") if is_column => {}
            _ => return None,
        }
    }
    (is_store && is_last && is_fourth).then_some(scale)
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
    #[case(
        "$((5 * 1024**3 - 1024 * $(df -k --output=avail /nix | tail -1) * $(df -k --output=avail /nix | tail -1)))"
    )]
    #[case("$((5 * 1024**3 - 1024 * $(rm -rf /nix/store | tail -n 1)))")]
    fn other_amounts_are_not_guessed(#[case] text: &str) {
        assert!(freed(text).is_err(), "{text}");
    }
}
