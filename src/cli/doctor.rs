//! `aspine doctor`: whether this host is fit to serve from, a line for each check, or JSON.
//!
//! The checks are those of `host::doctor`; here are the flags and the output. Exits with 0 if nothing fails,
//! with 1 otherwise; warnings do not matter.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::error::Error;
use super::number::whole;
use super::{Command, parse_command};
use crate::config::{ByteSize, CpuList, ServerArgs, ServerConfig};
use crate::host::doctor::{Finding, Plan, Verdict, examine};
use crate::host::{Needs, cpus_allowed};
use crate::service::logging::wants_colour;

/// The flags. The doc comments of the fields are the help texts.
#[derive(Args, Debug)]
pub(super) struct DoctorFlags {
    /// Number of cores of the server [default: every CPU this process may run on]
    #[arg(long, value_name = "N", value_parser = whole(1..=u32::MAX))]
    cores: Option<u32>,

    /// CPUs of the server, for example 0,2-5 [default: the first N allowed]
    #[arg(long, value_name = "LIST")]
    cpus: Option<CpuList>,

    /// Clients that may be connected at once [default: 10000]
    #[arg(long, value_name = "N", value_parser = whole(1..=u32::MAX))]
    maxclients: Option<u32>,

    /// Memory for items, as 512mb, 4gb
    #[arg(long, value_name = "BYTES")]
    max_memory: Option<ByteSize>,

    /// Settings of the server (aspine server --config), for everything that is not given here
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Runs all checks and prints the findings.
pub(super) fn run(flags: DoctorFlags) -> Result<(), Error> {
    let json = flags.json;
    let findings = examine(Path::new("/"), &plan(server(flags)?));
    let verdict = worst(&findings);
    let text = if json { as_json(&findings) } else { as_text(&findings, wants_colour(&io::stdout())) };
    // With a closed stdout the exit code still tells the result.
    let _ = io::stdout().write_all(text.as_bytes());
    if verdict == Verdict::Failing { Err(Error::Unfit) } else { Ok(()) }
}

/// The server to check for: the flags, else its settings, else the defaults.
fn server(flags: DoctorFlags) -> Result<ServerArgs, Error> {
    let mut server = ServerArgs::default();
    if let Some(path) = flags.config {
        let words = ["aspine".into(), "server".into(), "--config".into(), path.into_os_string()];
        if let Command::Server(settings) = parse_command(words)? {
            server = ServerArgs {
                cores: settings.cores,
                cpus: settings.cpus,
                maxclients: settings.maxclients,
                bytes_max: settings.bytes_max,
                admin_addr: settings.admin_addr,
                ..server
            };
        }
    }
    if flags.cores.is_some() || flags.cpus.is_some() {
        (server.cores, server.cpus) = (flags.cores.map(|cores| cores as usize), flags.cpus);
    }
    server.maxclients = flags.maxclients.unwrap_or(server.maxclients);
    server.bytes_max = flags.max_memory.or(server.bytes_max);
    Ok(server)
}

/// The plan of the server on this machine. An impossible setting is a finding; the other checks run all the same.
fn plan(server: ServerArgs) -> Plan {
    let (allowed, unread) = match cpus_allowed() {
        Ok(allowed) => (allowed, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let (maxclients, bytes_max, admin) = (server.maxclients, server.bytes_max, server.admin_addr.is_some());
    // Whether the admin address resolves is not a matter of the host, and the bound on memory has a check of its own.
    let of_cpus = ServerArgs { admin_addr: None, bytes_max: None, ..server };
    let (cpus, wrong) = match ServerConfig::from_args(of_cpus, &allowed) {
        Ok((config, _)) => (config.cpus, None),
        Err(error) => (allowed, Some(error.to_string())),
    };
    let needs = Needs { cores: cpus.len(), maxclients, admin };
    Plan { needs, cpus, bytes_max: bytes_max.map(|size| size.0), cores_error: unread.or(wrong) }
}

fn worst(findings: &[Finding]) -> Verdict {
    findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok)
}

/// The text output: a line for each check, and one for all.
fn as_text(findings: &[Finding], colour: bool) -> String {
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (failing, warnings, well) = (count(Verdict::Failing), count(Verdict::Warning), count(Verdict::Ok));
    let warnings = if warnings == 1 { "1 warning".to_owned() } else { format!("{warnings} warnings") };
    let whole = Finding {
        check: "all",
        verdict: worst(findings),
        found: format!("{failing} failing, {warnings}, {well} ok"),
        fix: String::new(),
    };
    let mut text = String::new();
    for Finding { check, verdict, found, fix } in findings.iter().chain([&whole]) {
        let (code, word) = match verdict {
            Verdict::Ok => ("32", "ok"),
            Verdict::Warning => ("33", "warning"),
            Verdict::Failing => ("31", "failing"),
        };
        let word = format!("{word:<8}");
        let word = if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word };
        let fix = if fix.is_empty() { String::new() } else { format!("; fix: {fix}") };
        text.push_str(&format!("{word} {check:<13} {found}{fix}").replace('\n', " "));
        text.push('\n');
    }
    text
}

fn as_json(findings: &[Finding]) -> String {
    let checks: Vec<Value> = findings
        .iter()
        .map(|Finding { check, verdict, found, fix }| {
            let fix = (!fix.is_empty()).then_some(fix);
            json!({ "check": check, "verdict": verdict.word(), "found": found, "fix": fix })
        })
        .collect();
    format!("{:#}\n", json!({ "verdict": worst(findings).word(), "checks": checks }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> [Finding; 2] {
        let finding =
            |check, verdict, fix: &str| Finding { check, verdict, found: "a\nb".to_owned(), fix: fix.to_owned() };
        [finding("swap", Verdict::Warning, "swapoff -a"), finding("kernel", Verdict::Ok, "")]
    }

    #[test]
    fn every_line_begins_with_its_verdict_and_ends_with_the_fix() {
        let text = as_text(&findings(), false);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "warning  swap          a b; fix: swapoff -a",
                "ok       kernel        a b",
                "warning  all           0 failing, 1 warning, 1 ok",
            ]
        );
        assert!(as_text(&findings(), true).starts_with("\x1b[33mwarning \x1b[0m swap"));
    }

    #[test]
    fn json_has_the_same() {
        let value: Value = serde_json::from_str(&as_json(&findings())).unwrap();
        assert_eq!(value["verdict"], "warning");
        assert_eq!(
            value["checks"][0],
            json!({ "check": "swap", "verdict": "warning", "found": "a\nb", "fix": "swapoff -a" })
        );
        assert_eq!(value["checks"][1]["fix"], Value::Null);
    }
}
