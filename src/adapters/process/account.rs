//! Users as whom root runs commands.

use std::fs;
use std::io;
use std::path::PathBuf;

use camino::Utf8Path;
use nix::unistd::{Uid, User};

/// What must be known of a user to run a command as them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user's number.
    pub uid: u32,
    /// The number of the user's first group.
    pub gid: u32,
    /// The user's name.
    pub name: String,
    /// The user's home.
    pub home: PathBuf,
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
        if let Some(account) = list.lines().filter_map(parse).find(|a| a.uid == uid) {
            return Ok(Some(account));
        }
        let user = User::from_uid(Uid::from_raw(uid)).map_err(io::Error::from)?;
        Ok(user.map(|user| Self {
            uid,
            gid: user.gid.as_raw(),
            name: user.name,
            home: user.dir,
        }))
    }
}

/// One line, `name:_:uid:gid:_:home:_`; `None` for one that is not of that form.
fn parse(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1).filter(|home| home.starts_with('/'))?;
    Some(Account {
        uid,
        gid,
        name: name.to_string(),
        home: home.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("alice:x:1000:100:Alice:/home/alice:/bin/sh", Some((1000, 100, "/home/alice")))]
    #[case("bob:x:1001:1001::/home/b ob:", Some((1001, 1001, "/home/b ob")))]
    #[case("", None)]
    #[case("alice", None)]
    #[case(":x:1:1::/:", None)]
    #[case("+::::::", None)]
    #[case("alice:x:-1:1::/:", None)]
    #[case("alice:x:4294967296:1::/:", None)]
    #[case("alice:x:1:1::home:", None)]
    fn lines_are_read(#[case] line: &str, #[case] expected: Option<(u32, u32, &str)>) {
        let got = parse(line);
        let got = got
            .as_ref()
            .map(|a| (a.uid, a.gid, a.home.to_str().unwrap()));
        assert_eq!(got, expected);
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
