//! Savers: one client that has snapshots taken, and some that write many keys meanwhile. What is in the files the world
//! checks itself (`world/files.rs`).

use aspine::resp::Value;

use super::{Actors, Scene};
use crate::cluster::Conn;

/// Keys that are there from the start: so many that a walk takes several slices.
const KEYS: usize = 900;
pub const KEY_PREFIX: &str = "snap:";

struct Client {
    saves: bool,
    owed: usize,
    gone: bool,
}

/// All who save and write.
pub struct Savers {
    clients: Vec<Client>,
    count: usize,
}

impl Savers {
    /// So many clients at a time.
    pub fn new(count: usize) -> Savers {
        Savers { clients: Vec::new(), count }
    }
}

impl Actors for Savers {
    fn opening(&self) -> String {
        (0..KEYS).map(|at| format!("SET {KEY_PREFIX}{at} first\r\n")).collect()
    }

    fn wants_another(&mut self, _: &mut Scene<'_>) -> bool {
        self.clients.iter().filter(|client| !client.gone).count() < self.count
    }

    fn arrive(&mut self, _: Conn, _: &mut Scene<'_>) {
        let saves = !self.clients.iter().any(|client| client.saves && !client.gone);
        self.clients.push(Client { saves, owed: 0, gone: false });
    }

    fn ask(&mut self, at: usize, scene: &mut Scene<'_>) -> Vec<u8> {
        let client = &mut self.clients[at];
        // What is sent behind a BGSAVE may run in the same call as the cut, before it is copied what is there.
        if client.owed > 0 {
            return Vec::new();
        }
        client.owed = 1;
        let rng = &mut *scene.rng;
        if client.saves && rng.one_in(2) {
            return format!("{}\r\n", ["SAVE", "BGSAVE", "BGSAVE SCHEDULE"][rng.below(3)]).into_bytes();
        }
        let key = format!("{KEY_PREFIX}{}", rng.below(KEYS));
        let line = match rng.below(20) {
            0..5 => format!("SET {key} {}", rng.below(1_000_000)),
            5..9 => format!("DEL {key}"),
            9..12 => format!("GET {key}"),
            12..14 => format!("PEXPIRE {key} {}", 1 + rng.below(300)),
            _ => format!("SET {key} {}", "x".repeat(1 + rng.below(3000))),
        };
        format!("{line}\r\n").into_bytes()
    }

    fn hear(&mut self, at: usize, value: Value, scene: &mut Scene<'_>) -> Result<(), String> {
        let client = &mut self.clients[at];
        client.owed = client.owed.checked_sub(1).ok_or_else(|| format!("a reply to nothing: {value:?}"))?;
        if let Value::Error(text) = value {
            let text = String::from_utf8_lossy(&text).into_owned();
            scene.marks.save_refused += u64::from(text.contains("already in progress"));
            let known = ["already in progress", "cannot save", "OOM "];
            if !known.iter().any(|known| text.contains(known)) {
                return Err(format!("a client was told {text}"));
            }
        }
        Ok(())
    }

    fn owed(&self, at: usize) -> usize {
        self.clients[at].owed
    }

    fn leave(&mut self, at: usize, _: &mut Scene<'_>) {
        self.clients[at].gone = true;
    }
}
