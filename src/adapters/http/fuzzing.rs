//! What must hold for the head of every request, whoever sends it.

use super::request::{MAX_HEAD_BYTES, Parsed, parse};

/// Reads bytes as the connection does, in one piece and in two.
pub(crate) fn request(input: &[u8]) {
    let parsed = parse(input);
    match &parsed {
        Parsed::Partial => assert!(input.len() < MAX_HEAD_BYTES, "a head without end"),
        Parsed::Whole(request, length) => {
            assert!(*length <= MAX_HEAD_BYTES && *length <= input.len());
            assert!(request.target.starts_with('/'), "a target is a path");
            let is_text = |text: &str| !text.contains(['\r', '\n', '\0', ' ']);
            assert!(is_text(&request.target), "{:?}", request.target);
            let head = input.get(..*length).unwrap_or_default();
            assert_eq!(parse(head), parsed, "bytes behind the head count");
        }
        Parsed::Refused(_) => {}
    }
    // More bytes never make a request of what was refused before.
    let first = input.get(..input.len() / 2).unwrap_or_default();
    if let refused @ Parsed::Refused(_) = parse(first) {
        assert!(matches!(parsed, Parsed::Refused(_)), "{refused:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            super::request(&bytes);
        }

        #[test]
        fn nearly_requests_are_read(
            method in "GET|HEAD|POST|GE",
            target in "(/|\\*|http://)[ -~]{0,20}",
            headers in prop::collection::vec("(Host|Content-Length|Connection|A)( )?: ?[ -~\t]{0,9}\r?\n", 0..5),
            end in "(\r\n|\n)?(GET /)?",
        ) {
            super::request(format!("{method} {target} HTTP/1.1\r\n{}{end}", headers.concat()).as_bytes());
        }
    }
}
