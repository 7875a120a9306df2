//! Host checks: what the machine must grant before any executor is built.
//!
//! Owner: `cli::server`, once, on the main thread. glommio panics or exits where io_uring is denied
//! or too old, and fails late where memlock is small; here each of these is a `StartError` that
//! says what to change.
//! Never: builds an executor, keeps a descriptor, needs a privilege. The only lasting effect is
//! that the soft limits on descriptors and locked memory go up, at most to the hard ones.

use std::io;
use std::path::Path;

pub use self::error::{IoUringCause, ProcessError, StartError};
pub use self::facts::ProcessFacts;
pub use self::io_uring::probe_io_uring;
pub use self::own_ring::OwnRingLack;
use self::own_ring::{own_rings_bytes, try_own_ring};
use self::sys::{Resource, Rlimit};
use crate::config::{self, ServerConfig};
use crate::limits::{
    ADMIN_FDS, CPUS_MAX, FDS_PER_CORE, FDS_RESERVED, IO_MEMORY_BYTES, MEMLOCK_BYTES_MIN, RING_DEPTH, RINGS_PER_CORE,
};

pub mod doctor;
mod error;
mod facts;
mod io_uring;
mod own_ring;
pub mod process;
mod process_error;
mod sys;

/// The needs of a server on its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The number of cores, each with rings and descriptors of its own.
    pub cores: usize,
    /// The number of clients at once.
    pub maxclients: u32,
    /// Whether there is an admin endpoint, whose connections need descriptors too.
    pub admin: bool,
}

impl Needs {
    /// The needs of a server with this configuration.
    pub fn of(config: &ServerConfig) -> Needs {
        Needs { cores: config.cpus.len(), maxclients: config.maxclients, admin: config.admin_addr.is_some() }
    }
}

/// What glommio reads to find its CPUs; it panics where that is missing.
const CPUS_ONLINE_FILE: &str = "/sys/devices/system/cpu/online";

/// What the host grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// How the descriptors are shared out.
    pub fds: FdPlan,
    /// Whether each core can have a ring of its own for its sockets.
    pub own_ring: Result<(), OwnRingLack>,
}

/// Runs every check that a start needs, raises the limits, and tries io_uring.
pub fn check(needs: Needs) -> Result<Grant, StartError> {
    let facts = ProcessFacts::read();
    if !Path::new(CPUS_ONLINE_FILE).exists() {
        return Err(StartError::NoSysfs);
    }
    // The limits come first: the probe itself takes descriptors and, on some kernels, locked memory.
    let fds = raise_nofile(needs)?;
    let bytes_limit = raise_memlock()?;
    memlock_holds(needs.cores, bytes_limit, false)?;
    probe_io_uring(&facts)?;
    let rings_charged = rings_are_charged(&facts)?;
    memlock_holds(needs.cores, bytes_limit, rings_charged)?;
    Ok(Grant { fds, own_ring: own_ring(&facts, needs.cores, bytes_limit, rings_charged) })
}

/// How the cores reach their sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Whether by rings of their own, otherwise by epoll.
    pub own_ring: bool,
    /// Whether a core whose ring is refused ends the start; otherwise it uses epoll.
    pub required: bool,
    /// The reason for the choice.
    pub why: String,
}

/// The transport for what is wanted and what the host grants.
pub fn choose_transport(wanted: config::Transport, own_ring: Result<(), OwnRingLack>) -> Result<Transport, StartError> {
    let chosen = |own_ring, required, why: &str| Ok(Transport { own_ring, required, why: why.to_owned() });
    match (wanted, own_ring) {
        (config::Transport::Epoll, _) => chosen(false, false, "--transport epoll"),
        (config::Transport::Ring, Ok(())) => chosen(true, true, "--transport ring"),
        (config::Transport::Auto, Ok(())) => chosen(true, false, "the kernel has what it takes"),
        (config::Transport::Auto, Err(lack)) => chosen(false, false, &lack.to_string()),
        (config::Transport::Ring, Err(lack)) => Err(StartError::OwnRing { lack }),
    }
}

/// Whether each of `cores` cores can have a ring of its own.
fn own_ring(facts: &ProcessFacts, cores: usize, bytes_limit: u64, rings_charged: bool) -> Result<(), OwnRingLack> {
    try_own_ring(facts)?;
    let bytes_needed = memlock_bytes_needed(cores, true) + own_rings_bytes(cores);
    if rings_charged && bytes_limit < bytes_needed {
        return Err(OwnRingLack::Memlock { bytes_needed, bytes_limit });
    }
    Ok(())
}

/// An error unless `bytes_limit` of lockable memory is enough.
fn memlock_holds(cores: usize, bytes_limit: u64, rings_charged: bool) -> Result<(), StartError> {
    let bytes_needed = memlock_bytes_needed(cores, rings_charged);
    if bytes_limit < bytes_needed {
        return Err(StartError::Memlock { cores, bytes_needed, bytes_limit, source: None });
    }
    Ok(())
}

/// The CPUs this process may run on, ascending.
pub fn cpus_allowed() -> Result<Vec<usize>, StartError> {
    let mask = sys::affinity().map_err(|source| StartError::Affinity { source })?;
    let bits = usize::BITS as usize;
    Ok((0..CPUS_MAX).filter(|cpu| mask[cpu / bits] >> (cpu % bits) & 1 == 1).collect())
}

/// The split of the descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdPlan {
    /// The number of clients with room, at most as many as configured.
    pub maxclients: u32,
    /// The number of clients with room, whatever is configured.
    pub maxclients_max: u32,
    /// The descriptors of the server itself, inherited ones included.
    pub own: u64,
    /// The soft limit to set.
    pub soft: u64,
}

impl FdPlan {
    /// Splits the descriptors; `None` if not even one client has room below the hard limit. The soft limit is raised to the
    /// hard one, so that CONFIG SET maxclients has room.
    fn new(own: u64, maxclients: u32, limit: Rlimit) -> Option<FdPlan> {
        let room = limit.hard.checked_sub(own).filter(|room| *room > 0)?;
        let maxclients_max = u32::try_from(room).unwrap_or(u32::MAX);
        Some(FdPlan { maxclients: maxclients.min(maxclients_max), maxclients_max, own, soft: limit.hard })
    }

    /// A warning for the log if there is room for fewer clients than `wanted`.
    pub fn warning(&self, wanted: u32) -> Option<String> {
        let FdPlan { maxclients, own, soft, .. } = self;
        let needed = own + u64::from(wanted);
        (*maxclients < wanted).then(|| {
            format!(
                "maxclients lowered from {wanted} to {maxclients}: {wanted} clients need {needed} file descriptors, \
                 {own} of them for the server itself, and the limit is {soft}; raise it with ulimit -n, LimitNOFILE= \
                 or docker --ulimit nofile={needed}"
            )
        })
    }
}

/// Raises the soft limit on descriptors to the hard one, and shares them out.
pub fn raise_nofile(needs: Needs) -> Result<FdPlan, StartError> {
    let limit = rlimit(Resource::Nofile)?;
    let admin = if needs.admin { ADMIN_FDS } else { 0 };
    let own = facts::descriptors_inherited() + FDS_RESERVED + FDS_PER_CORE * needs.cores as u64 + admin;
    let plan =
        FdPlan::new(own, needs.maxclients, limit).ok_or(StartError::FdLimit { needed: own + 1, limit: limit.hard })?;
    raise_soft(Resource::Nofile, limit, plan.soft)?;
    Ok(plan)
}

/// Raises the soft limit on locked memory to the hard one, and returns it in bytes.
pub fn raise_memlock() -> Result<u64, StartError> {
    let limit = rlimit(Resource::Memlock)?;
    raise_soft(Resource::Memlock, limit, limit.hard)?;
    Ok(limit.hard)
}

/// Whether the memory of a ring counts against RLIMIT_MEMLOCK here. That depends on the kernel
/// (before 5.12 yes, then no, recently yes again) and on CAP_IPC_LOCK in the first user namespace,
/// so it is tried: by a ring under a limit of zero. If the ring is created, it is not charged; if
/// not, there is nothing to undo but the limit.
fn rings_are_charged(facts: &ProcessFacts) -> Result<bool, StartError> {
    let limit = rlimit(Resource::Memlock)?;
    set_rlimit(Resource::Memlock, Rlimit { soft: 0, ..limit })?;
    let tried = io_uring::try_ring(facts);
    set_rlimit(Resource::Memlock, limit)?;
    match tried {
        Ok(()) => Ok(false),
        Err(StartError::Memlock { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// The bytes of RLIMIT_MEMLOCK that the executors of `cores` cores need.
///
/// glommio asks every process for `MEMLOCK_BYTES_MIN`. Where rings are charged, those of all cores
/// and the memory registered with them must fit besides, or an executor fails; where only the
/// registered memory is charged nothing more is needed, since glommio goes on without it.
pub fn memlock_bytes_needed(cores: usize, rings_charged: bool) -> u64 {
    // The kernel allocates powers of two of whole pages.
    let pages = |bytes: u64| bytes.next_power_of_two().max(4096);
    let ring = |depth: u64| pages(depth * 64) + pages(320 + 2 * depth * 16 + depth * 4);
    let per_core = RINGS_PER_CORE * (ring(RING_DEPTH) + IO_MEMORY_BYTES);
    // The kernel frees a closed ring with a delay: the two of the probe may still count.
    let charged = cores as u64 * per_core + 2 * ring(1);
    if rings_charged { MEMLOCK_BYTES_MIN.max(charged) } else { MEMLOCK_BYTES_MIN }
}

/// The error of an executor, of one of `cores` cores, that failed on io_uring with `source` although
/// the checks passed: the limit on locked memory is shared by all processes of a user, and others
/// may have used it up.
pub fn ring_refused(cores: usize, source: io::Error) -> StartError {
    io_uring::refusal(cores, source, &ProcessFacts::read())
}

fn rlimit(resource: Resource) -> Result<Rlimit, StartError> {
    sys::rlimit(resource).map_err(|source| StartError::Rlimit { name: resource.name(), source })
}

fn raise_soft(resource: Resource, limit: Rlimit, soft: u64) -> Result<(), StartError> {
    if limit.soft >= soft {
        return Ok(());
    }
    set_rlimit(resource, Rlimit { soft, ..limit })
}

fn set_rlimit(resource: Resource, limit: Rlimit) -> Result<(), StartError> {
    sys::set_rlimit(resource, limit).map_err(|source| StartError::Rlimit { name: resource.name(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFINITE: u64 = u64::MAX;

    #[test]
    fn descriptors_are_shared_out_as_far_as_they_go() {
        const OWN: u64 = FDS_RESERVED + 2 * FDS_PER_CORE;
        for (name, maxclients, soft, hard, expected) in [
            ("enough already", 100, 1024, 4096, Some((100, 4096))),
            ("soft goes up to hard, whatever the need", 10_000, 1024, 1_048_576, Some((10_000, 1_048_576))),
            ("soft goes up to hard", 10_000, 1024, 4096, Some((4096 - OWN as u32, 4096))),
            ("exact fit", 1000, 64, 1000 + OWN, Some((1000, 1000 + OWN))),
            ("one short", 1000, 64, 999 + OWN, Some((999, 999 + OWN))),
            ("room for one", 1000, 3, 1 + OWN, Some((1, 1 + OWN))),
            ("room for none", 1000, 3, OWN, None),
            ("nothing", 1000, 0, 0, None),
            ("unlimited", u32::MAX, INFINITE, INFINITE, Some((u32::MAX, INFINITE))),
            ("unlimited hard", u32::MAX, 1024, INFINITE, Some((u32::MAX, INFINITE))),
        ] {
            let plan = FdPlan::new(OWN, maxclients, Rlimit { soft, hard });
            assert_eq!(plan.map(|plan| (plan.maxclients, plan.soft)), expected, "{name}");
            let warned = plan.and_then(|plan| plan.warning(maxclients)).is_some();
            assert_eq!(warned, expected.is_some_and(|(lowered, _)| lowered < maxclients), "{name}");
        }
    }

    #[test]
    fn rings_are_used_where_they_can_be() {
        let lack = || OwnRingLack::Kernel { release: "5.15.0".to_owned() };
        use config::Transport::{Auto, Epoll, Ring};
        for (wanted, granted, expected) in [
            (Auto, Ok(()), Some((true, false))),
            (Auto, Err(lack()), Some((false, false))),
            (Ring, Ok(()), Some((true, true))),
            (Ring, Err(lack()), None),
            (Epoll, Ok(()), Some((false, false))),
            (Epoll, Err(lack()), Some((false, false))),
        ] {
            let chosen = choose_transport(wanted, granted).ok().map(|chosen| (chosen.own_ring, chosen.required));
            assert_eq!(chosen, expected, "{wanted:?}");
        }
    }

    #[test]
    fn the_warning_states_the_numbers() {
        let plan = FdPlan::new(48, 20_000, Rlimit { soft: 1024, hard: 4096 }).unwrap();
        assert_eq!((plan.maxclients, plan.maxclients_max), (4048, 4048));
        let line = plan.warning(20_000).unwrap();
        for number in ["20000", "4048", "20048", "4096"] {
            assert!(line.contains(number), "{number} in {line}");
        }
        assert!(!line.contains('\n'));
    }

    #[test]
    fn memlock_grows_with_the_cores_only_where_rings_are_charged() {
        for (cores, rings_charged, bytes) in [
            (1, false, MEMLOCK_BYTES_MIN),
            (64, false, MEMLOCK_BYTES_MIN),
            (1, true, MEMLOCK_BYTES_MIN),
            (2, true, MEMLOCK_BYTES_MIN),
            (3, true, (3 * 240 + 16) * 1024),
            (64, true, (64 * 240 + 16) * 1024),
        ] {
            assert_eq!(memlock_bytes_needed(cores, rings_charged), bytes, "{cores} {rings_charged}");
        }
    }

    #[test]
    fn this_thread_runs_on_an_allowed_cpu() {
        let cpus = cpus_allowed().unwrap();
        assert!(!cpus.is_empty());
        assert!(cpus.is_sorted());
        assert!(cpus.len() >= std::thread::available_parallelism().unwrap().get(), "which knows quotas besides");
    }

    #[test]
    fn soft_limits_only_go_up() {
        let before = sys::rlimit(Resource::Nofile).unwrap();
        let plan = raise_nofile(Needs { cores: 1, maxclients: 16, admin: false }).unwrap();
        let after = sys::rlimit(Resource::Nofile).unwrap();
        assert!(after.soft >= before.soft);
        assert_eq!(after.soft, plan.soft);
        assert_eq!(after.hard, before.hard);
        assert_eq!(raise_memlock().unwrap(), sys::rlimit(Resource::Memlock).unwrap().soft);
    }
}
