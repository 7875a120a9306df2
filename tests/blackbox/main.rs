//! Black box: the real binary, through its sockets and signals alone. Each module is named by the property it checks.
//!
//! | file | what belongs there |
//! |---|---|
//! | `wire` | the table of wire cases, whole and in pieces |
//! | `under_load` | every reply right while many clients pipeline |
//! | `bad_protocol` | bytes that are no requests, and requests that never end |
//! | `bad_clients` | clients that don't read, vanish, stay idle or come in floods |
//! | `access` | auth keys |
//! | `bounds` | items and bytes a server keeps |
//! | `core_ports` | a port for each core, and what clients are told of them |
//! | `import` | what comes from a Redis: its dump file, or what it has |
//! | `operating` | CLIENT, CONFIG and INFO over all cores |
//! | `introspection` | what commands took: INFO, SLOWLOG, LATENCY, and DEBUG |
//! | `snapshots` | saves, loads, kills, full disks, names that are none |
//! | `disk` | file systems that are full, files left by a crash, files that are damaged |
//! | `tracking` | clients that are told of changes of keys they have read |
//! | `listening` | ports, Unix sockets, CPUs |
//! | `messages` | subscribers: who gets what, who does not read, who vanishes |
//! | `monitor` | what clients that watch are shown |
//! | `patterns` | glob patterns that are long to compare |
//! | `commands` | `aspine ping`, `info`, `clear`; completions, manual pages, colour, exit codes |
//! | `settings` | `--config` and `--check` |
//! | `service` | what a service manager is told |
//! | `daemon` | leaving the terminal, pid files, `aspine stop`, the log opened again |
//! | `ending` | SIGTERM, SIGINT, and the start after them |
//! | `host_checks` | refusals to start |
//! | `doctor` | what `aspine doctor` says of this host, and of hostile ones |
//! | `watching` | the admin endpoint: metrics, health, readiness |
//!
//! No test asserts a time: there are only deadlines, long enough that passing one is a hang.
#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a failed call fails the test")]
#![expect(clippy::disallowed_methods, reason = "deadlines, client threads and polling of another process")]

#[expect(unreachable_pub, reason = "shared with tests/simulation, as data")]
#[path = "../wire/cases.rs"]
mod cases;
#[path = "../support/mod.rs"]
mod support;

mod access;
mod bad_clients;
mod bad_protocol;
mod bounds;
mod commands;
mod core_ports;
mod daemon;
mod databases;
mod disk;
mod doctor;
mod ending;
mod host_checks;
mod import;
mod introspection;
mod listening;
mod messages;
mod monitor;
mod operating;
mod patterns;
mod service;
mod settings;
mod snapshots;
mod tracking;
mod under_load;
mod watching;
mod wire;
