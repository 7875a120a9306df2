//! Values of flags that are more than a number: byte sizes (`512mb`) and CPU lists (`0,2-5`).
//!
//! Owner: the command line. `CONFIG SET maxmemory` reads the same units. Pure.
//! Never: looks at the host. Whether a CPU may be used is checked in `config`. The errors say what
//! was wrong and give an example; the caller adds the flag and the text that was given.

use std::fmt;
use std::str::FromStr;

use crate::command::settings::BYTE_UNITS;
use crate::limits::{CPUS_MAX, SPIN_US_MAX};

/// An amount of memory in bytes, written as in redis.conf: a plain number, or one with a unit. `k m
/// g` are powers of 1000, `kb mb gb` powers of 1024, `b` is one byte; upper and lower case are the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(
    /// The number of bytes.
    pub u64,
);

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, suffix) = text.split_at(digits_end);
        if digits.is_empty() {
            return Err(SizeError::Malformed);
        }
        let (_, factor) =
            BYTE_UNITS.iter().find(|(unit, _)| unit.eq_ignore_ascii_case(suffix)).ok_or(SizeError::Malformed)?;
        // Only digits are left, so the one possible error is overflow.
        let number: u64 = digits.parse().map_err(|_| SizeError::TooLarge)?;
        number.checked_mul(*factor).map(ByteSize).ok_or(SizeError::TooLarge)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = BYTE_UNITS
            .iter()
            .rev()
            .filter(|(unit, _)| unit.len() == 2)
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match whole {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

/// How long an idle core looks for more before it sleeps: `auto`, `off`, or microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spin {
    /// As long as that costs no more CPU than to sleep.
    #[default]
    Auto,
    /// Not at all.
    Off,
    /// So many microseconds.
    For(
        /// The number of microseconds, at least one.
        u64,
    ),
}

impl FromStr for Spin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Spin::Auto),
            ("off", _) | (_, Ok(0)) => Ok(Spin::Off),
            (_, Ok(us)) if us <= SPIN_US_MAX => Ok(Spin::For(us)),
            _ => Err(format!("give auto, off, or a whole number from 0 to {SPIN_US_MAX}")),
        }
    }
}

impl fmt::Display for Spin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spin::Auto => f.write_str("auto"),
            Spin::Off => f.write_str("off"),
            Spin::For(us) => write!(f, "{us}"),
        }
    }
}

/// The reason why a text is not a [`ByteSize`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeError {
    /// Not digits followed by one of the units.
    Malformed,
    /// More bytes than 64 bits hold.
    TooLarge,
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SizeError::Malformed => {
                f.write_str("not a size; give whole bytes or a unit (b, k, kb, m, mb, g, gb), for example 512mb")
            }
            SizeError::TooLarge => f.write_str("more than 64 bits of bytes; give a smaller size, for example 512gb"),
        }
    }
}

impl std::error::Error for SizeError {}

/// An address to listen on: a host, which may be a name or an IPv6 address in brackets, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let (host, port) = text.rsplit_once(':').ok_or(HostPortError)?;
        let bracketed = host.strip_prefix('[').map(|rest| rest.strip_suffix(']').ok_or(HostPortError)).transpose()?;
        let port = port.parse().map_err(|_| HostPortError)?;
        match bracketed {
            Some(host) if host.parse::<std::net::Ipv6Addr>().is_ok() => Ok(HostPort { host: host.to_owned(), port }),
            None if !host.is_empty() && !host.contains(':') => Ok(HostPort { host: host.to_owned(), port }),
            _ => Err(HostPortError),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HostPort { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// The error of a text that is not a [`HostPort`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPortError;

impl fmt::Display for HostPortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not host and port; give for example 127.0.0.1:9116 or [::1]:9116")
    }
}

impl std::error::Error for HostPortError {}

/// CPU numbers in the order they were listed, each once, at least one, all below `CPUS_MAX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(Vec<usize>);

impl CpuList {
    /// The CPU numbers.
    pub fn into_vec(self) -> Vec<usize> {
        self.0
    }
}

impl FromStr for CpuList {
    type Err = CpuListError;

    fn from_str(text: &str) -> Result<Self, CpuListError> {
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (parse_cpu(first)?, parse_cpu(last)?),
                None => {
                    let cpu = parse_cpu(part)?;
                    (cpu, cpu)
                }
            };
            if first > last {
                return Err(CpuListError::Backwards { first, last });
            }
            for cpu in first..=last {
                if cpus.contains(&cpu) {
                    return Err(CpuListError::Twice { cpu });
                }
                cpus.push(cpu);
            }
        }
        Ok(CpuList(cpus))
    }
}

fn parse_cpu(text: &str) -> Result<usize, CpuListError> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(CpuListError::Malformed);
    }
    match text.parse() {
        Ok(cpu) if cpu < CPUS_MAX => Ok(cpu),
        _ => Err(CpuListError::TooLarge),
    }
}

/// The reason why a text is not a [`CpuList`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuListError {
    /// Not numbers and ranges separated by commas.
    Malformed,
    /// A CPU number beyond what Linux supports.
    TooLarge,
    /// A range that ends before it begins.
    Backwards {
        /// The first number, as written.
        first: usize,
        /// The last number, as written.
        last: usize,
    },
    /// A CPU listed more than once: two cores would share it.
    Twice {
        /// The CPU that is listed twice.
        cpu: usize,
    },
}

impl fmt::Display for CpuListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CpuListError::Malformed => {
                f.write_str("not a CPU list; give numbers and ranges separated by commas, for example 0,2-5")
            }
            CpuListError::TooLarge => {
                write!(f, "CPU numbers end at {}; give a list like 0,2-5", CPUS_MAX - 1)
            }
            CpuListError::Backwards { first, last } => {
                write!(f, "the range {first}-{last} is backwards; give {last}-{first}")
            }
            CpuListError::Twice { cpu } => {
                write!(f, "CPU {cpu} is listed twice; each core needs one of its own, for example 0,2-5")
            }
        }
    }
}

impl std::error::Error for CpuListError {}

/// The inverse of [`CpuList`]: `[0, 2, 3, 4]` is `0,2-4`. For messages.
pub(super) fn format_cpus(cpus: &[usize]) -> String {
    let mut parts = Vec::new();
    for run in cpus.chunk_by(|a, b| a + 1 == *b) {
        parts.push(match run {
            [] => continue,
            [one] => one.to_string(),
            [first, .., last] => format!("{first}-{last}"),
        });
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read() {
        for (text, expected) in [
            ("127.0.0.1:9116", Some(("127.0.0.1", 9116))),
            ("localhost:0", Some(("localhost", 0))),
            ("[::1]:80", Some(("::1", 80))),
            ("0.0.0.0:65535", Some(("0.0.0.0", 65535))),
            ("::1:80", None),
            ("[::1:80", None),
            ("[localhost]:80", None),
            ("localhost", None),
            ("9116", None),
            (":9116", None),
            ("localhost:", None),
            ("localhost:65536", None),
            ("localhost:-1", None),
            ("", None),
        ] {
            let found = text.parse::<HostPort>().ok();
            assert_eq!(found.as_ref().map(|at| (at.host.as_str(), at.port)), expected, "{text}");
            assert_eq!(found.map(|at| at.to_string()), expected.map(|_| text.to_owned()));
        }
    }

    #[test]
    fn sizes_are_read_as_redis_reads_them() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("17b", 17),
            ("1k", 1000),
            ("1kb", 1024),
            ("1K", 1000),
            ("1Kb", 1024),
            ("3m", 3_000_000),
            ("3MB", 3 * 1024 * 1024),
            ("512mb", 512 * 1024 * 1024),
            ("2g", 2_000_000_000),
            ("4gb", 4 * 1024 * 1024 * 1024),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_an_example() {
        for (text, error) in [
            ("", SizeError::Malformed),
            ("mb", SizeError::Malformed),
            ("-1", SizeError::Malformed),
            ("+1", SizeError::Malformed),
            ("1.5gb", SizeError::Malformed),
            ("1 gb", SizeError::Malformed),
            ("1tb", SizeError::Malformed),
            ("1kbb", SizeError::Malformed),
            ("5µ", SizeError::Malformed),
            ("18446744073709551616", SizeError::TooLarge),
            ("99999999999gb", SizeError::TooLarge),
        ] {
            assert_eq!(text.parse::<ByteSize>(), Err(error), "{text}");
            assert!(error.to_string().contains("for example"));
        }
    }

    #[test]
    fn sizes_print_in_the_largest_whole_unit() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1000, "1000 bytes"),
            (2048, "2kb"),
            (512 * 1024 * 1024, "512mb"),
            (4 << 30, "4gb"),
            ((4 << 30) + 1, "4294967297 bytes"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }

    #[test]
    fn cpu_lists_keep_their_order() {
        for (text, cpus) in [
            ("0", vec![0]),
            ("0,2-5", vec![0, 2, 3, 4, 5]),
            ("5,1", vec![5, 1]),
            ("3-3", vec![3]),
            ("0, 2", vec![0, 2]),
            ("8191", vec![8191]),
        ] {
            assert_eq!(text.parse(), Ok(CpuList(cpus)), "{text}");
        }
    }

    #[test]
    fn what_is_no_cpu_list_is_refused() {
        for (text, error) in [
            ("", CpuListError::Malformed),
            ("a", CpuListError::Malformed),
            ("1,", CpuListError::Malformed),
            ("1-", CpuListError::Malformed),
            ("-1", CpuListError::Malformed),
            ("1-2-3", CpuListError::Malformed),
            ("+1", CpuListError::Malformed),
            ("8192", CpuListError::TooLarge),
            ("0-99999999999999999999999", CpuListError::TooLarge),
            ("5-2", CpuListError::Backwards { first: 5, last: 2 }),
            ("0,0", CpuListError::Twice { cpu: 0 }),
            ("0-3,2", CpuListError::Twice { cpu: 2 }),
        ] {
            assert_eq!(text.parse::<CpuList>(), Err(error), "{text}");
        }
    }

    #[test]
    fn cpus_print_as_ranges() {
        for (cpus, text) in
            [(&[][..], ""), (&[7][..], "7"), (&[0, 1][..], "0-1"), (&[0, 2, 3, 4][..], "0,2-4"), (&[5, 1][..], "5,1")]
        {
            assert_eq!(format_cpus(cpus), text);
        }
    }
}
