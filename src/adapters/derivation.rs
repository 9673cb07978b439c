//! Parser for the outputs of a derivation file, which come first in it.

use std::io::{self, BufRead, BufReader, Read};

use camino::Utf8Path;

use super::files::open_to_read;
use crate::domain::store_path::{self, StoreDir, StorePath, StorePathRef};

/// As much is read at a time; most derivations are not longer.
const BLOCK: usize = 8 << 10;

/// The longest list of outputs that is read: some thousands.
const LIMIT: u64 = 1 << 20;

/// The longest name or path in it.
const TEXT: usize = 4096;

/// The outputs that a derivation has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outputs {
    /// The paths that it names; they need not be valid.
    pub paths: Vec<StorePath<String>>,
    /// How many outputs have a path that only their contents decide.
    pub floating: u64,
}

/// Why a file is not the file of a derivation.
#[derive(Debug, thiserror::Error)]
pub enum DerivationError {
    /// It could not be read, or ends too early.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// It says something else.
    #[error("it contains `{found}` where `{expected}` is expected")]
    Form {
        /// What should be there.
        expected: char,
        /// What is there.
        found: char,
    },
    /// A text in it is too long.
    #[error("it contains a string that is too long")]
    TooLong,
    /// An output is not in the store.
    #[error("it has the output `{0}`")]
    Path(String, #[source] store_path::Error),
}

/// Reads what outputs the derivation in `file` has.
///
/// # Errors
/// When it cannot be read, or is not the file of a derivation.
pub fn read_outputs(file: &Utf8Path, store: &StoreDir) -> Result<Outputs, DerivationError> {
    let opened = open_to_read(file)?.take(LIMIT);
    outputs(BufReader::with_capacity(BLOCK, opened), store)
}

/// Reads the outputs of a derivation from its text.
///
/// # Errors
/// As [`read_outputs`].
pub fn outputs(text: impl BufRead, store: &StoreDir) -> Result<Outputs, DerivationError> {
    let mut text = Text(text);
    let mut outputs = Outputs::default();
    // Later versions write one of theirs before the outputs: `DrvWithVersion("xp-dyn-drv",[…`.
    text.skip("D")?;
    if text.next()? == b'e' {
        text.skip("rive(")?;
    } else {
        text.skip("vWithVersion(")?;
        text.quoted()?;
        text.skip(",")?;
    }
    text.skip("[")?;
    loop {
        match text.next()? {
            b']' => return Ok(outputs),
            b',' => text.skip("(")?,
            b'(' => {}
            other => return Err(unexpected(b']', other)),
        }
        text.quoted()?;
        text.skip(",")?;
        let path = text.quoted()?;
        for _ in 0..2 {
            text.skip(",")?;
            text.quoted()?;
        }
        text.skip(")")?;
        if path.is_empty() {
            outputs.floating += 1;
            continue;
        }
        match StorePathRef::from_absolute_path(Utf8Path::new(&path), store) {
            Ok(path) => outputs.paths.push(path.to_owned()),
            Err(error) => {
                return Err(DerivationError::Path(
                    path.escape_debug().to_string(),
                    error,
                ));
            }
        }
    }
}

fn unexpected(expected: u8, found: u8) -> DerivationError {
    DerivationError::Form {
        expected: char::from(expected),
        found: char::from(found),
    }
}

struct Text<R>(R);

impl<R: BufRead> Text<R> {
    fn next(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.0.read_exact(&mut byte)?;
        let [byte] = byte;
        Ok(byte)
    }

    fn skip(&mut self, expected: &str) -> Result<(), DerivationError> {
        for expected in expected.bytes() {
            let found = self.next()?;
            if found != expected {
                return Err(unexpected(expected, found));
            }
        }
        Ok(())
    }

    /// A text in quotes. What has a backslash before it stands for itself here: no store path has such.
    fn quoted(&mut self) -> Result<String, DerivationError> {
        self.skip("\"")?;
        let mut text = Vec::new();
        loop {
            match self.next()? {
                b'"' => return Ok(String::from_utf8_lossy(&text).into_owned()),
                b'\\' => text.push(self.next()?),
                byte => text.push(byte),
            }
            if text.len() > TEXT {
                return Err(DerivationError::TooLong);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const A: &str = "/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-a";
    const B: &str = "/nix/store/11bgd045z0d4icpbc2yyz4gx48ak44la-a-dev";

    fn read(text: &str) -> Result<Outputs, DerivationError> {
        let store = StoreDir::new("/nix/store".into()).unwrap();
        let text = text.replace("{A}", A).replace("{B}", B);
        outputs(text.as_bytes(), &store)
    }

    #[rstest]
    #[case::one(r#"Derive([("out","{A}","","")],[("x"#, &[A], 0)]
    #[case::two(r#"Derive([("dev","{B}","",""),("out","{A}","","")],[],"#, &[B, A], 0)]
    #[case::fixed(r#"Derive([("out","{A}","r:sha256","00ff")],"#, &[A], 0)]
    #[case::floating(r#"Derive([("dev","","r:sha256",""),("out","{A}","","")],"#, &[A], 1)]
    #[case::escaped(r#"Derive([("o\"u\\t","{A}","","")],"#, &[A], 0)]
    #[case::versioned(r#"DrvWithVersion("xp-dyn-drv",[("out","{A}","","")],"#, &[A], 0)]
    #[case::none("Derive([],", &[], 0)]
    fn outputs_are_read(#[case] text: &str, #[case] paths: &[&str], #[case] floating: u64) {
        let outputs = read(text).unwrap();
        let store = StoreDir::new("/nix/store".into()).unwrap();
        let absolute = |path: &StorePath<String>| path.to_absolute_path(&store).into_string();
        let found: Vec<String> = outputs.paths.iter().map(absolute).collect();
        assert_eq!(found, paths);
        assert_eq!(outputs.floating, floating);
    }

    #[rstest]
    #[case("")]
    #[case("Derive(")]
    #[case(r#"Derive([("out","{A}","","")"#)]
    #[case(r#"Derive([("out","{A}","")],"#)]
    #[case(r#"Derive([("out","/elsewhere/a","","")],"#)]
    #[case(r#"Derive([("out","{A}/bin","","")],"#)]
    #[case(r#"[("out","{A}","","")],"#)]
    #[case("\u{7f}ELF")]
    fn other_texts_are_errors(#[case] text: &str) {
        assert!(read(text).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_us_panic(text in "(\\PC|\n){0,200}") {
            let _ = read(&text);
            let _ = read(&format!("Derive([(\"{text}"));
        }
    }

    #[test]
    fn a_text_without_an_end_is_not_read_for_ever() {
        let endless = io::repeat(b'x').take(1 << 30);
        let start = io::Cursor::new(b"Derive([(\"".to_vec()).chain(endless);
        let store = StoreDir::new("/nix/store".into()).unwrap();
        let error = outputs(BufReader::new(start), &store).unwrap_err();
        assert!(matches!(error, DerivationError::TooLong));
    }
}
