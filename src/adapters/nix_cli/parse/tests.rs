use camino::Utf8Path;
use rstest::rstest;

use super::*;
use crate::domain::store_path::{StoreDir, StorePath, StorePathRef};

const A: &str = "/nix/store/00000000000000000000000000000000-a";
const B: &str = "/nix/store/11111111111111111111111111111111-b-1.0";

fn store() -> StoreDir {
    StoreDir::new(Utf8Path::new("/nix/store")).unwrap()
}

fn path(absolute: &str) -> StorePath<String> {
    StorePathRef::from_absolute_path(absolute.into(), &store())
        .unwrap()
        .to_owned()
}

#[rstest]
#[case::nix_2_8("2 store paths deleted, 1.91 MiB freed", Some(2), Some(2_002_780))]
#[case::nix_2_34("2 store paths deleted, 1.9 MiB freed", Some(2), Some(1_992_294))]
#[case::nothing("0 store paths deleted, 0.00 MiB freed", Some(0), Some(0))]
#[case::nothing_2_34("0 store paths deleted, 0.0 KiB freed", Some(0), Some(0))]
#[case::kib("9 store paths deleted, 245.1 KiB freed", Some(9), Some(250_982))]
#[case::gib(
    "12345 store paths deleted, 40.5 GiB freed",
    Some(12345),
    Some(43_486_543_872)
)]
#[case::tib("1 store paths deleted, 1.00 TiB freed", Some(1), Some(1 << 40))]
#[case::one("1 store path deleted, 1.0 KiB freed", Some(1), Some(1024))]
#[case::whole("3 store paths deleted, 7 B freed", Some(3), Some(7))]
#[case::negative("3 store paths deleted, -0.00 MiB freed", Some(3), None)]
#[case::unit("3 store paths deleted, 1.0 XiB freed", Some(3), None)]
#[case::comma("3 store paths deleted, 1,0 MiB freed", Some(3), None)]
#[case::huge("3 store paths deleted, 99999999999999 PiB freed", Some(3), None)]
#[case::no_size("3 store paths deleted", Some(3), None)]
fn trap_28_what_was_freed_is_read_leniently(
    #[case] line: &str,
    #[case] paths: Option<u64>,
    #[case] bytes: Option<u64>,
) {
    let around = format!(
        "deleting '/nix/store/x'\n{line}\nnote: hard linking is currently saving -4.0 KiB\n"
    );
    for text in [line, &around] {
        let bytes = bytes.map(Bytes);
        assert_eq!(collected(text), Some(Collected { paths, bytes }), "{text}");
    }
}

#[rstest]
#[case("")]
#[case("finding garbage collector roots...")]
#[case("9 store paths would be deleted")]
#[case("some store paths deleted")]
#[case("0.00 MiB freed by hard-linking 3 files")]
fn trap_28_other_lines_say_nothing(#[case] text: &str) {
    assert_eq!(collected(text), None);
}

#[rstest]
#[case("nix (Nix) 2.8.0", (2, 8, 0), "2.8.0")]
#[case("nix (Nix) 2.34.8\n", (2, 34, 8), "2.34.8")]
#[case("nix (Nix) 2.19.0pre20231026_7a58cb7", (2, 19, 0), "2.19.0pre20231026_7a58cb7")]
#[case("nix (Nix) 2.4pre-rc1", (2, 4, 0), "2.4pre-rc1")]
#[case("nix (Lix, like Nix) 2.93.0\nSystem type: x86_64-linux", (2, 93, 0), "2.93.0")]
#[case("nix (Lix, like Nix) 2.95.0-dev-pre20251118-170f092", (2, 95, 0), "2.95.0-dev-pre20251118-170f092")]
#[case("nix (Determinate Nix 3.6.2) 2.29.0", (2, 29, 0), "2.29.0")]
fn versions_are_read(#[case] text: &str, #[case] numbers: (u32, u32, u32), #[case] shown: &str) {
    let version = NixVersion::parse(text).unwrap();
    assert_eq!(version.to_string(), shown);
    let (major, minor, patch) = numbers;
    assert_eq!(version, NixVersion::new(major, minor, patch));
}

#[rstest]
#[case("")]
#[case("nix")]
#[case("nix (Nix) ")]
#[case("nix (Nix) two")]
#[case("nix (Nix) 2")]
#[case("nix (Nix) 2.")]
#[case("bash 5.2.1")]
#[case("nix (Nix) 99999999999.1.1")]
#[case("nix (Nix) 2.34.8\u{1b}[31m")]
fn other_texts_tell_no_version(#[case] text: &str) {
    assert!(NixVersion::parse(text).is_err());
}

#[test]
fn versions_are_ordered_by_their_numbers() {
    let parsed = |text: &str| NixVersion::parse(&format!("nix (Nix) {text}")).unwrap();
    assert!(parsed("2.8.0") > parsed("2.7.9"));
    assert!(parsed("2.10.0") > parsed("2.9.0"));
    assert!(parsed("3.0.0") > parsed("2.99.9"));
    assert!(parsed("2.3.16") < NixVersion::new(2, 8, 0));
}

#[rstest]
#[case::list(r#"[{"path":"{A}","narHash":"x","narSize":7,"references":["{B}"],"deriver":"{B}","registrationTime":9}]"#)]
#[case::by_path(r#"{"{A}":{"ca":null,"narSize":7,"references":["{B}"],"deriver":"{B}","registrationTime":9,"signatures":[]}}"#)]
#[case::format_2(
    r#"{"info":{"00000000000000000000000000000000-a":{"narSize":7,"references":["11111111111111111111111111111111-b-1.0"],"deriver":"11111111111111111111111111111111-b-1.0","registrationTime":9}},"storeDir":"/nix/store","version":2}"#
)]
fn path_info_of_all_forms_is_read(#[case] text: &str) {
    let text = text.replace("{A}", A).replace("{B}", B);
    let valid = ValidPath {
        nar_size: Bytes(7),
        references: vec![path(B)],
        deriver: Some(path(B)),
        registered: Some(9),
    };
    let expected = PathInfo {
        path: path(A),
        valid: Some(valid),
    };
    assert_eq!(path_info(&text, &store()).unwrap(), [expected]);
}

#[rstest]
#[case::list(r#"[{"path":"{A}","valid":false}]"#)]
#[case::by_path(r#"{"{A}":null}"#)]
fn path_info_tells_what_is_not_valid(#[case] text: &str) {
    let info = path_info(&text.replace("{A}", A), &store()).unwrap();
    assert_eq!(
        info,
        [PathInfo {
            path: path(A),
            valid: None
        }]
    );
}

#[test]
fn path_info_is_given_as_it_comes() {
    let whole = format!(r#"{{"{A}":{{"narSize":7}},"{B}":{{"narSize":8}}}}"#);
    for end in 0..whole.len() {
        let mut given = Vec::new();
        let read = each_path_info(&whole.as_bytes()[..end], &store(), &mut |info| {
            given.push(info.path);
        });
        assert!(read.is_err(), "{end}");
        let first = whole.find(',').unwrap();
        assert_eq!(
            given.len(),
            usize::from(end >= first) + usize::from(end + 1 >= whole.len())
        );
    }
    let error = path_info(r#"[{"path":"/elsewhere/x"}]"#, &store()).unwrap_err();
    assert!(matches!(error, MalformedInfo::Path(..)), "{error:?}");
}

#[rstest]
#[case("")]
#[case("[")]
#[case("[] []")]
#[case("7")]
#[case(r#"[{"valid":true}]"#)]
#[case(r#"{"info":7}"#)]
#[case(r#"{"/elsewhere/x":null}"#)]
#[case(r#"{"{A}":{"narSize":-1}}"#)]
#[case(r#"[{"path":"../etc"}]"#)]
fn other_documents_are_errors(#[case] text: &str) {
    assert!(path_info(&text.replace("{A}", A), &store()).is_err());
}

proptest::proptest! {
    #[test]
    fn nothing_that_is_printed_makes_us_panic(text in "(\\PC|\n){0,200}") {
        let _ = collected(&text);
        let _ = NixVersion::parse(&text);
        let _ = NixVersion::parse(&format!("nix ({text}"));
        let _ = path_info(&text, &store());
        let _ = size(&text);
    }
}
