//! Scripts: what the repository has in other languages is tested by Python, and by the tools that its users have.
//!
//! | file | what it tests |
//! |---|---|
//! | `commits` | which histories the check of commits takes |
//! | `compare` | the comparison with other servers, on canned results and servers that are none; `ASPINE_BLESS=1` writes its report anew |
//! | `host` | tuning/: the CPU script on a tree that only looks like a machine, the sysctl file, the unit file |
//! | `container` | the seccomp profile by serving under it, the image's recipe, the Kubernetes manifests by their schemas |
//! | `package` | the Debian package: its content, and its life on a machine with a systemd of its own |
//!
//! What is not there to test with leaves its tests out, unless `ASPINE_REQUIRE_CLIENTS=1`.
#![cfg(feature = "server")]

use std::path::Path;
use std::process::{Command, Stdio};

/// Runs the tests of one file. Those that it leaves out are printed.
fn check(file: &str) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(file);
    let mut cmd = Command::new("python3");
    cmd.arg("-B").arg(tests).arg("--verbose").env("ASPINE_BINARY", env!("CARGO_BIN_EXE_aspine"));
    let Ok(output) = cmd.stdin(Stdio::null()).output() else {
        let required = std::env::var("ASPINE_REQUIRE_CLIENTS").is_ok_and(|value| value == "1");
        assert!(!required, "python3 is not there and ASPINE_REQUIRE_CLIENTS=1");
        eprintln!("left out: python3 is not there");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
    for line in said.lines().filter(|line| line.contains(" ... skipped ")) {
        eprintln!("left out: {line}");
    }
}

#[test]
fn the_check_of_commits_holds_its_tests() {
    check("commits.py");
}

#[test]
fn the_comparison_holds_its_tests() {
    check("compare.py");
}

#[test]
fn the_tuning_of_a_host_holds_its_tests() {
    check("host.py");
}

#[test]
fn containers_hold_their_tests() {
    check("container.py");
}

#[test]
fn the_package_holds_its_tests() {
    check("package.py");
}
