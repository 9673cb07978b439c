//! `serve` from outside: its documents, whom it answers, and what cannot stop it.

#![cfg(test)]

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nix_prune::adapters::scratch::Scratch;
use rstest::rstest;
use serde_json::Value;

use crate::support::{Ran, is_root, nixes, program, run, run_command, script, status, time};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The service; it is killed with this.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(scratch: &Scratch, args: &[&str]) -> Self {
        let mut child = program(scratch)
            .arg("serve")
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("Listening on ");
        let address = address.unwrap_or_else(|| panic!("said {line:?}"));
        let address = address.trim_start_matches("http://").trim_end_matches('/');
        let address = address.to_string();
        Self { child, address }
    }

    fn on_loopback(scratch: &Scratch) -> Self {
        Self::start(scratch, &["--listen", "127.0.0.1:0"])
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(120)))
            .unwrap();
        stream
    }

    /// Sends bytes, and reads until the service closes the connection.
    fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // A service that has refused a request need not read all of it.
        let _ = stream.write_all(bytes);
        rest(&mut stream)
    }

    fn request(&self, line: &str, headers: &str) -> Answer {
        let host = &self.address;
        Answer::of(
            &self.send(
                format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n")
                    .as_bytes(),
            ),
        )
    }

    fn get(&self, path: &str) -> Answer {
        self.request(&format!("GET {path}"), "")
    }

    fn is_alive(&self) {
        let answer = self.get("/healthz");
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    }

    /// Waits until it has ended without a signal; its exit status.
    fn ends_by_itself(&mut self) -> i32 {
        let begun = Instant::now();
        loop {
            match self.child.try_wait().unwrap() {
                Some(ended) => return status(ended),
                None if begun.elapsed() > Duration::from_secs(60) => panic!("it has not ended"),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Ends it by a signal; how it ended, and how long it took.
    fn end(&mut self, signal: Signal) -> (i32, Duration) {
        let begun = Instant::now();
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
        (status(self.child.wait().unwrap()), begun.elapsed())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes until the end, which may be a reset.
fn rest(stream: &mut impl Read) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => all.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}, after {}", String::from_utf8_lossy(&all)),
        }
    }
    String::from_utf8(all).unwrap()
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("not an answer: {text:?}")),
            head: head.to_ascii_lowercase(),
            body: body.to_string(),
        }
    }

    fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        assert!(self.head.contains("content-type: application/json\r\n"));
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A store with nine system generations and something dead.
fn machine() -> Option<Scratch> {
    let nix = nixes().last()?;
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let system = scratch.state_dir().join("profiles/system");
    for n in 1..=9 {
        let path = scratch.add_path(&format!("system-{n}"), &[], 1000).unwrap();
        let date = time(&format!("2026-01-0{n}T00:00:00Z"));
        scratch.set_profile(&system, &path, date).unwrap();
    }
    scratch.add_path("dead-1.0", &[], 5000).unwrap();
    Some(scratch)
}

/// An empty store, for what is refused whatever is in it.
fn empty() -> Option<Scratch> {
    let nix = nixes().last()?;
    Some(Scratch::new(Some(&nix.bin)).unwrap())
}

/// Takes out what differs between two looks at one store.
fn without_times(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for name in ["takenAt", "now", "createdAt", "disk", "digest", "uptime"] {
                object.remove(name);
            }
            object.values_mut().for_each(without_times);
        }
        Value::Array(array) => array.iter_mut().for_each(without_times),
        _ => {}
    }
}

#[test]
fn documents_are_those_of_the_commands() {
    let Some(scratch) = machine() else { return };
    let settings = r#"{"version": 2, "jobs": {"daily": {"operations": {"generations": {"profiles": ["system"], "keep": {"last": 3}}}},
        "off": {"enabled": false, "operations": {"collect": {}}}}}"#;
    let config = scratch.base().join("settings.json");
    fs::write(&config, settings).unwrap();
    assert_eq!(
        run(
            &scratch,
            &["--config", config.as_str(), "run", "daily", "--yes"]
        )
        .status,
        0
    );
    // A relative name: the commands start in another directory.
    let mut served = Served::start(
        &scratch,
        &["--config", "settings.json", "--listen", "127.0.0.1:0"],
    );
    let printed = |args: &[&str]| {
        let ran = run(
            &scratch,
            &[&["--config", config.as_str()][..], args].concat(),
        );
        assert_eq!(ran.status, 0, "{args:?}: {}", ran.stderr);
        ran.stdout
    };
    for (path, args) in [
        ("/status.json", &["status", "--json"][..]),
        ("/plan.json", &["plan", "--json"]),
        ("/plan/daily.json", &["plan", "daily", "--json"]),
        ("/history.json", &["history", "--json"]),
        ("/usage.json", &["du", "--json"]),
        ("/report.json", &["report", "--json"]),
    ] {
        let mut ours: Value = serde_json::from_str(&printed(args)).unwrap();
        let mut served = served.get(path).json();
        assert_eq!(ours["schema"], served["schema"], "{path}");
        without_times(&mut ours);
        without_times(&mut served);
        assert_eq!(ours, served, "{path}");
    }
    for path in ["/plan/off.json", "/plan/weekly.json"] {
        assert_eq!(served.get(path).status, 404, "{path}");
    }
    let names = |text: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.split(' ').next());
        lines.map(str::to_string).collect()
    };
    for (path, args) in [
        ("/metrics", &["metrics"][..]),
        ("/metrics?store=1", &["metrics", "--store"]),
    ] {
        let answer = served.get(path);
        assert_eq!(names(&answer.body), names(&printed(args)), "{path}");
        assert!(answer.head.contains("application/openmetrics-text"));
        assert!(answer.body.ends_with("# EOF\n"));
    }
    let page = served.get("/");
    assert!(page.head.contains("content-type: text/html; charset=utf-8"));
    assert!(page.body.starts_with("<!doctype html>"), "{}", page.body);
    for header in [
        "cache-control: no-store",
        "content-security-policy: frame-ancestors 'none'",
        "cross-origin-resource-policy: same-origin",
        "referrer-policy: no-referrer",
        "x-content-type-options: nosniff",
        "date: ",
    ] {
        assert!(page.head.contains(header), "{header}: {}", page.head);
    }
    assert!(!page.head.contains("access-control"));
    let head = served.request("HEAD /", "");
    let length = format!("content-length: {}", page.body.len());
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.head.contains(&length), "{}", head.head);
    assert_eq!(served.end(Signal::SIGTERM).0, 0);
}

#[test]
fn a_failure_is_a_document_too() {
    let Some(scratch) = empty() else { return };
    let served = Served::on_loopback(&scratch);
    fs::remove_dir_all(scratch.state_dir()).unwrap();
    let answer = served.get("/usage.json");
    assert_eq!(answer.status, 500);
    let document: Value = serde_json::from_str(&answer.body).unwrap();
    assert!(document["error"]["message"].is_string(), "{}", answer.body);
    let answer = served.get("/");
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("nix-prune: "), "{}", answer.body);
    served.is_alive();
}

#[test]
fn names_in_the_store_are_text_on_the_page_and_in_documents() {
    let Some(scratch) = machine() else { return };
    let path = scratch.add_path("rooted", &[], 10).unwrap();
    let link = scratch
        .base()
        .join("</script><img src=x onerror=alert(1)>\u{202e}");
    let auto = scratch.state_dir().join("gcroots/auto/hostile");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(path.to_string(), &link).unwrap();
    fs::create_dir_all(auto.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&link, &auto).unwrap();
    let served = Served::on_loopback(&scratch);
    for path in ["/", "/report.json", "/usage.json"] {
        let answer = served.get(path);
        assert_eq!(answer.status, 200);
        // A JSON document is no markup to a browser, by its type.
        let is_page = answer.head.contains("text/html");
        assert!(!is_page || !answer.body.contains("<img src=x"), "{path}");
        assert!(!answer.body.contains('\u{202e}'), "{path}");
    }
}

#[rstest]
#[case("GET /../etc/passwd", "", 404)]
#[case("GET /%2e%2e/etc/passwd", "", 404)]
#[case("GET /..%2fetc%2fpasswd", "", 404)]
#[case("GET //healthz", "", 404)]
#[case("GET /healthz/", "", 404)]
#[case("GET /healthz?", "", 404)]
#[case("GET /healthz#", "", 404)]
#[case("GET /%00", "", 404)]
#[case("GET http://evil.example/", "", 400)]
#[case("GET *", "", 400)]
#[case("GET", "", 400)]
#[case("HEAD /healthz", "", 200)]
#[case("POST /", "", 405)]
#[case("PUT /status.json", "", 405)]
#[case("DELETE /", "", 405)]
#[case(
    "OPTIONS /",
    "Origin: http://evil.example\r\nAccess-Control-Request-Method: GET\r\n",
    405
)]
#[case("CONNECT localhost:22", "", 405)]
#[case("TRACE /", "", 405)]
#[case("PRI *", "", 405)]
#[case("GET /healthz", "Content-Length: 0\r\n", 200)]
#[case("GET /healthz", "Content-Length: 5\r\n", 413)]
#[case("GET /healthz", "Content-Length: 0\r\nContent-Length: 5\r\n", 413)]
#[case("GET /healthz", "Transfer-Encoding: chunked\r\n", 413)]
#[case("GET /healthz", "Host: localhost\r\n", 400)]
fn other_requests_are_refused(#[case] line: &str, #[case] headers: &str, #[case] status: u16) {
    let Some(scratch) = empty() else { return };
    let served = Served::on_loopback(&scratch);
    let answer = served.request(line, headers);
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(status == 405, answer.head.contains("allow: get, head"));
    assert!(!answer.body.contains("root:"), "{}", answer.body);
    served.is_alive();
}

#[rstest]
#[case("localhost", 200)]
#[case("localhost:1", 200)]
#[case("127.0.0.1", 200)]
#[case("[::1]:80", 200)]
#[case("evil.example", 421)]
#[case("localhost.evil.example", 421)]
#[case("127.0.0.1.evil.example:9748", 421)]
#[case("", 421)]
fn names_of_other_machines_are_refused(#[case] host: &str, #[case] status: u16) {
    let Some(scratch) = empty() else { return };
    let served = Served::on_loopback(&scratch);
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    assert_eq!(Answer::of(&served.send(request.as_bytes())).status, status);
}

#[test]
fn bytes_that_are_no_request_are_refused() {
    let Some(scratch) = empty() else { return };
    let served = Served::on_loopback(&scratch);
    let long = "x".repeat(100_000);
    for (bytes, status) in [
        (format!("GET /{long} HTTP/1.1\r\n"), 431),
        (
            format!("GET / HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n"),
            431,
        ),
        (
            format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(1000)),
            431,
        ),
        (format!("\u{16}\u{3}\u{1}{long}"), 400),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n".to_string(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_string(), 400),
        ("\r\nnonsense\r\n\r\n".to_string(), 400),
    ] {
        assert_eq!(Answer::of(&served.send(bytes.as_bytes())).status, status);
    }
    served.is_alive();
}

#[test]
fn requests_of_one_connection_are_answered_in_order() {
    let Some(scratch) = empty() else { return };
    let served = Served::on_loopback(&scratch);
    let one = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let last = "GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answers = served.send(format!("{}{last}", one.repeat(50)).as_bytes());
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 50);
    assert_eq!(answers.matches("HTTP/1.1").count(), 51);
    assert!(answers.contains("HTTP/1.1 404"));
    // A client that has sent everything is answered all the same.
    let mut stream = served.connect();
    stream.write_all(one.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(Answer::of(&rest(&mut stream)).status, 200);
    // Behind a request that is refused nothing is read.
    let body = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 44\r\n\r\n";
    let answers = served.send(format!("{body}{one}").as_bytes());
    assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
}

#[test]
fn a_slow_head_is_cut_off() {
    let Some(scratch) = empty() else { return };
    let served = Served::on_loopback(&scratch);
    let begun = Instant::now();
    let mut stream = served.connect();
    for byte in b"GET /healthz HTTP/1.1\r\nX-Never-Ends: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
        if stream.write_all(&[*byte]).is_err() || begun.elapsed() > Duration::from_secs(20) {
            break;
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    let answer = rest(&mut stream);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
    let elapsed = begun.elapsed();
    assert!(elapsed >= Duration::from_secs(4), "{elapsed:?}");
    assert!(elapsed < Duration::from_secs(19), "{elapsed:?}");
    served.is_alive();
}

#[test]
fn many_connections_that_say_nothing_stop_nobody_for_long() {
    let Some(scratch) = empty() else { return };
    let served = Served::on_loopback(&scratch);
    let idle: Vec<TcpStream> = (0..400)
        .map_while(|_| TcpStream::connect(&served.address).ok())
        .collect();
    assert!(idle.len() > 128, "{}", idle.len());
    let begun = Instant::now();
    served.is_alive();
    assert!(begun.elapsed() < Duration::from_secs(60));
    let threads = fs::read_to_string(format!("/proc/{}/status", served.child.id())).unwrap();
    let threads = threads
        .lines()
        .find_map(|line| line.strip_prefix("Threads:"));
    let threads: usize = threads.unwrap().trim().parse().unwrap();
    assert!(threads <= 140, "{threads} threads");
}

fn token_file(scratch: &Scratch, text: &str, mode: u32) -> Utf8PathBuf {
    let file = scratch.base().join("token");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    file
}

#[test]
fn with_a_token_nothing_is_said_without_it() {
    let Some(scratch) = empty() else { return };
    let file = token_file(&scratch, &format!("{TOKEN}\n"), 0o600);
    let served = Served::start(
        &scratch,
        &["--listen", "0.0.0.0:0", "--token-file", file.as_str()],
    );
    let with = |header: &str| {
        let answer = served.request("GET /healthz", header);
        let asks = answer.head.contains("www-authenticate: bearer");
        assert_eq!(answer.status == 401, asks, "{}", answer.head);
        answer.status
    };
    assert_eq!(with(""), 401);
    assert_eq!(with(&format!("Authorization: Bearer {TOKEN}\r\n")), 200);
    assert_eq!(with(&format!("Authorization: Bearer {TOKEN}0\r\n")), 401);
    assert_eq!(
        with(&format!("Authorization: Bearer {}\r\n", &TOKEN[1..])),
        401
    );
    assert_eq!(with(&format!("Authorization: Basic {TOKEN}\r\n")), 401);
    assert_eq!(with(&format!("X-Token: {TOKEN}\r\n")), 401);
    for path in ["/", "/metrics", "/nothing", "/plan/x.json"] {
        assert_eq!(served.get(path).status, 401, "{path}");
    }
}

#[test]
fn other_machines_need_a_token_and_a_token_needs_a_closed_file() {
    let Some(scratch) = empty() else { return };
    let ends = |args: &[&str], expected: i32, hint: &str| {
        let ran = run(&scratch, &[&["serve", "--idle-exit", "1s"], args].concat());
        assert_eq!(ran.status, expected, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(hint), "{args:?}: {}", ran.stderr);
    };
    ends(&["--listen", "0.0.0.0:0"], 2, "Use --token-file FILE");
    ends(&["--listen", "[::]:0"], 2, "Use --token-file FILE");
    ends(
        &["--listen", "localhost:9748"],
        2,
        "use an address and a port",
    );
    let with = |text: &str, mode: u32, expected: i32, hint: &str| {
        let file = token_file(&scratch, text, mode);
        ends(
            &["--listen", "0.0.0.0:0", "--token-file", file.as_str()],
            expected,
            hint,
        );
    };
    with(TOKEN, 0o644, 77, "other users may read it");
    with("", 0o600, 2, "a token has 16 to 1024 characters");
    with("short", 0o600, 2, "openssl rand -hex 32");
    with(&"x".repeat(10_000), 0o600, 77, "cannot use the token");
    let absent = scratch.base().join("absent");
    ends(
        &["--token-file", absent.as_str()],
        77,
        "cannot use the token",
    );
    if is_root() {
        let file = token_file(&scratch, TOKEN, 0o600);
        nix::unistd::chown(file.as_std_path(), Some(65_534.into()), None).unwrap();
        ends(
            &["--token-file", file.as_str()],
            77,
            "belongs to user 65534",
        );
    }
}

#[test]
fn a_socket_in_use_is_an_error_that_names_it() {
    let Some(scratch) = empty() else { return };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = run(&scratch, &["serve", "--listen", &address]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr
            .contains(&format!("cannot listen on http://{address}/"))
    );
    assert!(ran.stderr.contains("Choose another port"), "{}", ran.stderr);
    let absent = format!("unix:{}/absent/socket", scratch.base());
    let ran = run(&scratch, &["serve", "--listen", &absent]);
    assert_eq!(ran.status, 73, "{}", ran.stderr);
    let long = format!("unix:/{}", "x".repeat(200));
    assert_eq!(run(&scratch, &["serve", "--listen", &long]).status, 73);
}

fn ask_socket(path: &str) -> u16 {
    let mut stream = UnixStream::connect(path).unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    Answer::of(&rest(&mut stream)).status
}

#[test]
fn a_unix_socket_is_for_its_owner_and_takes_no_token() {
    let Some(scratch) = empty() else { return };
    let file = token_file(&scratch, TOKEN, 0o600);
    let path = scratch.base().join("serve.sock");
    let listen = format!("unix:{path}");
    let mut served = Served::start(
        &scratch,
        &["--listen", &listen, "--token-file", file.as_str()],
    );
    assert_eq!(served.address, listen);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(ask_socket(path.as_str()), 200);
    assert_eq!(served.end(Signal::SIGINT).0, 0);
    assert!(!path.exists());
}

#[test]
fn it_ends_at_once_when_it_is_told_to() {
    let Some(scratch) = machine() else { return };
    let mut served = Served::on_loopback(&scratch);
    // One connection that waits, one in the middle of a head, and one whose document is made.
    let _waits = served.connect();
    served.connect().write_all(b"GET /").unwrap();
    let mut asks = served.connect();
    asks.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let (status, took) = served.end(Signal::SIGTERM);
    assert_eq!(status, 0);
    // It takes some ten milliseconds; the machine may be busy.
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn it_ends_when_nobody_asks() {
    let Some(scratch) = empty() else { return };
    let mut served = Served::start(&scratch, &["--listen", "127.0.0.1:0", "--idle-exit", "1s"]);
    let begun = Instant::now();
    // A connection that is open is no idleness.
    let stream = served.connect();
    std::thread::sleep(Duration::from_millis(1500));
    served.is_alive();
    drop(stream);
    assert_eq!(served.ends_by_itself(), 0);
    assert!(begun.elapsed() >= Duration::from_millis(2500));
}

/// The service with a socket that is passed as systemd does.
fn activated(
    scratch: &Scratch,
    socket: impl Into<Stdio>,
    pid: &str,
    args: &str,
) -> std::process::Command {
    let ours = program(scratch);
    let start = scratch.base().join("start");
    let binary = ours.get_program().to_string_lossy().into_owned();
    script(
        &start,
        &format!(
            "export LISTEN_FDS=1 LISTEN_PID={pid}\nexec '{binary}' serve {args} 3<&0 0</dev/null"
        ),
    );
    let mut command = crate::support::command(&start);
    let variables = ours
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    command
        .env_clear()
        .envs(variables)
        .current_dir(scratch.base())
        .stdin(socket);
    command
}

#[test]
fn the_socket_of_the_service_manager_is_used() {
    let Some(scratch) = empty() else { return };
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let passed = || OwnedFd::from(socket.try_clone().unwrap());
    let child = activated(&scratch, passed(), "$$", "--idle-exit 1s")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut served = Served { child, address };
    // The kernel keeps a request until the service accepts it.
    served.is_alive();
    assert_eq!(served.ends_by_itself(), 0);

    // An address that is named is taken instead.
    let taken = format!("--listen {}", served.address);
    let ran = run_command(&mut activated(&scratch, passed(), "$$", &taken));
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    // Variables for another process are not ours. The default address may be in use here, so that the service ends or fails.
    let everywhere = || OwnedFd::from(TcpListener::bind("0.0.0.0:0").unwrap());
    for pid in ["1", "", "$$0"] {
        let ran = run_command(&mut activated(
            &scratch,
            everywhere(),
            pid,
            "--idle-exit 1s",
        ));
        assert!(matches!(ran.status, 0 | 1), "{}", ran.stderr);
        assert!(!ran.stderr.contains("--token-file"), "{}", ran.stderr);
    }
    // What is passed to us must be a socket for this machine.
    let Ran { status, stderr, .. } = run_command(&mut activated(&scratch, everywhere(), "$$", ""));
    assert_eq!(status, 2, "{stderr}");
    assert!(stderr.contains("Use --token-file"), "{stderr}");
    let Ran { status, stderr, .. } = run_command(&mut activated(&scratch, Stdio::null(), "$$", ""));
    assert_eq!(status, 2, "{stderr}");
    assert!(stderr.contains("ListenStream="), "{stderr}");
}
