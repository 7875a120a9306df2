//! Watchers: clients that watch all commands (MONITOR), and others whose commands are numbered.
//!
//! What must hold: a watcher sees each client's commands in their order, once, without a gap but for lines that it was
//! told are lost; nothing before it was answered; in the end all that was asked since; and never an auth key.

use std::collections::HashMap;

use aspine::resp::Value;

use super::{Actors, Scene};
use crate::cluster::Conn;

struct Client {
    watches: bool,
    /// What is asked and not answered: MONITOR, or so many numbered commands.
    owed: usize,
    asked: bool,
    confirmed: bool,
    gone: bool,
    /// The number of the last command that was asked.
    number: u64,
    /// Of a watcher: by client the last number it saw.
    seen: HashMap<usize, u64>,
    /// By client the last number that had been asked when MONITOR was answered.
    before: Vec<u64>,
    lost: u64,
    missed: u64,
}

/// Some who watch, and some who talk.
pub struct Watchers {
    clients: Vec<Client>,
    count: usize,
    /// Transactions that gave up waiting for their shards: what was queued has not run.
    given_up: u64,
}

impl Watchers {
    /// So many clients at a time.
    pub fn new(count: usize) -> Watchers {
        Watchers { clients: Vec::new(), count, given_up: 0 }
    }

    fn see(&mut self, at: usize, line: &str, scene: &mut Scene<'_>) -> Result<(), String> {
        let shown = line.split_once(" [").and_then(|(time, rest)| Some((time, rest.split_once("] \"")?)));
        let Some((time, (peer, words))) = shown else { return Err(format!("no line of a command: {line}")) };
        if time.split('.').any(|digits| digits.parse::<u64>().is_err()) || words.contains("secret") {
            return Err(format!("a line of a command: {line}"));
        }
        if !self.clients[at].confirmed {
            return Err(format!("a line before MONITOR was answered: {line}"));
        }
        scene.marks.watched += 1;
        if let Some(lost) = words.strip_prefix("lost\" \"").filter(|_| peer == "0 aspine") {
            self.clients[at].lost += lost.trim_end_matches('"').parse::<u64>().map_err(|error| error.to_string())?;
            return Ok(());
        }
        let Some((_, numbered)) = words.split_once("\"talk:") else { return Ok(()) };
        let mut numbers = numbered.trim_end_matches('"').split(':').map(|number| number.parse::<u64>().unwrap_or(0));
        let (talker, number) = (numbers.next().unwrap_or(0) as usize, numbers.next().unwrap_or(0));
        let watcher = &mut self.clients[at];
        let before = watcher.before.get(talker).copied().unwrap_or(0);
        match watcher.seen.insert(talker, number) {
            Some(last) if number <= last => return Err(format!("{number} of {talker} after {last}")),
            Some(last) => watcher.missed += number - last - 1,
            // What was under way when MONITOR was answered may be seen or not.
            None => watcher.missed += number.saturating_sub(before + 1),
        }
        Ok(())
    }
}

impl Actors for Watchers {
    fn wants_another(&mut self, _: &mut Scene<'_>) -> bool {
        self.clients.iter().filter(|client| !client.gone).count() < self.count
    }

    fn arrive(&mut self, _: Conn, _: &mut Scene<'_>) {
        self.clients.push(Client {
            watches: self.clients.len().is_multiple_of(3),
            owed: 0,
            asked: false,
            confirmed: false,
            gone: false,
            number: 0,
            seen: HashMap::new(),
            before: Vec::new(),
            lost: 0,
            missed: 0,
        });
    }

    fn ask(&mut self, at: usize, scene: &mut Scene<'_>) -> Vec<u8> {
        let client = &mut self.clients[at];
        if client.watches {
            let asked = std::mem::replace(&mut client.asked, true);
            client.owed += usize::from(!asked);
            return if asked { Vec::new() } else { b"MONITOR\r\n".to_vec() };
        }
        if client.owed > 8 {
            return Vec::new();
        }
        let mut lines = String::new();
        for _ in 0..1 + scene.rng.below(6) {
            client.number += 1;
            let word = format!("talk:{at}:{}", client.number);
            // Of one key, of several on several cores, of none, and in a transaction.
            let (line, replies) = match scene.rng.below(5) {
                0 | 1 => (format!("GET {word}"), 1),
                2 => (format!("EXISTS other:1 other:2 other:3 {word}"), 1),
                3 => (format!("PING {word}"), 1),
                _ => (format!("MULTI\r\nEXISTS {word}\r\nEXEC"), 3),
            };
            client.owed += replies;
            lines += &line;
            lines += "\r\n";
        }
        lines.into_bytes()
    }

    fn hear(&mut self, at: usize, value: Value, scene: &mut Scene<'_>) -> Result<(), String> {
        if self.clients[at].watches {
            let Value::Simple(line) = &value else { return Err(format!("a watcher was told {value:?}")) };
            if line == b"OK" && !self.clients[at].confirmed {
                self.clients[at].confirmed = true;
                self.clients[at].owed = 0;
                self.clients[at].before = self.clients.iter().map(|client| client.number).collect();
                return Ok(());
            }
            return self.see(at, &String::from_utf8_lossy(line), scene);
        }
        self.given_up += u64::from(matches!(value, Value::Error(_)));
        let client = &mut self.clients[at];
        client.owed = client.owed.checked_sub(1).ok_or_else(|| format!("a reply to nothing: {value:?}"))?;
        Ok(())
    }

    fn owed(&self, at: usize) -> usize {
        self.clients[at].owed
    }

    fn leave(&mut self, at: usize, scene: &mut Scene<'_>) {
        let client = &mut self.clients[at];
        client.gone = true;
        // Its transactions may have given up, and it did not hear of it.
        self.given_up += client.owed as u64;
        scene.marks.watcher_vanished += u64::from(client.confirmed);
    }

    /// All that was asked has been seen, or is known to be lost.
    fn at_rest(&mut self, _: &mut Scene<'_>) -> Result<(), String> {
        for (at, watcher) in self.clients.iter().enumerate().filter(|(_, client)| client.confirmed && !client.gone) {
            let talkers = self.clients.iter().enumerate().filter(|(_, client)| !client.watches && !client.gone);
            let unseen: u64 = talkers
                .map(|(talker, client)| {
                    let before = watcher.before.get(talker).copied().unwrap_or(0);
                    client.number - watcher.seen.get(&talker).copied().unwrap_or(before).min(client.number)
                })
                .sum();
            if watcher.missed + unseen > watcher.lost + self.given_up {
                return Err(format!(
                    "watcher {at} missed {} and did not see the last {unseen}, and was told of {}",
                    watcher.missed, watcher.lost
                ));
            }
        }
        Ok(())
    }
}
