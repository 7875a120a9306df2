//! Namespaces: whether a command may have mounts of its own here. Containers deny them, and a root that is no mount point
//! (a chroot) takes no propagation; a test that needs them leaves itself out then, with the reason.

use std::process::Command;

/// The first of `flags` by which `unshare` gives a command mounts of its own over all of `dirs`, or why none does.
pub(crate) fn own_mounts(flags: &[&'static str], dirs: &[&str]) -> Result<&'static str, String> {
    let mounts: Vec<_> = dirs.iter().map(|dir| format!("mount -t tmpfs -o size=1m none {dir}")).collect();
    let probe = mounts.join(" && ");
    let mut why = String::new();
    for flag in flags {
        match Command::new("unshare").args([flag, "sh", "-c", &probe]).output() {
            Ok(output) if output.status.success() => return Ok(flag),
            Ok(output) => why = String::from_utf8_lossy(&output.stderr).trim_end().to_owned(),
            Err(error) => why = format!("unshare: {error}"),
        }
    }
    Err(why)
}
