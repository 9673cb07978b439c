//! Store paths: `<32 characters of Nix's base 32>-<name>`.
//!
//! This file keeps the shape of `nix_compat::store_path` (which is not on the registry yet), so that the real
//! crate can take its place; the additions are [`StoreDir`], because a store need not be at `/nix/store`, and [`StorePath::of_source`].

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The number of bytes of the digest in a store path.
pub const DIGEST_SIZE: usize = 20;
/// The number of characters that encode the digest.
pub const ENCODED_DIGEST_SIZE: usize = 32;
/// The number of bytes of a NAR hash.
pub const NAR_HASH_SIZE: usize = 32;
/// The longest name that Nix accepts, in bytes.
pub const MAX_NAME_LEN: usize = 211;

const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// Why a text is not a store path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is too short to hold a digest, a dash and a name.
    #[error("a store path has 32 characters, a dash and a name; this has {0} bytes")]
    TooShort(usize),
    /// There is no dash behind the digest.
    #[error("there is no dash behind the 32 characters of the hash")]
    MissingDash,
    /// The digest has a character outside Nix's base 32, or encodes more than 160 bits.
    #[error("the hash is not Nix's base 32")]
    InvalidHashEncoding,
    /// The name is empty, too long, or has a character that Nix refuses.
    #[error("the name is empty, longer than 211 bytes or has a character that Nix does not allow")]
    InvalidName,
    /// The path does not lie in the store directory.
    #[error("the path is not in the store directory {0}")]
    MissingStoreDir(StoreDir),
}

/// The base name of a store path, checked; `S` is how the name is owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, schemars::JsonSchema)]
#[schemars(with = "String", rename = "StorePath")]
pub struct StorePath<S> {
    digest: [u8; DIGEST_SIZE],
    name: S,
}

/// A store path that borrows its name.
pub type StorePathRef<'a> = StorePath<&'a str>;

impl<S: AsRef<str>> StorePath<S> {
    /// The 160 bits of the digest.
    pub fn digest(&self) -> &[u8; DIGEST_SIZE] {
        &self.digest
    }

    /// The name behind the dash.
    pub fn name(&self) -> &str {
        self.name.as_ref()
    }

    /// Whether it is a derivation: if asked to realise it, Nix would build what it describes.
    pub fn is_derivation(&self) -> bool {
        self.name().strip_suffix(".drv").is_some()
    }

    /// The same path with a borrowed name.
    pub fn as_ref(&self) -> StorePathRef<'_> {
        StorePath {
            digest: self.digest,
            name: self.name.as_ref(),
        }
    }

    /// The same path with a name of its own.
    pub fn to_owned(&self) -> StorePath<String> {
        StorePath {
            digest: self.digest,
            name: self.name().to_string(),
        }
    }

    /// The absolute path in `store`.
    pub fn to_absolute_path(&self, store: &StoreDir) -> Utf8PathBuf {
        store.as_path().join(self.to_string())
    }
}

impl<'a> StorePathRef<'a> {
    /// Parses a base name.
    ///
    /// # Errors
    /// Says which rule of store path names it breaks.
    pub fn from_base_name(text: &'a str) -> Result<Self, Error> {
        if text.len() < ENCODED_DIGEST_SIZE + 2 {
            return Err(Error::TooShort(text.len()));
        }
        let (hash, rest) = text
            .split_at_checked(ENCODED_DIGEST_SIZE)
            .ok_or(Error::InvalidHashEncoding)?;
        let digest = decode_digest(hash).ok_or(Error::InvalidHashEncoding)?;
        let name = rest.strip_prefix('-').ok_or(Error::MissingDash)?;
        if !is_valid_name(name) {
            return Err(Error::InvalidName);
        }
        Ok(StorePath { digest, name })
    }

    /// Parses an absolute path that is a direct child of `store`.
    ///
    /// # Errors
    /// As [`StorePath::from_base_name`], or that the path lies elsewhere.
    pub fn from_absolute_path(path: &'a Utf8Path, store: &StoreDir) -> Result<Self, Error> {
        let (base, rest) = store.split(path)?;
        if rest.as_str().is_empty() {
            Self::from_base_name(base)
        } else {
            Err(Error::InvalidName)
        }
    }

    /// Parses an absolute path in or below a store path: the store path and what lies below it.
    ///
    /// # Errors
    /// As [`StorePath::from_absolute_path`].
    pub fn from_absolute_path_full(
        path: &'a Utf8Path,
        store: &StoreDir,
    ) -> Result<(Self, &'a Utf8Path), Error> {
        let (base, rest) = store.split(path)?;
        Ok((Self::from_base_name(base)?, rest))
    }
}

impl StorePath<String> {
    /// The path of a source tree: of a fixed output of this name that is hashed recursively with SHA-256, as Nix's fetchers
    /// make it (`makeFixedOutputPath`).
    ///
    /// # Errors
    /// When Nix allows no such name.
    pub fn of_source(
        name: &str,
        nar_hash: &[u8; NAR_HASH_SIZE],
        store: &StoreDir,
    ) -> Result<Self, Error> {
        if !is_valid_name(name) {
            return Err(Error::InvalidName);
        }
        let hex = nar_hash.iter().map(|byte| format!("{byte:02x}"));
        let hex: String = hex.collect();
        let full = Sha256::digest(format!("source:sha256:{hex}:{store}:{name}"));
        // Nix folds the digest to 160 bits.
        let mut digest = [0; DIGEST_SIZE];
        for part in full.chunks(DIGEST_SIZE) {
            for (folded, byte) in digest.iter_mut().zip(part) {
                *folded ^= byte;
            }
        }
        Ok(Self {
            digest,
            name: name.to_string(),
        })
    }
}

impl<S: AsRef<str>> fmt::Display for StorePath<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_digest(&self.digest))?;
        write!(f, "-{}", self.name())
    }
}

impl<S: AsRef<str>> Serialize for StorePath<S> {
    fn serialize<T: Serializer>(&self, to: T) -> Result<T::Ok, T::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StorePath<String> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        StorePathRef::from_base_name(&text)
            .map(|path| path.to_owned())
            .map_err(serde::de::Error::custom)
    }
}

/// The store directory, `/nix/store` unless `NIX_STORE_DIR` says otherwise: absolute, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[derive(schemars::JsonSchema)]
#[schemars(with = "String")]
pub struct StoreDir(Utf8PathBuf);

impl StoreDir {
    /// Takes an absolute path; slashes at its end and doubled ones do not count.
    ///
    /// # Errors
    /// Gives the path back when it is not absolute.
    pub fn new(path: &Utf8Path) -> Result<Self, Utf8PathBuf> {
        if path.is_absolute() {
            Ok(Self(path.components().collect()))
        } else {
            Err(path.to_path_buf())
        }
    }

    /// The directory.
    pub fn as_path(&self) -> &Utf8Path {
        &self.0
    }

    /// What every path in it begins with: the directory and a slash.
    pub fn prefix(&self) -> String {
        format!("{}/", self.0.as_str().trim_end_matches('/'))
    }

    /// Splits a path into its first component below the store and the rest, as Nix's `toStorePath` does: by text,
    /// without looking at the file system, because that is how the collector recognises a root.
    fn split<'a>(&self, path: &'a Utf8Path) -> Result<(&'a str, &'a Utf8Path), Error> {
        let outside = || Error::MissingStoreDir(self.clone());
        let below = path.strip_prefix(&self.0).map_err(|_| outside())?;
        let mut parts = below.components();
        let first = parts.next().ok_or_else(outside)?;
        Ok((first.as_str(), parts.as_path()))
    }
}

impl fmt::Display for StoreDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Nix's rules for names: `[A-Za-z0-9+._?=-]`, 1 to 211 bytes, not `.`, `..` nor either with a dash behind it.
fn is_valid_name(name: &str) -> bool {
    let dots = |prefix: &str| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    !name.is_empty()
        && name.len() <= MAX_NAME_LEN
        && !dots(".")
        && !dots("..")
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-._?=".contains(&b))
}

/// Decodes 32 characters of Nix's base 32, whose first character holds the highest bits.
fn decode_digest(text: &str) -> Option<[u8; DIGEST_SIZE]> {
    let mut digest = [0u8; DIGEST_SIZE];
    for (n, char) in text.bytes().rev().enumerate() {
        let value = u16::from(place_of(char)?);
        let (byte, shift) = (n * 5 / 8, n * 5 % 8);
        let [low, high] = (value << shift).to_le_bytes();
        *digest.get_mut(byte)? |= low;
        // 32 characters are exactly 160 bits: there is nothing to carry out of the last byte.
        if let Some(next) = digest.get_mut(byte + 1) {
            *next |= high;
        }
    }
    Some(digest)
}

/// The place of a character in the alphabet, without a search: names are decoded by the hundred thousand.
fn place_of(char: u8) -> Option<u8> {
    Some(match char {
        b'0'..=b'9' => char - b'0',
        b'a'..=b'd' => char - b'a' + 10,
        b'f'..=b'n' => char - b'f' + 14,
        b'p'..=b's' => char - b'p' + 23,
        b'v'..=b'z' => char - b'v' + 27,
        _ => return None,
    })
}

fn encode_digest(digest: &[u8; DIGEST_SIZE]) -> String {
    let byte = |i: usize| digest.get(i).copied().unwrap_or(0);
    (0..ENCODED_DIGEST_SIZE)
        .rev()
        .map(|n| {
            let (at, shift) = (n * 5 / 8, n * 5 % 8);
            let value = u16::from_le_bytes([byte(at), byte(at + 1)]) >> shift & 0x1f;
            char::from(ALPHABET.get(usize::from(value)).copied().unwrap_or(b'0'))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HASH: &str = "00bgd045z0d4icpbc2yyz4gx48ak44la";

    #[test]
    fn a_character_is_known_by_its_place_in_the_alphabet() {
        for char in 0..=u8::MAX {
            let place = ALPHABET.iter().position(|&c| c == char);
            assert_eq!(place_of(char).map(usize::from), place);
        }
    }

    #[rstest]
    #[case("00bgd045z0d4icpbc2yyz4gx48ak44la-net-tools-1.60_p20170221182432")]
    #[case("00bgd045z0d4icpbc2yyz4gx48ak44la-.gitignore")]
    #[case("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz-a?b=c+d")]
    #[case("00000000000000000000000000000000-...")]
    fn valid_names_come_back_as_they_were(#[case] text: &str) {
        assert_eq!(
            StorePathRef::from_base_name(text).unwrap().to_string(),
            text
        );
    }

    #[rstest]
    #[case("", Error::TooShort(0))]
    #[case("00bgd045z0d4icpbc2yyz4gx48ak44la-", Error::TooShort(33))]
    #[case("00bgd045z0d4icpbc2yyz4gx48ak44lae-x", Error::MissingDash)]
    #[case("00bgd045z0d4icpbc2yyz4gx48ak44l-xy", Error::InvalidHashEncoding)]
    #[case("e0bgd045z0d4icpbc2yyz4gx48ak44la-x", Error::InvalidHashEncoding)]
    #[case("00BGD045z0d4icpbc2yyz4gx48ak44la-x", Error::InvalidHashEncoding)]
    #[case("00bgd045z0d4icpbc2yyz4gx48ak44lä-x", Error::InvalidHashEncoding)]
    #[case("00bgd045z0d4icpbc2yyz4gx48ak44la-.", Error::InvalidName)]
    #[case("00bgd045z0d4icpbc2yyz4gx48ak44la-..-a", Error::InvalidName)]
    #[case("00bgd045z0d4icpbc2yyz4gx48ak44la-a b", Error::InvalidName)]
    #[case("00bgd045z0d4icpbc2yyz4gx48ak44la-a/b", Error::InvalidName)]
    #[case("00bgd045z0d4icpbc2yyz4gx48ak44la-a\nb", Error::InvalidName)]
    fn broken_names_are_refused(#[case] text: &str, #[case] error: Error) {
        assert_eq!(StorePathRef::from_base_name(text), Err(error));
    }

    #[test]
    fn the_longest_name_is_211_bytes() {
        let name = |len| format!("{HASH}-{}", "n".repeat(len));
        assert!(StorePathRef::from_base_name(&name(211)).is_ok());
        assert_eq!(
            StorePathRef::from_base_name(&name(212)),
            Err(Error::InvalidName)
        );
    }

    #[test]
    fn the_digest_is_nixs_own() {
        // `nix hash to-base16 --type sha1 00bgd045z0d4icpbc2yyz4gx48ak44la`
        let path = format!("{HASH}-x");
        let path = StorePathRef::from_base_name(&path).unwrap();
        let number = path.digest().iter();
        let hex = number.fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        assert_eq!(hex, "8a12321522fd91efbd60ebb2481af88580f61600");
    }

    #[rstest]
    #[case("/nix/store", "/nix/store/{}", Some(""))]
    #[case("/nix/store/", "/nix/store/{}/bin/x", Some("bin/x"))]
    #[case("/a b/store", "/a b/store/{}", Some(""))]
    #[case("/nix/store", "/nix/storee/{}", None)]
    #[case("/nix/store", "/nix/store", None)]
    #[case("/nix/store", "{}", None)]
    fn paths_are_split_at_the_store_directory(
        #[case] store: &str,
        #[case] path: &str,
        #[case] rest: Option<&str>,
    ) {
        let store = StoreDir::new(Utf8Path::new(store)).unwrap();
        let path = path.replace("{}", &format!("{HASH}-name"));
        let got = StorePathRef::from_absolute_path_full(Utf8Path::new(&path), &store).ok();
        assert_eq!(got.map(|(_, rest)| rest.as_str()), rest);
    }

    #[rstest]
    #[case("/nix/store", "source", "qx4n1w7c8safnmz1lh8i929cb6lb7ls7-source")]
    #[case("/nix/store", "other", "1f3zpd4zlnkrgwi34a56xhdyf016vvcz-other")]
    #[case("/a/store", "source", "aigylyav5piyjxmnjqsj96h298wa2xqg-source")]
    fn the_path_of_a_source_is_nixs_own(
        #[case] store: &str,
        #[case] name: &str,
        #[case] expected: &str,
    ) {
        let store = StoreDir::new(Utf8Path::new(store)).unwrap();
        // `nix-store --print-fixed-path --recursive sha256 9bf8b8cc000… source`
        let mut hash = [0; NAR_HASH_SIZE];
        hash[..4].copy_from_slice(&[0x9b, 0xf8, 0xb8, 0xcc]);
        let path = StorePath::of_source(name, &hash, &store).unwrap();
        assert_eq!(path.to_string(), expected);
        let refused = StorePath::of_source("a b", &hash, &store);
        assert_eq!(refused, Err(Error::InvalidName));
    }

    proptest::proptest! {
        #[test]
        fn any_digest_survives(digest: [u8; DIGEST_SIZE]) {
            let text = encode_digest(&digest);
            proptest::prop_assert_eq!(decode_digest(&text), Some(digest));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = StorePathRef::from_base_name(&text);
        }
    }

    #[test]
    fn a_store_directory_is_written_without_a_slash_at_its_end() {
        let store = StoreDir::new(Utf8Path::new("/nix//store/")).unwrap();
        assert_eq!(store.to_string(), "/nix/store");
    }
}
