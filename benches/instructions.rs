//! Instructions: how many the hot paths take, counted by valgrind, beside the numbers committed in
//! `benches/instructions.txt`.
//!
//! ```text
//! cargo bench --bench instructions                        counts, compares, fails when one grew by more than 5 %
//! cargo bench --bench instructions -- --bless             counts and writes the file
//! cargo bench --bench instructions -- --planted-slowdown  does a tenth more work a path, so must fail
//! ```
//!
//! Each path runs as a process of its own under callgrind, for N and for 2 N operations; the difference is that of N
//! operations, without start and set-up. Instructions do not drift on a busy machine, and are the same on other ones:
//! valgrind presents a processor of its own (an Intel one with AVX2 wherever the real one has AVX2, never AVX-512), so
//! that memchr, libc and crc32c choose the same code everywhere. What they choose by stands in the file, with the
//! compiler. The allocator is the server's. `cargo test` runs each path a few times, without valgrind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

#[path = "support/cores.rs"]
#[expect(dead_code, reason = "of the support only cores with a stopwatch of ours are needed here")]
mod cores;
#[path = "support/counts.rs"]
mod counts;
#[path = "support/items.rs"]
#[expect(dead_code, reason = "of the support only the zipf draws are not needed here")]
mod items;
#[path = "support/paths.rs"]
mod paths;

use counts::{Counts, passes, total};
use paths::PATHS;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Operations of the shorter of the two runs.
const OPERATIONS: u64 = 5_000;
/// Operations of each path when cargo only tests.
const OPERATIONS_TEST: u64 = 16;
/// Operations that a planted slowdown makes of ten.
const PLANTED_OF_TEN: u64 = 11;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let given = |flag: &str| args.iter().any(|arg| arg == flag);
    if let [flag, name, operations] = args.as_slice()
        && flag == "--run"
    {
        run(name, operations.parse().expect("a number of operations"));
        return ExitCode::SUCCESS;
    }
    if given("--processor") {
        println!("{}", processor());
        return ExitCode::SUCCESS;
    }
    if !given("--bench") {
        PATHS.iter().for_each(|(name, _)| run(name, OPERATIONS_TEST));
        return ExitCode::SUCCESS;
    }
    match gate(given("--bless"), given("--planted-slowdown")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Does some operations of a path: what valgrind looks at.
fn run(name: &str, operations: u64) {
    let path = PATHS.iter().find(|(path, _)| *path == name);
    let (_, prepare) = path.unwrap_or_else(|| panic!("no path is called `{name}`"));
    let mut operate = prepare();
    (0..operations).for_each(|_| operate());
    // Taking down what was set up costs more after more operations, and is nobody's hot path.
    std::mem::forget(operate);
}

/// Counts all paths, and compares with the committed counts or takes their place.
fn gate(bless: bool, planted: bool) -> Result<(), String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt");
    let operations = if planted { OPERATIONS * PLANTED_OF_TEN / 10 } else { OPERATIONS };
    let mut now = Counts { counted_by: counted_by()?, rows: Vec::new() };
    for (name, _) in PATHS {
        let count = count(name, operations)? as f64 / OPERATIONS as f64;
        now.rows.push((name.to_owned(), (count * 10.0).round() / 10.0));
    }
    if bless {
        fs::write(&file, now.render()).map_err(|error| format!("{}: {error}", file.display()))?;
        println!("{}\nwritten to {}", now.render(), file.display());
        return Ok(());
    }
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let committed = Counts::parse(&text).map_err(|why| format!("{}: {why}", file.display()))?;
    let rows = committed.beside(&now);
    println!("{:34} {:>9} {:>9} {:>9}", "instructions per operation", "committed", "now", "growth");
    rows.iter().for_each(|row| println!("{}", row.render()));
    if passes(&rows) {
        return Ok(());
    }
    let mut why =
        "\nA hot path takes more instructions than benches/instructions.txt says. Make it cheaper, or say in \
                   the commit why it is worth it, after `cargo bench --bench instructions -- --bless`."
            .to_owned();
    if committed.counted_by != now.counted_by {
        why += &format!("\nThe committed counts are of {}; these of {}.", committed.counted_by, now.counted_by);
    }
    Err(why)
}

/// The tools of the counts: the compiler, and valgrind with the processor that it presents.
fn counted_by() -> Result<String, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let says = |command: &mut Command| {
        let output = command.output().map_err(|error| format!("{command:?}: {error}; is it installed?"))?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() { Ok(text) } else { Err(format!("{command:?}: {}", output.status)) }
    };
    let compiler = says(Command::new("rustc").arg("--version"))?;
    let compiler: Vec<_> = compiler.split_whitespace().take(2).collect();
    let valgrind_version = says(Command::new("valgrind").arg("--version"))?;
    let processor = says(valgrind().arg("--callgrind-out-file=/dev/null").arg(own).arg("--processor"))?;
    Ok(format!("{}, {valgrind_version}, {processor}", compiler.join(" ")))
}

/// The features of the processor by which libraries choose code when they run.
fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    let found = [
        ("sse4.2", std::arch::is_x86_feature_detected!("sse4.2")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("bmi2", std::arch::is_x86_feature_detected!("bmi2")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let found: [(&str, bool); 0] = [];
    let names = found.into_iter().filter(|(_, has)| *has).map(|(name, _)| format!(" {name}"));
    std::iter::once(std::env::consts::ARCH.to_owned()).chain(names).collect()
}

/// Instructions of `operations` operations: those of twice as many less those of as many.
fn count(name: &str, operations: u64) -> Result<u64, String> {
    // Both at once: there are two processors.
    let runs = [start(name, operations)?, start(name, 2 * operations)?];
    let [once, twice] = runs.map(Run::finish);
    let (once, twice) = (once?, twice?);
    twice.checked_sub(once).ok_or(format!("{name}: {twice} instructions for twice what took {once}"))
}

/// A process under valgrind.
struct Run {
    child: Child,
    out: PathBuf,
}

fn start(name: &str, operations: u64) -> Result<Run, String> {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{}.{operations}", std::process::id()));
    let child = valgrind()
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().map_err(|error| error.to_string())?)
        .args(["--run", name, &operations.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    Ok(Run { child: child.map_err(|error| format!("valgrind: {error}; install it"))?, out })
}

impl Run {
    /// The instructions of the whole process.
    fn finish(self) -> Result<u64, String> {
        let output = self.child.wait_with_output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("valgrind: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
        let text = fs::read_to_string(&self.out).map_err(|error| format!("{}: {error}", self.out.display()))?;
        fs::remove_file(&self.out).map_err(|error| format!("{}: {error}", self.out.display()))?;
        total(&text).ok_or("callgrind wrote no totals".to_owned())
    }
}

/// Valgrind with nothing in its environment that could move the stack or set up the allocator.
fn valgrind() -> Command {
    let mut command = Command::new("valgrind");
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.args(["--quiet", "--tool=callgrind"]);
    command
}
