//! Start errors: every cause of a failed start with its fix, in one line of text each.
//!
//! Owner: the runtime's start; `cli` prints it. `Display` is `what failed: why; what to do`, never
//! with a line break.
//! Whose fault it is: the host's or the command line's. What follows: the process ends, nothing was
//! served.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::own_ring::OwnRingLack;
pub use super::process_error::ProcessError;
use crate::limits::KERNEL_MIN;

/// The reason why the server did not start.
#[derive(Debug)]
pub enum StartError {
    /// io_uring can't be used.
    IoUring {
        /// What refused io_uring.
        cause: IoUringCause,
        /// The system call's error; `None` if the calls went well and the kernel lacks something.
        source: Option<io::Error>,
    },
    /// The hard limit on locked memory is below what the executors need.
    Memlock {
        /// The number of cores.
        cores: usize,
        /// The bytes of lockable memory needed.
        bytes_needed: u64,
        /// The limit in bytes.
        bytes_limit: u64,
        /// The error, if the kernel refused a ring although the limit was large enough.
        source: Option<io::Error>,
    },
    /// Cores can't have rings of their own, and are to have them.
    OwnRing {
        /// Why they can't.
        lack: OwnRingLack,
    },
    /// The hard limit on descriptors leaves none for a client.
    FdLimit {
        /// The number of descriptors needed.
        needed: u64,
        /// The hard limit.
        limit: u64,
    },
    /// A limit could not be read or raised.
    Rlimit {
        /// The name of the limit: `RLIMIT_NOFILE` or `RLIMIT_MEMLOCK`.
        name: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// The machine's CPUs can't be looked up, as glommio does for every core.
    NoSysfs,
    /// The affinity mask could not be read.
    Affinity {
        /// The cause.
        source: io::Error,
    },
    /// A core could not be pinned to its CPU.
    Pin {
        /// The number of the core.
        core: usize,
        /// The number of the CPU.
        cpu: usize,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A core's executor, thread or channel could not be created.
    Core {
        /// The number of the core.
        core: usize,
        /// What failed, as `executor`.
        what: &'static str,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Another process listens on the port.
    PortInUse {
        /// The address and port.
        address: SocketAddr,
        /// The kernel's error; `None` if the check was our own.
        source: Option<io::Error>,
    },
    /// A core port is in use, or can't be listened on.
    CorePort {
        /// The address and port.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The address can't be listened on.
    Bind {
        /// The address and port.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The admin endpoint's address can't be listened on.
    Admin {
        /// The address and port.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The Unix socket can't be listened on.
    UnixSocket {
        /// The path.
        path: PathBuf,
        /// The cause. `AddrInUse` says that another server listens there, or that the path is
        /// not a socket.
        source: io::Error,
    },
    /// The log file can't be opened.
    LogFile {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A helper of the whole process could not be set up.
    Setup {
        /// What failed, as `signal handling`.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// The directory of snapshots can't be used.
    DataDir {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The last snapshot can't be loaded.
    Load {
        /// The failure and its cause.
        why: String,
    },
    /// The server has ended, but without the snapshot it should have left.
    LastSnapshot,
    /// The process can't become a daemon, or can't lock the pid file.
    Process(ProcessError),
}

impl StartError {
    /// The error of listening on `address`.
    pub fn listen(address: SocketAddr, source: io::Error) -> StartError {
        match source.kind() {
            io::ErrorKind::AddrInUse => StartError::PortInUse { address, source: Some(source) },
            _ => StartError::Bind { address, source },
        }
    }

    /// The error of listening on a core port.
    pub fn listen_for_core(address: SocketAddr, source: io::Error) -> StartError {
        match source.kind() {
            // A wrong address is wrong on every port.
            io::ErrorKind::AddrNotAvailable => StartError::Bind { address, source },
            _ => StartError::CorePort { address, source },
        }
    }
}

/// What refuses io_uring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IoUringCause {
    /// `kernel.io_uring_disabled` is 2.
    DisabledForAll,
    /// `kernel.io_uring_disabled` is 1, and this process is neither privileged nor in
    /// `kernel.io_uring_group`.
    DisabledForUnprivileged,
    /// A seccomp filter denies it.
    DeniedBySeccomp,
    /// A security module denies it, since no filter and no sysctl does.
    DeniedByPolicy,
    /// The kernel is older than `KERNEL_MIN`.
    KernelTooOld {
        /// The release of the kernel.
        kernel: String,
    },
    /// The kernel was built without io_uring.
    NotBuilt {
        /// The release of the kernel.
        kernel: String,
    },
    /// The kernel's io_uring lacks operations.
    OpsMissing {
        /// The names of the missing operations.
        names: Vec<&'static str>,
        /// The kernel's release.
        kernel: String,
    },
    /// None of these; only the system call's error is known.
    Unknown,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::IoUring { cause, source } => fmt_io_uring(f, cause, source.as_ref()),
            StartError::Memlock { cores, bytes_needed, bytes_limit, source } => {
                fmt_memlock(f, *cores, *bytes_needed, *bytes_limit, source.is_some())
            }
            StartError::OwnRing { lack } => {
                write!(f, "cannot use --transport ring: {lack}; {}, or give --transport auto", lack.fix())
            }
            StartError::FdLimit { needed, limit } => write!(
                f,
                "too few file descriptors: the server and one client need {needed} and the hard limit is {limit}; raise \
                 it with ulimit -n, LimitNOFILE= in the systemd unit or docker --ulimit nofile=65536, or run fewer cores"
            ),
            StartError::Rlimit { name, source } => {
                write!(
                    f,
                    "cannot read or raise {name}: {source}; allow getrlimit and setrlimit (prlimit64) in the sandbox"
                )
            }
            StartError::NoSysfs => f.write_str(
                "cannot look up the CPUs: /sys is not mounted; mount it with mount -t sysfs -o ro sysfs /sys, or start the \
                 sandbox or chroot with /sys in it",
            ),
            StartError::Affinity { source } => {
                write!(f, "cannot read the CPU affinity: {source}; allow sched_getaffinity in the sandbox")
            }
            StartError::Pin { core, cpu, source } => write!(
                f,
                "cannot pin core {core} to CPU {cpu}: {source}; choose online CPUs of this process's cpuset with --cpus"
            ),
            StartError::Core { core, what, source } => {
                let why = source.to_string().replace('\n', " ");
                write!(f, "cannot run core {core}: its {what} failed: {why}; free memory, threads or descriptors, or lower --cores")
            }
            StartError::PortInUse { .. }
            | StartError::CorePort { .. }
            | StartError::Bind { .. }
            | StartError::Admin { .. }
            | StartError::UnixSocket { .. } => fmt_listen(f, self),
            StartError::LogFile { path, source } => {
                write!(
                    f,
                    "cannot open the log file {path:?}: {source}; --log-file needs a path this user may append to"
                )
            }
            StartError::DataDir { path, source } => write!(
                f,
                "cannot use the data directory {path:?}: {source}; --data-dir needs one that this user may write, and that \
                 no other server uses"
            ),
            StartError::Load { why } => write!(
                f,
                "{why}; look at the file with `aspine check`, and move it away or put another in its place to begin without \
                 its items"
            ),
            StartError::LastSnapshot => f.write_str(
                "cannot save the last snapshot: the log says why; the one before it is still there, without what changed since",
            ),
            StartError::Process(error) => error.fmt(f),
            StartError::Setup { what, source } => {
                write!(f, "cannot set up {what}: {source}; check the limits and the sandbox of this process")
            }
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            StartError::FdLimit { .. }
            | StartError::NoSysfs
            | StartError::OwnRing { .. }
            | StartError::Load { .. }
            | StartError::LastSnapshot => None,
            StartError::Process(error) => error.source(),
            StartError::IoUring { source, .. }
            | StartError::Memlock { source, .. }
            | StartError::PortInUse { source, .. } => source.as_ref().map(|source| source as &(dyn Error + 'static)),
            StartError::Rlimit { source, .. }
            | StartError::Affinity { source }
            | StartError::Bind { source, .. }
            | StartError::Admin { source, .. }
            | StartError::CorePort { source, .. }
            | StartError::UnixSocket { source, .. }
            | StartError::LogFile { source, .. }
            | StartError::DataDir { source, .. }
            | StartError::Setup { source, .. } => Some(source),
            StartError::Pin { source, .. } | StartError::Core { source, .. } => Some(&**source),
        }
    }
}

/// An error of a listening socket.
fn fmt_listen(f: &mut fmt::Formatter<'_>, error: &StartError) -> fmt::Result {
    match error {
        StartError::PortInUse { address, .. } => fmt_port(f, *address, "", "the port is in use", "--port"),
        StartError::CorePort { address, source } => {
            let why = match source.kind() {
                io::ErrorKind::AddrInUse => "the port is in use".to_owned(),
                _ => source.to_string(),
            };
            fmt_port(f, *address, " for one core", &why, "--core-ports")
        }
        StartError::Bind { address, source } => {
            write!(f, "cannot listen on {address}: {source}; {}", bind_fix(source))
        }
        StartError::Admin { address, source } => {
            write!(f, "cannot listen on --admin-addr {address}: {source}; {}", admin_fix(address.port(), source))
        }
        StartError::UnixSocket { path, source } => {
            write!(f, "cannot listen on {path:?}: {source}; {}", unix_fix(source))
        }
        _ => Ok(()),
    }
}

fn fmt_io_uring(f: &mut fmt::Formatter<'_>, cause: &IoUringCause, source: Option<&io::Error>) -> fmt::Result {
    let (major, minor) = KERNEL_MIN;
    f.write_str("cannot use io_uring: ")?;
    match cause {
        IoUringCause::DisabledForAll => f.write_str(
            "kernel.io_uring_disabled = 2 denies it to every process; as root, run sysctl -w kernel.io_uring_disabled=0",
        ),
        IoUringCause::DisabledForUnprivileged => f.write_str(
            "kernel.io_uring_disabled = 1 denies it to this user; as root, run sysctl -w kernel.io_uring_disabled=0, or set \
             kernel.io_uring_group to a group of this user",
        ),
        IoUringCause::DeniedBySeccomp => f.write_str(
            "a seccomp filter denies it, as containers have by default; allow io_uring_setup, io_uring_enter and \
             io_uring_register in the profile, as Aspine's tuning/seccomp.json does (docker run --security-opt \
             seccomp=tuning/seccomp.json, Kubernetes seccompProfile type Localhost), or run without one (seccomp=unconfined)",
        ),
        IoUringCause::DeniedByPolicy => f.write_str(
            "this process has no permission, and neither a seccomp filter nor kernel.io_uring_disabled is the reason; allow \
             it in the security module's policy (SELinux, AppArmor)",
        ),
        IoUringCause::KernelTooOld { kernel } => {
            write!(f, "kernel {kernel} is too old; run Linux {major}.{minor} or later")
        }
        IoUringCause::NotBuilt { kernel } => write!(
            f,
            "kernel {kernel} was built without it or hides it; run a kernel with CONFIG_IO_URING=y, outside sandboxes such \
             as gVisor"
        ),
        IoUringCause::OpsMissing { names, kernel } => write!(
            f,
            "kernel {kernel} lacks the operations {}; run Linux {major}.{minor} or later",
            names.join(", ")
        ),
        IoUringCause::Unknown => match source {
            Some(source) => write!(f, "{source}; run Linux {major}.{minor} or later, outside sandboxes that hide it"),
            None => write!(f, "unknown cause; run Linux {major}.{minor} or later, outside sandboxes that hide it"),
        },
    }
}

fn fmt_memlock(
    f: &mut fmt::Formatter<'_>,
    cores: usize,
    bytes_needed: u64,
    bytes_limit: u64,
    refused: bool,
) -> fmt::Result {
    let needed_kib = bytes_needed.div_ceil(1024);
    let limit_kib = bytes_limit / 1024;
    let cores = if cores == 1 { "1 core needs".to_owned() } else { format!("{cores} cores need") };
    write!(f, "too little lockable memory for io_uring: {cores} {needed_kib} KiB and ")?;
    if refused && bytes_limit >= bytes_needed {
        write!(f, "this user's processes have used up RLIMIT_MEMLOCK, {limit_kib} KiB; raise it")?;
    } else {
        write!(f, "RLIMIT_MEMLOCK is {limit_kib} KiB; raise it")?;
    }
    write!(
        f,
        " with ulimit -l {needed_kib} as root, LimitMEMLOCK=infinity in the systemd unit, or docker run --ulimit memlock=-1"
    )
}

fn fmt_port(f: &mut fmt::Formatter<'_>, address: SocketAddr, whose: &str, why: &str, flag: &str) -> fmt::Result {
    let port = address.port();
    write!(
        f,
        "cannot listen on {address}{whose}: {why}; stop the other server (ss -ltnp sport = :{port} shows it), or choose \
         another {flag}"
    )
}

fn bind_fix(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => "choose a --port above 1023, or grant CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => "give --host an address of this machine (ip address shows them)",
        _ => "check --host and --port",
    }
}

fn admin_fix(port: u16, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            format!("stop what listens there (ss -ltnp sport = :{port} shows it), or choose another port")
        }
        io::ErrorKind::PermissionDenied => "choose a port above 1023, or grant CAP_NET_BIND_SERVICE".to_owned(),
        io::ErrorKind::AddrNotAvailable => "give it an address of this machine (ip address shows them)".to_owned(),
        _ => "check host and port".to_owned(),
    }
}

fn unix_fix(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            "stop the server that owns it, remove what is there, or choose another --unixsocket"
        }
        io::ErrorKind::PermissionDenied => "choose a folder this user may write to with --unixsocket",
        io::ErrorKind::NotFound => "create its folder first, or choose another --unixsocket",
        _ => "choose another path with --unixsocket",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_one_line_with_its_fix() {
        let io = || io::Error::from_raw_os_error(libc::EPERM);
        let io_uring = |cause| StartError::IoUring { cause, source: Some(io()) };
        let kernel = || "4.19.0".to_owned();
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let listen = |errno| StartError::listen(address, io::Error::from_raw_os_error(errno));
        let admin = |errno| StartError::Admin { address, source: io::Error::from_raw_os_error(errno) };
        let listen_for_core = |errno| StartError::listen_for_core(address, io::Error::from_raw_os_error(errno));
        let unix =
            |errno| StartError::UnixSocket { path: "/run/a\nb".into(), source: io::Error::from_raw_os_error(errno) };
        for (error, word) in [
            (io_uring(IoUringCause::DisabledForAll), "sysctl -w kernel.io_uring_disabled=0"),
            (io_uring(IoUringCause::DisabledForUnprivileged), "kernel.io_uring_group"),
            (io_uring(IoUringCause::DeniedBySeccomp), "io_uring_setup, io_uring_enter and io_uring_register"),
            (io_uring(IoUringCause::DeniedByPolicy), "SELinux"),
            (io_uring(IoUringCause::KernelTooOld { kernel: kernel() }), "Linux 5.8 or later"),
            (io_uring(IoUringCause::NotBuilt { kernel: kernel() }), "CONFIG_IO_URING"),
            (io_uring(IoUringCause::OpsMissing { names: vec!["SEND", "RECV"], kernel: kernel() }), "SEND, RECV"),
            (io_uring(IoUringCause::Unknown), "Operation not permitted"),
            (
                StartError::Memlock { cores: 2, bytes_needed: 512 * 1024, bytes_limit: 65536, source: None },
                "ulimit -l 512",
            ),
            (StartError::Memlock { cores: 1, bytes_needed: 1, bytes_limit: 0, source: Some(io()) }, "memlock=-1"),
            (StartError::OwnRing { lack: OwnRingLack::Kernel { release: kernel() } }, "--transport auto"),
            (StartError::FdLimit { needed: 65, limit: 64 }, "ulimit -n"),
            (StartError::Rlimit { name: "RLIMIT_NOFILE", source: io() }, "RLIMIT_NOFILE"),
            (StartError::NoSysfs, "mount -t sysfs"),
            (StartError::Affinity { source: io() }, "sched_getaffinity"),
            (StartError::Pin { core: 1, cpu: 7, source: Box::new(io()) }, "--cpus"),
            (StartError::Core { core: 1, what: "executor", source: "a\nb".into() }, "--cores"),
            (listen(libc::EADDRINUSE), "the port is in use"),
            (listen(libc::EACCES), "CAP_NET_BIND_SERVICE"),
            (listen(libc::EADDRNOTAVAIL), "ip address"),
            (listen(libc::EINVAL), "check --host and --port"),
            (admin(libc::EADDRINUSE), "sport = :80"),
            (admin(libc::EACCES), "above 1023"),
            (admin(libc::EADDRNOTAVAIL), "ip address"),
            (admin(libc::EINVAL), "check host and port"),
            (listen_for_core(libc::EADDRINUSE), "another --core-ports"),
            (listen_for_core(libc::EADDRNOTAVAIL), "ip address"),
            (unix(libc::EADDRINUSE), "stop the server"),
            (unix(libc::EACCES), "may write to"),
            (unix(libc::ENOENT), "create its folder"),
            (unix(libc::EINVAL), "another path"),
            (StartError::LogFile { path: "/x".into(), source: io() }, "--log-file"),
            (StartError::Setup { what: "signal handling", source: io() }, "signal handling"),
            (StartError::DataDir { path: "/data".into(), source: io() }, "--data-dir"),
            (StartError::Load { why: "cannot load f: damaged".to_owned() }, "aspine check"),
            (StartError::LastSnapshot, "snapshot"),
            (ProcessError::PidFile { path: "/p".into(), source: io() }.into(), "--pid-file"),
            (ProcessError::Running { path: "/p".into(), pid: Some(7) }.into(), "process 7"),
            (ProcessError::Running { path: "/p".into(), pid: None }.into(), "aspine stop"),
            (ProcessError::Detach { source: io() }.into(), "--daemon"),
        ] {
            let line = error.to_string();
            assert!(line.contains(word), "{word} in {line}");
            assert!(line.contains(": ") && line.contains("; "), "what: why; fix: {line}");
            assert!(!line.contains('\n') && line.is_ascii(), "{line}");
        }
    }

    #[test]
    fn the_cause_is_kept() {
        let error = StartError::listen("[::1]:1".parse().unwrap(), io::Error::from_raw_os_error(libc::EADDRINUSE));
        assert!(matches!(error, StartError::PortInUse { .. }));
        assert!(error.source().unwrap().to_string().contains("in use"));
    }
}
