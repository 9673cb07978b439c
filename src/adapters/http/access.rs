//! Access: a bearer token, or a request that no page of the web can make.

use std::net::{IpAddr, SocketAddr};

use sha2::{Digest, Sha256};

use super::listen::ListenAddress;
use super::request::Request;
use super::response::Status;

/// The shortest token: one of 16 random characters cannot be guessed over a network.
const MIN_TOKEN_BYTES: usize = 16;
/// The longest token, so that it fits the head of a request.
const MAX_TOKEN_BYTES: usize = 1024;

/// The digest of a secret.
///
/// Digests are compared, not secrets: the time that the comparison takes depends on digests, which nobody can choose without
/// knowing the secret, and not on its length.
pub struct Token([u8; 32]);

impl Token {
    /// A token from the text of a file; white space around it does not count.
    ///
    /// # Errors
    /// When it is too short or too long, or has other characters than visible ASCII.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if !(MIN_TOKEN_BYTES..=MAX_TOKEN_BYTES).contains(&text.len()) {
            return Err(format!(
                "a token has {MIN_TOKEN_BYTES} to {MAX_TOKEN_BYTES} characters"
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a token has visible ASCII characters and no spaces".to_string());
        }
        Ok(Self(Sha256::digest(text).into()))
    }

    fn is_in(&self, authorization: &[u8]) -> bool {
        let (scheme, given) = authorization.split_at_checked(7).unwrap_or_default();
        let given: [u8; 32] = Sha256::digest(given.trim_ascii()).into();
        scheme.eq_ignore_ascii_case(b"Bearer ") && given == self.0
    }
}

/// Who may ask.
pub enum Access {
    /// Everybody who can connect: a Unix socket, which has permissions of its own.
    Connected,
    /// Everybody on this machine, by one of its local names: another name may be that of a web site whose address was
    /// changed to this machine's, so that its pages could read the answers (DNS rebinding).
    Local(SocketAddr),
    /// Everybody with the token.
    Token(Token),
}

impl Access {
    /// The access at an address; `None` for one that takes a token.
    pub fn at(address: &ListenAddress, token: Option<Token>) -> Option<Self> {
        match (address, token) {
            (ListenAddress::Unix(_), _) => Some(Self::Connected),
            (ListenAddress::Tcp(_), Some(token)) => Some(Self::Token(token)),
            (ListenAddress::Tcp(address), None) => {
                let is_local = address.ip().to_canonical().is_loopback();
                is_local.then_some(Self::Local(*address))
            }
        }
    }

    /// Refuses who may not ask.
    pub(super) fn check(&self, request: &Request) -> Result<(), Status> {
        match self {
            Self::Connected => Ok(()),
            Self::Local(address) => {
                let host = request.host.as_deref();
                let is_local = host.is_some_and(|host| is_local_name(host, address.ip()));
                is_local.then_some(()).ok_or(Status::Misdirected)
            }
            Self::Token(token) => {
                let given = request.authorization.as_deref();
                let knows = given.is_some_and(|given| token.is_in(given));
                knows.then_some(()).ok_or(Status::Unauthorized)
            }
        }
    }
}

/// Whether the value of `Host` names this machine; the port does not matter, which a tunnel changes.
fn is_local_name(host: &str, own: IpAddr) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let is_own = |address: IpAddr| {
        address == own
            || address == IpAddr::from([127, 0, 0, 1])
            || address == IpAddr::from(std::net::Ipv6Addr::LOCALHOST)
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("localhost", true)]
    #[case("LocalHost:9748", true)]
    #[case("127.0.0.1:1", true)]
    #[case("127.0.0.2", true)]
    #[case("[::1]:9748", true)]
    #[case("::1", false)]
    #[case("127.0.0.3", false)]
    #[case("", false)]
    #[case(":9748", false)]
    #[case("[::1", false)]
    #[case("localhost.evil.example", false)]
    #[case("evil.example:9748", false)]
    #[case("127.0.0.1.evil.example", false)]
    #[case("127.0.0.1@evil.example", false)]
    #[case("0.0.0.0", false)]
    #[case("0x7f.1", false)]
    fn only_local_names_are_answered(#[case] host: &str, #[case] is_local: bool) {
        assert_eq!(is_local_name(host, [127, 0, 0, 2].into()), is_local);
    }

    #[rstest]
    #[case("Bearer 0123456789abcdef", true)]
    #[case("bearer  0123456789abcdef ", true)]
    #[case("Bearer 0123456789abcdeF", false)]
    #[case("Bearer 0123456789abcde", false)]
    #[case("Bearer 0123456789abcdef0", false)]
    #[case("Bearer ", false)]
    #[case("Bearer", false)]
    #[case("Basic 0123456789abcdef", false)]
    #[case("Bearer0123456789abcdef", false)]
    #[case("0123456789abcdef", false)]
    #[case("", false)]
    fn the_whole_token_is_needed(#[case] given: &str, #[case] is_right: bool) {
        let token = Token::new("0123456789abcdef\n").unwrap();
        assert_eq!(token.is_in(given.as_bytes()), is_right);
    }

    #[rstest]
    #[case("")]
    #[case("\n")]
    #[case("0123456789abcde")]
    #[case("0123456789 abcdef")]
    #[case("0123456789abcdé0")]
    fn a_weak_token_is_refused(#[case] text: &str) {
        assert!(Token::new(text).is_err());
        assert!(Token::new(&"x".repeat(1025)).is_err());
    }

    #[rstest]
    #[case("unix:/run/a", true)]
    #[case("127.0.0.1:1", true)]
    #[case("127.1.2.3:1", true)]
    #[case("[::1]:1", true)]
    #[case("[::ffff:127.0.0.1]:1", true)]
    #[case("0.0.0.0:1", false)]
    #[case("[::]:1", false)]
    #[case("192.168.0.1:1", false)]
    #[case("[::ffff:10.0.0.1]:1", false)]
    fn only_addresses_of_the_machine_do_without_a_token(
        #[case] address: &str,
        #[case] is_local: bool,
    ) {
        let address = address.parse().unwrap();
        assert_eq!(Access::at(&address, None).is_some(), is_local);
        let token = Token::new("0123456789abcdef").ok();
        assert!(Access::at(&address, token).is_some());
    }
}
