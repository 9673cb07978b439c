//! Requests: the head, which is all that a request may have.

use super::response::Status;

/// The longest head. Those of browsers have some hundred bytes.
pub(super) const MAX_HEAD_BYTES: usize = 8 << 10;
const MAX_HEADERS: usize = 64;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// Whether only the head of the answer is wanted.
    pub(super) head_only: bool,
    /// The path with its query, as it was sent: nothing in it is decoded.
    pub(super) target: String,
    pub(super) host: Option<String>,
    pub(super) authorization: Option<Vec<u8>>,
    /// Whether the connection may be used for another request.
    pub(super) keeps_alive: bool,
}

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The beginning of a head.
    Partial,
    /// A request, and the length of its head.
    Whole(Request, usize),
    /// Something that is not answered.
    Refused(Status),
}

/// Reads the head of a request.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD_BYTES => {
            match understand(&request) {
                Ok(request) => Parsed::Whole(request, length),
                Err(status) => Parsed::Refused(status),
            }
        }
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD_BYTES => Parsed::Partial,
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Parsed::Refused(Status::HeadTooLarge),
        Err(_) => Parsed::Refused(Status::BadRequest),
    }
}

fn understand(request: &httparse::Request<'_, '_>) -> Result<Request, Status> {
    let head_only = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(Status::MethodNotAllowed),
    };
    let values = |name: &'static str| {
        let named = request
            .headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value)
    };
    let one = |name: &'static str| {
        let mut values = values(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(Status::BadRequest),
        }
    };
    // A body is not read, so nothing behind this head can be told from another request.
    let has_body = values("content-length").any(|length| length != b"0");
    if has_body || values("transfer-encoding").next().is_some() {
        return Err(Status::ContentTooLarge);
    }
    let is_current = request.version == Some(1);
    let host = one("host")?.map(|host| std::str::from_utf8(host).map(str::to_string));
    let host = host.transpose().map_err(|_| Status::BadRequest)?;
    if is_current && host.is_none() {
        return Err(Status::BadRequest);
    }
    let target = request.path.filter(|target| target.starts_with('/'));
    let closes = |value: &[u8]| {
        let mut words = value.split(|byte| *byte == b',');
        words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
    };
    Ok(Request {
        head_only,
        target: target.ok_or(Status::BadRequest)?.to_string(),
        host,
        authorization: one("authorization")?.map(<[u8]>::to_vec),
        keeps_alive: is_current && !values("connection").any(closes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn refused(text: &str) -> Option<Status> {
        match parse(text.as_bytes()) {
            Parsed::Refused(status) => Some(status),
            Parsed::Whole(..) | Parsed::Partial => None,
        }
    }

    #[test]
    fn a_request_is_read_and_the_next_one_is_left() {
        let first = "HEAD /a?b=%2e HTTP/1.1\r\nhost: x\r\nAuthorization: Bearer y\r\n\r\n";
        let Parsed::Whole(request, length) = parse(format!("{first}GET /").as_bytes()) else {
            panic!("not read");
        };
        assert_eq!(length, first.len());
        assert_eq!(
            request,
            Request {
                head_only: true,
                target: "/a?b=%2e".to_string(),
                host: Some("x".to_string()),
                authorization: Some(b"Bearer y".to_vec()),
                keeps_alive: true,
            }
        );
    }

    #[rstest]
    #[case("GET / HTTP/1.1\r\nHost: x\r\n\r\n", true)]
    #[case("GET / HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n", false)]
    #[case("GET / HTTP/1.1\r\nHost: x\r\nConnection: TE, close\r\n\r\n", false)]
    #[case("GET / HTTP/1.0\r\n\r\n", false)]
    fn the_client_says_whether_it_has_more(#[case] text: &str, #[case] more: bool) {
        let Parsed::Whole(request, _) = parse(text.as_bytes()) else {
            panic!("not read");
        };
        assert_eq!(request.keeps_alive, more);
    }

    #[rstest]
    #[case("POST / HTTP/1.1\r\nHost: x\r\n\r\n", Status::MethodNotAllowed)]
    #[case("get / HTTP/1.1\r\nHost: x\r\n\r\n", Status::MethodNotAllowed)]
    #[case(
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n",
        Status::ContentTooLarge
    )]
    #[case(
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
        Status::ContentTooLarge
    )]
    #[case(
        "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        Status::ContentTooLarge
    )]
    #[case("GET / HTTP/1.1\r\n\r\n", Status::BadRequest)]
    #[case("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", Status::BadRequest)]
    #[case("GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", Status::BadRequest)]
    #[case("GET * HTTP/1.1\r\nHost: x\r\n\r\n", Status::BadRequest)]
    #[case("GET / HTTP/2.0\r\nHost: x\r\n\r\n", Status::BadRequest)]
    #[case("GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", Status::BadRequest)]
    #[case("GET / HTTP/1.1\r\nHost : x\r\n\r\n", Status::BadRequest)]
    #[case("\u{16}\u{3}\u{1}\r\n\r\n", Status::BadRequest)]
    fn other_requests_are_refused(#[case] text: &str, #[case] expected: Status) {
        assert_eq!(refused(text), Some(expected));
    }

    #[test]
    fn a_head_without_end_is_refused() {
        let long = "x".repeat(MAX_HEAD_BYTES);
        assert_eq!(refused(&format!("GET /{long}")), Some(Status::HeadTooLarge));
        let header = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n");
        assert_eq!(refused(&header), Some(Status::HeadTooLarge));
        let many = "A: b\r\n".repeat(MAX_HEADERS + 1);
        let many = format!("GET / HTTP/1.1\r\n{many}\r\n");
        assert_eq!(refused(&many), Some(Status::HeadTooLarge));
    }
}
