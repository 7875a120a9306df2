//! `aspine ping`, `aspine clear`: one question to a running server.

use std::io::{self, BufRead, IsTerminal, Write};

use super::Error;
use super::connect::AskArgs;
use super::error::EXIT_FAILED;

/// Asks whether it answers.
pub(super) fn ping(args: &AskArgs) -> Result<(), Error> {
    let answer = args.open()?.text(&["PING"])?;
    // Nobody is left to tell if printing fails.
    let _ = writeln!(io::stdout(), "{answer}");
    Ok(())
}

/// Deletes every key, unless the person at the terminal does not want to. Without a terminal only `yes` is a yes.
pub(super) fn clear(args: &AskArgs, yes: bool) -> Result<(), Error> {
    let refused = |why: &str| Error::Command { code: EXIT_FAILED, line: why.to_owned() };
    if !yes && !io::stdin().is_terminal() {
        return Err(refused("refusing to delete all keys unasked: there is no terminal to ask on; give --yes"));
    }
    let mut conn = args.open()?;
    let keys = conn.text(&["DBSIZE"])?;
    if !yes {
        let mut stderr = io::stderr();
        let _ = write!(stderr, "Delete all {keys} keys of the server at {}? [y/N] ", args.server);
        let _ = stderr.flush();
        let mut answer = String::new();
        let _ = io::stdin().lock().read_line(&mut answer);
        if !["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
            return Err(refused("nothing was deleted: the answer was not yes; answer y, or give --yes"));
        }
    }
    conn.call(&["FLUSHALL"])?;
    let _ = writeln!(io::stdout(), "deleted {keys} keys");
    Ok(())
}
