//! `aspine bench`: from the arguments to a report.
//!
//! The order: the files to write are tried; the arguments are resolved to options; without a target an embedded server is
//! started; the server's process is looked up, so that its CPU time can be reported; then the run, whose report goes to
//! stdout and whose progress, on a terminal, to stderr. A run with failed operations prints its report too, and exits with 1.
//!
//! | file | what |
//! |---|---|
//! | `flags` | the flags |
//! | `plan` | what the flags mean on this machine |
//! | `embedded` | the server that is started if there is no target |

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::error::Error;
use crate::host::process;
use crate::loadgen::plot::Curve;
use crate::loadgen::report::Report;
use crate::loadgen::{self, BenchError, Clocks, Measured, Options, Progress, ServerUsage, Watch, hgrm, plot};
use crate::runtime::clock;

mod embedded;
pub(super) mod flags;
mod plan;

pub(super) use self::plan::BenchArgs;

/// Runs a measurement and prints its report.
pub(super) fn run(args: &BenchArgs) -> Result<(), Error> {
    let earlier = args.plot_with.iter().map(|curve| read_curve(curve)).collect::<Result<Vec<_>, _>>()?;
    if args.plot_only {
        return Ok(write_plot(args, &earlier)?);
    }
    for path in args.plot.iter().chain(&args.hgrm) {
        try_file(path)?;
    }
    let planned = args.plan()?;
    for note in &planned.notes {
        note_on_stderr(note);
    }
    let server = planned.embedded.as_ref().map(embedded::start).transpose()?;
    let mut options = planned.options;
    if let Some(server) = &server {
        options.target = loadgen::Target::Tcp(server.address());
    }
    if args.asks_for_core_ports() {
        options.target = loadgen::ask_for_core_ports(&options)?;
        BenchArgs::check_sockets(&options)?;
    }
    let pid = match (args.server_pid, &server) {
        (Some(pid), _) => Some(pid),
        (None, Some(server)) => Some(server.pid()),
        (None, None) => super::peer::pid_of(&options.target),
    };
    let usage = || {
        let (cpu_us, rss_bytes) = process::usage_of(pid?)?;
        Some(ServerUsage { cpu_us, rss_bytes })
    };
    if args.server_pid.is_some() && usage().is_none() {
        return Err(BenchError::Options(format!("--server-pid {}: no such process", pid.unwrap_or_default())).into());
    }
    let measured = measure(&options, &usage)?;
    let target = server.as_ref().map_or_else(|| options.target.to_string(), |_| "embedded".to_owned());
    tell(args, earlier, &Report::new(target, &options, &measured), &measured)?;
    judge(&measured)
}

fn measure(options: &Options, usage: &dyn Fn() -> Option<ServerUsage>) -> Result<Measured, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let failed = |source| BenchError::Setup { what: "signal handling", source };
        // A second signal ends the process at once, without a report.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop)).map_err(failed)?;
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(failed)?;
    }
    let bar = Bar::new();
    let clocks = Clocks { now_ns: clock::stopwatch_ns, thread_cpu_ns: clock::thread_cpu_ns };
    let mut progress = |progress: Progress| bar.show(progress);
    let watch = Watch { stop: &stop, server: usage, progress: &mut progress, clocks };
    let measured = loadgen::run(options, watch);
    bar.clear();
    Ok(measured?)
}

/// Prints the report and writes the files.
fn tell(args: &BenchArgs, earlier: Vec<Curve>, report: &Report, measured: &Measured) -> Result<(), BenchError> {
    let text = if args.json { report.to_json() + "\n" } else { report.to_text() };
    // A failure to print can't be reported anywhere.
    let _ = io::stdout().write_all(text.as_bytes());
    let all = measured.record.all();
    if let Some(path) = &args.hgrm {
        write_file(path, &hgrm::write(&all))?;
    }
    let label = args.label.clone().unwrap_or_else(|| report.target.clone());
    let mut curves = earlier;
    curves.push(Curve { label, points: hgrm::points(&all) });
    write_plot(args, &curves)
}

/// An error if the numbers can't be trusted.
fn judge(measured: &Measured) -> Result<(), Error> {
    let record = &measured.record;
    if measured.interrupted {
        return Err(BenchError::Interrupted { seconds: measured.seconds }.into());
    }
    match &record.first_fault {
        Some(first) => {
            let operations = record.answered() + record.unanswered;
            Err(BenchError::Failed { errors: record.errors(), operations, first: first.clone() }.into())
        }
        None => Ok(()),
    }
}

fn write_plot(args: &BenchArgs, curves: &[Curve]) -> Result<(), BenchError> {
    let Some(path) = &args.plot else { return Ok(()) };
    let svg = plot::draw(curves).map_err(|why| BenchError::Content { path: path.clone(), why })?;
    write_file(path, &svg)
}

/// Reads an earlier run for a picture: `NAME=FILE`, or a file, whose name without its extension is then the name.
fn read_curve(text: &str) -> Result<Curve, BenchError> {
    let (label, path) = match text.split_once('=') {
        Some((label, path)) => (label.to_owned(), PathBuf::from(path)),
        None => {
            let path = PathBuf::from(text);
            (path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()), path)
        }
    };
    let text = std::fs::read_to_string(&path).map_err(|source| BenchError::File { path: path.clone(), source })?;
    let points = hgrm::parse(&text).map_err(|why| BenchError::Content { path, why })?;
    Ok(Curve { label, points })
}

/// Tries whether a file can be written, so that a run is not for nothing. Leaves it as it was.
fn try_file(path: &Path) -> Result<(), BenchError> {
    let failed = |source| BenchError::File { path: path.to_owned(), source };
    let was_there = path.exists();
    OpenOptions::new().append(true).create(true).open(path).map_err(failed)?;
    if !was_there {
        std::fs::remove_file(path).map_err(failed)?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<(), BenchError> {
    std::fs::write(path, text).map_err(|source| BenchError::File { path: path.to_owned(), source })
}

fn note_on_stderr(note: &str) {
    // A closed stderr does not stop the run.
    let _ = writeln!(io::stderr(), "aspine: {note}");
}

/// The progress bar, on a terminal only.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new() -> Bar {
        if !io::stderr().is_terminal() {
            return Bar(None);
        }
        let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
        // The template is a constant; with a wrong one the plain bar would be shown.
        if let Ok(style) = ProgressStyle::with_template("{msg:28} [{bar:40}] {elapsed_precise}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Bar(Some(bar))
    }

    fn show(&self, Progress { step, answered, permille }: Progress) {
        if let Some(bar) = &self.0 {
            bar.set_message(format!("{step}: {answered}"));
            bar.set_position(permille);
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
