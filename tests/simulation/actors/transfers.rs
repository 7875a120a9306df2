//! Transfers: money moves between accounts on several shards, under WATCH and MULTI, and must never be seen on its way.
//!
//! Every account's core is another by chance. Whoever looks at all accounts in one transaction sees the same sum; a
//! token that RENAME moves between two keys of two cores is always under exactly one of them. Links stand still until
//! transactions give up, and clients vanish inside them.

use aspine::resp::Value;
use aspine::slot::Slot;

use super::{Actors, Scene};
use crate::cluster::Conn;
use crate::rng::Rng;

/// Accounts, with what is on each in the beginning.
pub const ACCOUNTS: usize = 6;
pub const EACH: i64 = 100;

/// What a client does, one thing after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// Looks at two accounts it watches; then moves an amount.
    Look {
        from: usize,
        to: usize,
    },
    Move,
    /// Looks at all accounts in one transaction; with MGET or one GET each.
    Audit {
        one_by_one: bool,
    },
    /// Moves the token, and looks where it is.
    Token {
        forth: bool,
    },
    FindToken,
}

struct Client {
    task: Task,
    /// What it has seen on two accounts, and is to move now.
    seen: Option<[(usize, i64); 2]>,
    /// Replies still to come, and those that came.
    owed: usize,
    replies: Vec<Value>,
    gone: bool,
}

/// All who move money, and those who look after it.
pub struct Transfers {
    clients: Vec<Client>,
    count: usize,
    cores: usize,
}

pub fn account(at: usize) -> String {
    format!("account:{at}")
}

/// Two keys of different cores, where there are several.
fn token(side: usize, cores: usize) -> String {
    let owner = |key: &String| usize::from(Slot::of(key.as_bytes()).owner(cores as u16).0);
    (0..).map(|at| format!("token:{at}")).find(|key| owner(key) == side % cores).expect("some key")
}

impl Transfers {
    /// So many clients at a time.
    pub fn new(count: usize, cores: usize) -> Transfers {
        Transfers { clients: Vec::new(), count, cores }
    }

    fn draw(&self, rng: &mut Rng) -> Task {
        match rng.below(10) {
            0..5 => {
                let from = rng.below(ACCOUNTS);
                Task::Look { from, to: (from + 1 + rng.below(ACCOUNTS - 1)) % ACCOUNTS }
            }
            5..8 => Task::Audit { one_by_one: rng.one_in(2) },
            8 if self.cores > 1 => Task::Token { forth: rng.one_in(2) },
            _ => Task::FindToken,
        }
    }

    fn lines(&self, task: Task) -> Vec<String> {
        let cores = self.cores;
        let all = |word: &str| (0..ACCOUNTS).map(|at| format!("{word} {}", account(at))).collect::<Vec<_>>();
        match task {
            Task::Look { from, to } => {
                let pair = format!("{} {}", account(from), account(to));
                vec![format!("WATCH {pair}"), format!("MGET {pair}")]
            }
            Task::Audit { one_by_one: true } => {
                [vec!["MULTI".to_owned()], all("GET"), vec!["EXEC".to_owned()]].concat()
            }
            Task::Audit { one_by_one: false } => {
                vec!["MULTI".to_owned(), format!("MGET{}", all("").join("")), "EXEC".to_owned()]
            }
            Task::Token { forth } => {
                let sides = if forth { [0, 1] } else { [1, 0] };
                vec![format!("RENAME {} {}", token(sides[0], cores), token(sides[1], cores))]
            }
            Task::FindToken | Task::Move => {
                let both = format!("{} {}", token(0, cores), token(1, cores));
                vec!["MULTI".to_owned(), format!("EXISTS {both}"), "EXEC".to_owned()]
            }
        }
    }

    /// A task has all its replies: are they right?
    fn finish(&mut self, at: usize, scene: &mut Scene<'_>) -> Result<(), String> {
        let replies = std::mem::take(&mut self.clients[at].replies);
        let last = replies.last().cloned().unwrap_or(Value::Null);
        let gave_up = matches!(&last, Value::Error(text) if text.starts_with(b"EXECABORT "));
        scene.marks.gave_up += u64::from(gave_up);
        match (self.clients[at].task, last) {
            (_, _) if gave_up => {}
            (Task::Look { from, to }, Value::Array(Some(pair))) if pair.len() == 2 => {
                self.clients[at].seen = Some([(from, amount(&pair[0])?), (to, amount(&pair[1])?)]);
            }
            (Task::Move, Value::Array(None)) => scene.marks.watch_failed += 1,
            (Task::Move, Value::Array(Some(_))) => scene.marks.moved += 1,
            (Task::Audit { one_by_one }, Value::Array(Some(mut items))) => {
                if !one_by_one {
                    let Some(Value::Array(Some(inner))) = items.pop() else {
                        return Err("no MGET in a transaction".to_owned());
                    };
                    items = inner;
                }
                scene.marks.audits += 1;
                let sum = items.iter().map(amount).sum::<Result<i64, String>>()?;
                if sum != EACH * ACCOUNTS as i64 {
                    return Err(format!("the accounts add up to {sum}"));
                }
            }
            (Task::Token { .. }, Value::Simple(_)) => scene.marks.token_moved += 1,
            (Task::Token { .. }, Value::Error(text)) if text == b"ERR no such key" => {}
            (Task::FindToken, Value::Array(Some(items))) => {
                let here = if self.cores == 1 { 2 } else { 1 };
                if items != [Value::Integer(here)] {
                    return Err(format!("the token is in {items:?} places"));
                }
            }
            (task, other) => return Err(format!("{task:?} was answered {other:?}")),
        }
        Ok(())
    }
}

impl Actors for Transfers {
    fn opening(&self) -> String {
        let opening: String = (0..ACCOUNTS).map(|at| format!("SET {} {EACH}\r\n", account(at))).collect();
        format!("{opening}SET {} here\r\n", token(0, self.cores))
    }

    fn wants_another(&mut self, _: &mut Scene<'_>) -> bool {
        self.clients.iter().filter(|client| !client.gone).count() < self.count
    }

    fn arrive(&mut self, _: Conn, _: &mut Scene<'_>) {
        let task = Task::FindToken;
        self.clients.push(Client { task, seen: None, owed: 0, replies: Vec::new(), gone: false });
    }

    fn ask(&mut self, at: usize, scene: &mut Scene<'_>) -> Vec<u8> {
        if self.clients[at].owed > 0 {
            return Vec::new();
        }
        let (task, lines) = match self.clients[at].seen.take() {
            Some([(from, a), (to, b)]) => {
                let moved = scene.rng.between(1, 5) as i64;
                let sets = [(from, a - moved), (to, b + moved)].map(|(at, sum)| format!("SET {} {sum}", account(at)));
                (Task::Move, [vec!["MULTI".to_owned()], sets.to_vec(), vec!["EXEC".to_owned()]].concat())
            }
            None => {
                let task = self.draw(scene.rng);
                (task, self.lines(task))
            }
        };
        let client = &mut self.clients[at];
        (client.task, client.owed) = (task, lines.len());
        lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect()
    }

    fn hear(&mut self, at: usize, value: Value, scene: &mut Scene<'_>) -> Result<(), String> {
        let client = &mut self.clients[at];
        if client.owed == 0 {
            return Err(format!("a reply to nothing: {value:?}"));
        }
        client.owed -= 1;
        client.replies.push(value);
        if client.owed == 0 { self.finish(at, scene) } else { Ok(()) }
    }

    fn owed(&self, at: usize) -> usize {
        self.clients[at].owed
    }

    fn leave(&mut self, at: usize, scene: &mut Scene<'_>) {
        let client = &mut self.clients[at];
        client.gone = true;
        scene.marks.died_inside += u64::from(client.task == Task::Move && client.owed > 0);
    }
}

fn amount(value: &Value) -> Result<i64, String> {
    match value {
        Value::Bulk(Some(text)) => String::from_utf8_lossy(text).parse().map_err(|_| format!("an amount: {value:?}")),
        other => Err(format!("an account is {other:?}")),
    }
}
