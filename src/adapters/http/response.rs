//! Responses: statuses, and the headers that keep a browser from using an answer for anything else.

use std::sync::Arc;

use jiff::fmt::rfc2822::DateTimePrinter;

use crate::domain::measure::Timestamp;

/// The statuses that are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The document follows.
    Ok,
    /// It is not a request of HTTP/1.1.
    BadRequest,
    /// The token is missing or wrong.
    Unauthorized,
    /// There is no such document.
    NotFound,
    /// Only GET and HEAD are served.
    MethodNotAllowed,
    /// The request was not complete in time.
    RequestTimeout,
    /// A request has no body.
    ContentTooLarge,
    /// `Host` is not a name of this machine.
    Misdirected,
    /// The head is too long.
    HeadTooLarge,
    /// The document could not be made.
    InternalError,
    /// The service ends.
    Unavailable,
    /// The document was not made in time.
    GatewayTimeout,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::Unauthorized => "401 Unauthorized",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::RequestTimeout => "408 Request Timeout",
            Self::ContentTooLarge => "413 Content Too Large",
            Self::Misdirected => "421 Misdirected Request",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::InternalError => "500 Internal Server Error",
            Self::Unavailable => "503 Service Unavailable",
            Self::GatewayTimeout => "504 Gateway Timeout",
        }
    }

    /// The headers that some statuses need.
    fn headers(self) -> &'static str {
        match self {
            Self::Unauthorized => "WWW-Authenticate: Bearer realm=\"nix-prune\"\r\n",
            Self::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            _ => "",
        }
    }

    /// The answer that has nothing but the status and, in a sentence, what to do.
    pub fn answer(self) -> Answer {
        let advice = match self {
            Self::Unauthorized => "Send the header \"Authorization: Bearer TOKEN\".\n",
            Self::MethodNotAllowed => "Use GET or HEAD. Nothing can be changed here.\n",
            Self::Misdirected => {
                "Ask for localhost, 127.0.0.1, [::1] or the address that is listened on.\n"
            }
            _ => "",
        };
        let text = format!("{}\n{advice}", self.line());
        Answer::new(self, MediaType::Text, text.into_bytes())
    }
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// A page with its own content security policy.
    Html,
    /// A JSON document.
    Json,
    /// Metrics in the format of `OpenMetrics`.
    OpenMetrics,
    /// Text for people.
    Text,
}

impl MediaType {
    fn header(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    /// What a browser may do with it. The page has a stricter policy in itself, which names its script by a digest.
    fn policy(self) -> &'static str {
        match self {
            Self::Html => "frame-ancestors 'none'",
            Self::Json | Self::OpenMetrics | Self::Text => {
                "default-src 'none'; frame-ancestors 'none'; sandbox"
            }
        }
    }
}

/// An answer; copies share its body.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) status: Status,
    media: MediaType,
    pub(super) body: Arc<[u8]>,
}

impl Answer {
    /// An answer with a body.
    pub fn new(status: Status, media: MediaType, body: Vec<u8>) -> Self {
        Self {
            status,
            media,
            body: body.into(),
        }
    }

    /// The bytes before the body.
    pub(super) fn head(&self, now: Timestamp, keeps_alive: bool) -> String {
        let (status, more) = (self.status.line(), self.status.headers());
        let (media, policy) = (self.media.header(), self.media.policy());
        let length = self.body.len();
        let connection = if keeps_alive { "keep-alive" } else { "close" };
        let date = DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&now.into())
            .map_or_else(|_| String::new(), |date| format!("Date: {date}\r\n"));
        format!(
            "HTTP/1.1 {status}\r\n{date}Content-Type: {media}\r\nContent-Length: {length}\r\nConnection: {connection}\r\n{more}\
             Cache-Control: no-store\r\n\
             Content-Security-Policy: {policy}\r\n\
             Cross-Origin-Embedder-Policy: require-corp\r\n\
             Cross-Origin-Opener-Policy: same-origin\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\n\
             Referrer-Policy: no-referrer\r\n\
             X-Content-Type-Options: nosniff\r\n\r\n"
        )
    }
}
