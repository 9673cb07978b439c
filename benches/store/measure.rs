//! Times and memory of whole processes.

use std::fmt;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What one thing took, each time.
#[derive(Debug, Clone)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn of(times: Vec<Duration>) -> Self {
        Self(times)
    }

    pub(crate) fn median(&self) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        *sorted.get(sorted.len() / 2).unwrap()
    }

    /// How often the other's median goes into ours.
    pub(crate) fn over(&self, other: &Self) -> f64 {
        self.median().as_secs_f64() / other.median().as_secs_f64()
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: &Duration| time.as_secs_f64() * 1e3;
        let (least, most) = (self.0.iter().min().unwrap(), self.0.iter().max().unwrap());
        let (median, least, most) = (ms(&self.median()), ms(least), ms(most));
        write!(f, "{median:9.1} ms ({least:.1} to {most:.1})")
    }
}

/// Does one after the other, again and again, so that what else the machine does befalls all alike; the first time does
/// not count, unless there is no other.
pub(crate) fn alternate<const N: usize>(
    rounds: usize,
    mut what: [&mut dyn FnMut() -> Duration; N],
) -> [Samples; N] {
    let mut samples: [Vec<Duration>; N] = [const { Vec::new() }; N];
    for round in 0..=rounds {
        if round == 0 && rounds == 1 {
            continue;
        }
        for (thing, samples) in what.iter_mut().zip(&mut samples) {
            let time = thing();
            if round > 0 {
                samples.push(time);
            }
        }
    }
    samples.map(Samples)
}

/// The time of a process from its start to its end.
pub(crate) fn command(command: &mut Command) -> Duration {
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output().unwrap();
    let time = begun.elapsed();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    time
}

/// The most memory that a process had, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// What belongs to it alone; pages of mapped files are not among it.
    pub(crate) anonymous: u64,
    /// All that was resident.
    pub(crate) resident: u64,
}

/// Looks every millisecond; `None` where the system does not tell.
pub(crate) fn memory(command: &mut Command) -> Option<Memory> {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = quiet.stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = Memory::default();
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':')
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()
        };
        most.anonymous = most.anonymous.max(field("RssAnon").unwrap_or(0) << 10);
        most.resident = most.resident.max(field("VmHWM").unwrap_or(0) << 10);
        std::thread::sleep(Duration::from_millis(1));
    }
    (most.anonymous > 0).then_some(most)
}
