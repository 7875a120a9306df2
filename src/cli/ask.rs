//! `aspine ping`, `aspine clear`: one request to a running server.

use std::io::{self, BufRead, IsTerminal, Write};

use super::connect::AskArgs;
use super::error::{EXIT_FAILED, Error};

/// Sends a PING and prints the answer.
pub(super) fn ping(args: &AskArgs) -> Result<(), Error> {
    let answer = args.open()?.text(&["PING"])?;
    // A failure to print can't be reported anywhere.
    let _ = writeln!(io::stdout(), "{answer}");
    Ok(())
}

/// Deletes every key, after a confirmation at the terminal. Without a terminal it needs `yes`.
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
