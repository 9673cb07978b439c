//! Users of the machine, as whom root runs commands.

use std::fs;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use nix::unistd::{Uid, User};

/// A user of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user's number.
    pub uid: u32,
    /// The number of the user's first group.
    pub gid: u32,
    /// The user's name.
    pub name: String,
    /// The user's home.
    pub home: Utf8PathBuf,
}

impl Account {
    /// Looks a user up in a list like `/etc/passwd`, then asks the machine's name service, which may know others.
    ///
    /// # Errors
    /// When neither can be asked; a user that nobody knows is `None`.
    pub fn find(passwd: &Utf8Path, uid: u32) -> io::Result<Option<Self>> {
        let list = match fs::read(passwd) {
            Ok(list) => list,
            // Without a list there is still the name service.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let list = String::from_utf8_lossy(&list);
        if let Some(account) = Self::all_in(&list).find(|a| a.uid == uid) {
            return Ok(Some(account));
        }
        let user = User::from_uid(Uid::from_raw(uid)).map_err(io::Error::from)?;
        Ok(user.and_then(|user| {
            Some(Self {
                uid,
                gid: user.gid.as_raw(),
                name: user.name,
                home: Utf8PathBuf::from_path_buf(user.dir).ok()?,
            })
        }))
    }

    /// The users in a text like `/etc/passwd`; other lines are skipped, as by every reader of it.
    pub fn all_in(list: &str) -> impl Iterator<Item = Self> {
        list.lines().filter_map(parse)
    }
}

/// One line, `name:_:uid:gid:_:home:shell`; `None` for one that is not of that form.
fn parse(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = Utf8Path::new(fields.nth(1)?);
    fields.next()?;
    let valid = !name.is_empty() && !name.starts_with(['#', '+', '-']) && home.is_absolute();
    valid.then(|| Account {
        uid,
        gid,
        name: name.to_string(),
        home: home.components().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("alice:x:1000:100:Alice:/home/alice:/bin/sh", Some(("alice", 1000, 100, "/home/alice")))]
    #[case("alice:x:1000:100::/home//alice/:", Some(("alice", 1000, 100, "/home/alice")))]
    #[case("bob:x:1001:1001::/home/b ob:", Some(("bob", 1001, 1001, "/home/b ob")))]
    #[case("root:x:0:0:root:/root:/bin/sh:more", Some(("root", 0, 0, "/root")))]
    #[case("nobody:x:65534:65534::/:/bin/false", Some(("nobody", 65534, 65534, "/")))]
    #[case("", None)]
    #[case("alice", None)]
    #[case("alice:x:1000:100::/home/alice", None)]
    #[case("alice:x::100::/home/alice:/bin/sh", None)]
    #[case("alice:x:1000:::/home/alice:/bin/sh", None)]
    #[case("alice:x:-1:100::/home/alice:/bin/sh", None)]
    #[case("alice:x:4294967296:100::/home/alice:/bin/sh", None)]
    #[case("alice:x:1000:100::home/alice:/bin/sh", None)]
    #[case("alice:x:1000:100:::/bin/sh", None)]
    #[case(":x:1000:100::/home/alice:/bin/sh", None)]
    #[case("# alice:x:1000:100::/home/alice:/bin/sh", None)]
    #[case("+::::::", None)]
    fn lines_are_users_or_left_out(
        #[case] line: &str,
        #[case] user: Option<(&str, u32, u32, &str)>,
    ) {
        let user = user.map(|(name, uid, gid, home)| Account {
            uid,
            gid,
            name: name.to_string(),
            home: home.into(),
        });
        assert_eq!(parse(line), user);
    }

    proptest::proptest! {
        #[test]
        fn no_list_panics(text: String) {
            let _ = Account::all_in(&text).count();
        }
    }

    #[test]
    fn a_list_that_is_missing_knows_nobody_and_one_that_is_unreadable_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        assert_eq!(
            Account::find(&dir.join("none"), 3_999_999_999).unwrap(),
            None
        );
        assert!(Account::find(dir, 3_999_999_999).is_err());
    }
}
