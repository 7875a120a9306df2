//! Tidy: style that a test can hold (CONTRIBUTING). Each message says what to do instead.
//!
//! | file | holds |
//! |---|---|
//! | `source` | reads the sources: comments and texts masked, functions and test modules found |
//! | `sizes` | lines of files and functions, with the list of today's offenders, which may only shrink |
//! | `places` | what may stand where: modules, clock, glommio, `unsafe`, numbers, leftovers, top-level entries |
//! | `commands` | what a command is, the command table says; names of commands are compared nowhere else |
//! | `structure` | the parts of the engine stay apart; no large circle of imports |
//! | `docs` | heads of files; the map of modules and the way of a GET in `src/lib.rs` |
//! | `documents` | README and docs/: a short README, nothing twice, links and named files that exist, generated tables |

#[path = "tidy/commands.rs"]
mod commands;
#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/places.rs"]
mod places;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/structure.rs"]
mod structure;

/// Fails with all complaints at once, a line each.
#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n\n{}\n", complaints.join("\n"));
}
