//! Pausers: one client that has all clients wait, and lets them go on. What the others are answered their own models check.

use aspine::resp::Value;

use super::{Actors, Scene};
use crate::cluster::Conn;

/// The longest pause, in milliseconds: a few ticks.
const PAUSE_MS_MAX: u64 = 400;

struct Client {
    owed: usize,
    gone: bool,
}

/// One client at a time that pauses the others.
#[derive(Default)]
pub struct Pausers {
    clients: Vec<Client>,
}

impl Actors for Pausers {
    fn wants_another(&mut self, _: &mut Scene<'_>) -> bool {
        self.clients.iter().all(|client| client.gone)
    }

    fn arrive(&mut self, _: Conn, _: &mut Scene<'_>) {
        self.clients.push(Client { owed: 0, gone: false });
    }

    fn ask(&mut self, at: usize, scene: &mut Scene<'_>) -> Vec<u8> {
        let client = &mut self.clients[at];
        if client.owed > 0 {
            return Vec::new();
        }
        client.owed = 1;
        let rng = &mut *scene.rng;
        let line = match rng.below(8) {
            0 => format!("CLIENT PAUSE {}", rng.below(PAUSE_MS_MAX as usize)),
            1 | 2 => format!("CLIENT PAUSE {} WRITE", rng.below(PAUSE_MS_MAX as usize)),
            3 => "CLIENT UNPAUSE".to_owned(),
            _ => "PING".to_owned(),
        };
        format!("{line}\r\n").into_bytes()
    }

    fn hear(&mut self, at: usize, value: Value, scene: &mut Scene<'_>) -> Result<(), String> {
        let client = &mut self.clients[at];
        client.owed = client.owed.checked_sub(1).ok_or_else(|| format!("a reply to nothing: {value:?}"))?;
        match value {
            Value::Simple(text) if text == b"OK" => scene.marks.pauses += 1,
            Value::Simple(text) if text == b"PONG" => {}
            other => return Err(format!("a client that pauses was told {other:?}")),
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
