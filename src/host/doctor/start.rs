//! Start: checks what a start needs: kernel, io_uring, memlock, descriptors, the backlog. A failing finding has the text of
//! the start's error.

use super::host::Host;
use super::plan::Plan;
use super::verdict::{Outcome, Verdict, failing, ok, parts, size, unknown, warning};
use crate::host::{IoUringCause, StartError, memlock_bytes_needed, memlock_holds};
use crate::limits::{KERNEL_MIN, LISTEN_BACKLOG};

fn refused(error: &StartError) -> Outcome {
    let (found, fix) = parts(&error.to_string());
    (Verdict::Failing, found, fix)
}

pub(super) fn kernel(host: &Host, _plan: &Plan) -> Outcome {
    let (release, (major, minor)) = (&host.process.kernel_release, KERNEL_MIN);
    match host.process.kernel_version() {
        Some(version) if version < KERNEL_MIN => {
            let cause = IoUringCause::KernelTooOld { kernel: release.clone() };
            refused(&StartError::IoUring { cause, source: None })
        }
        Some(_) => ok(format!("Linux {release}")),
        None => warning(
            format!("unknown: /proc/sys/kernel/osrelease says {release:?}"),
            format!("uname -r, which must say {major}.{minor} or later"),
        ),
    }
}

pub(super) fn io_uring(host: &Host, _plan: &Plan) -> Outcome {
    match (&host.io_uring, host.process.io_uring_disabled) {
        (Err(error), _) => refused(error),
        (Ok(_), Some(1)) => {
            ok("allowed to this user, since kernel.io_uring_disabled is 1 and it is privileged or in the group")
        }
        (Ok(_), _) => ok("allowed, with every operation that is needed"),
    }
}

pub(super) fn seccomp(host: &Host, _plan: &Plan) -> Outcome {
    match (&host.seccomp, &host.io_uring) {
        (Err(why), _) => unknown(why, "grep Seccomp /proc/self/status, which must say 0, or 2 with io_uring allowed"),
        (Ok(0), _) => ok("no filter"),
        (Ok(_), Ok(_)) => ok("a filter is in force, and lets io_uring pass"),
        (Ok(_), Err(error @ StartError::IoUring { cause: IoUringCause::DeniedBySeccomp, .. })) => {
            let (_, fix) = parts(&error.to_string());
            failing("a filter is in force, and denies io_uring", fix)
        }
        (Ok(_), Err(_)) => warning(
            "a filter is in force, and io_uring fails for another reason",
            "mend io_uring first, then look again",
        ),
    }
}

pub(super) fn sysfs(host: &Host, _plan: &Plan) -> Outcome {
    if host.sysfs { ok("/sys is mounted") } else { refused(&StartError::NoSysfs) }
}

pub(super) fn memlock(host: &Host, plan: &Plan) -> Outcome {
    let (cores, limit) = (
        plan.needs.cores,
        match &host.memlock {
            Ok(limit) => *limit,
            Err(error) => return refused(error),
        },
    );
    let charged = host.io_uring.as_ref().ok().copied();
    if let Err(error) = memlock_holds(cores, limit, charged.unwrap_or(false)) {
        return refused(&error);
    }
    // Where io_uring can't be tried, the larger need may be that of this kernel.
    if let (None, Err(error)) = (charged, memlock_holds(cores, limit, true)) {
        let (found, fix) = parts(&error.to_string());
        return warning(format!("on some kernels {found}"), fix);
    }
    let needed = size(memlock_bytes_needed(cores, charged.unwrap_or(false)));
    let limit = if limit == u64::MAX { "unlimited".to_owned() } else { size(limit) };
    ok(format!("RLIMIT_MEMLOCK is {limit}, and {needed} are needed"))
}

pub(super) fn transport(host: &Host, _plan: &Plan) -> Outcome {
    match &host.own_ring {
        Ok(()) => ok("each core has an io_uring of its own"),
        Err(lack) => warning(format!("epoll, for each core can have no io_uring of its own: {lack}"), lack.fix()),
    }
}

pub(super) fn descriptors(host: &Host, plan: &Plan) -> Outcome {
    let wanted = plan.needs.maxclients;
    match &host.descriptors {
        Err(error) => refused(error),
        Ok(fds) => match fds.warning(wanted) {
            Some(line) => {
                let (found, fix) = parts(&line);
                warning(found, fix)
            }
            None => {
                let limit = if fds.soft == u64::MAX { "no limit".to_owned() } else { format!("limit {}", fds.soft) };
                ok(format!("{limit}: room for {wanted} clients and {} of the server's own", fds.own))
            }
        },
    }
}

pub(super) fn backlog(host: &Host, _plan: &Plan) -> Outcome {
    let fix = format!("sysctl -w net.core.somaxconn={LISTEN_BACKLOG}");
    match &host.somaxconn {
        Err(why) => unknown(why, fix),
        Ok(max) if *max < LISTEN_BACKLOG.unsigned_abs().into() => warning(
            format!(
                "net.core.somaxconn is {max} and cuts the backlog of {LISTEN_BACKLOG}: when many clients connect at once, \
                 some wait a second or more"
            ),
            fix,
        ),
        Ok(max) => ok(format!("net.core.somaxconn is {max}, the backlog {LISTEN_BACKLOG}")),
    }
}
