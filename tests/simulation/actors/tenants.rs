//! Tenants: each has two databases for itself, and one model of each. Whatever others do in theirs, a tenant finds there
//! what it put there: through flushes of one, swaps of both, and keys that are moved, copied and renamed between cores.
//!
//! A tenant whose connection broke leaves its databases behind, as commands of it may still be under way.

use std::collections::{BTreeMap, VecDeque};

use aspine::limits::DATABASES;
use aspine::resp::Value;

use super::{Actors, Scene};
use crate::cluster::Conn;

/// Keys of a tenant.
const KEYS: usize = 9;

type Items = BTreeMap<String, String>;

/// What a reply has to be.
#[derive(Debug)]
enum Due {
    Exactly(Value),
    /// A text, or none.
    Text(Option<String>),
    /// These keys, in any order.
    Keys(Vec<String>),
}

struct Tenant {
    /// The tenant's databases, and what is in them; the first is selected.
    databases: [(u32, Items); 2],
    due: VecDeque<Due>,
    greeted: bool,
    gone: bool,
    /// A command was refused since its keys were busy, so that the models are wrong.
    lost: bool,
    values: u64,
}

/// All tenants.
pub struct Tenants {
    tenants: Vec<Tenant>,
}

fn ok() -> Due {
    Due::Exactly(Value::Simple(b"OK".to_vec()))
}

fn count(number: usize) -> Due {
    Due::Exactly(Value::Integer(number as i64))
}

impl Tenants {
    /// None yet.
    pub fn new() -> Tenants {
        Tenants { tenants: Vec::new() }
    }
}

impl Tenant {
    /// A command, what it does to the models, and what is due.
    fn next(&mut self, scene: &mut Scene<'_>) -> String {
        let rng = &mut *scene.rng;
        let (key, other) = (format!("of{}", rng.below(KEYS)), format!("of{}", rng.below(KEYS)));
        let Tenant { databases: [(selected, here), (second, there)], due, values, .. } = self;
        match rng.below(14) {
            0..4 => {
                *values += 1;
                let value = format!("{selected}.{values}");
                here.insert(key.clone(), value.clone());
                due.push_back(ok());
                format!("SET {key} {value}")
            }
            4..6 => {
                due.push_back(Due::Text(here.get(&key).cloned()));
                format!("GET {key}")
            }
            6 => {
                due.push_back(count(usize::from(here.remove(&key).is_some())));
                format!("DEL {key}")
            }
            7 => {
                let moves = here.contains_key(&key) && !there.contains_key(&key);
                if moves && let Some(value) = here.remove(&key) {
                    there.insert(key.clone(), value);
                }
                due.push_back(count(usize::from(moves)));
                format!("MOVE {key} {second}")
            }
            8 => {
                let copied = here.get(&key).cloned();
                due.push_back(count(usize::from(copied.is_some())));
                copied.into_iter().for_each(|value| drop(there.insert(other.clone(), value)));
                format!("COPY {key} {other} DB {second} REPLACE")
            }
            9 => {
                if key == other || !here.contains_key(&key) {
                    due.push_back(count(here.len()));
                    return "DBSIZE".to_owned();
                }
                let value = here.remove(&key).unwrap_or_default();
                here.insert(other.clone(), value);
                due.push_back(ok());
                format!("RENAME {key} {other}")
            }
            10 => {
                due.push_back(Due::Keys(here.keys().cloned().collect()));
                "KEYS *".to_owned()
            }
            11 => {
                here.clear();
                scene.marks.flushed_one += 1;
                due.push_back(ok());
                "FLUSHDB".to_owned()
            }
            12 => {
                std::mem::swap(here, there);
                scene.marks.swapped += 1;
                due.push_back(ok());
                format!("SWAPDB {selected} {second}")
            }
            _ => {
                self.databases.swap(0, 1);
                due.push_back(ok());
                format!("SELECT {}", self.databases[0].0)
            }
        }
    }
}

impl Actors for Tenants {
    fn wants_another(&mut self, _: &mut Scene<'_>) -> bool {
        // Database 0 is everybody's.
        let all = (DATABASES as usize - 1) / 2;
        self.tenants.len() < all && self.tenants.iter().filter(|tenant| !(tenant.gone || tenant.lost)).count() < 2
    }

    fn arrive(&mut self, _: Conn, _: &mut Scene<'_>) {
        let first = 1 + 2 * self.tenants.len() as u32;
        let databases = [first, first + 1].map(|database| (database, Items::new()));
        self.tenants.push(Tenant {
            databases,
            due: VecDeque::new(),
            greeted: false,
            gone: false,
            lost: false,
            values: 0,
        });
    }

    fn ask(&mut self, at: usize, scene: &mut Scene<'_>) -> Vec<u8> {
        let tenant = &mut self.tenants[at];
        if tenant.lost || !tenant.due.is_empty() {
            return Vec::new();
        }
        let mut lines = String::new();
        if !std::mem::replace(&mut tenant.greeted, true) {
            tenant.due.push_back(ok());
            lines = format!("SELECT {}\r\n", tenant.databases[0].0);
        }
        for _ in 0..1 + scene.rng.below(4) {
            lines += &tenant.next(scene);
            lines += "\r\n";
        }
        lines.into_bytes()
    }

    fn hear(&mut self, at: usize, value: Value, _: &mut Scene<'_>) -> Result<(), String> {
        let tenant = &mut self.tenants[at];
        let Some(due) = tenant.due.pop_front() else { return Err(format!("a reply to nothing: {value:?}")) };
        tenant.lost |= matches!(&value, Value::Error(text) if text.starts_with(b"EXECABORT "));
        if tenant.lost {
            return Ok(());
        }
        let is_right = match (&due, &value) {
            (Due::Exactly(due), value) => due == value,
            (Due::Text(due), Value::Bulk(text)) => due.as_deref().map(str::as_bytes) == text.as_deref(),
            (Due::Keys(due), Value::Array(Some(items))) => {
                let mut found: Vec<_> = items.iter().map(|item| format!("{item:?}")).collect();
                found.sort();
                let mut due: Vec<_> =
                    due.iter().map(|key| format!("{:?}", Value::Bulk(Some(key.as_bytes().to_vec())))).collect();
                due.sort();
                found == due
            }
            _ => false,
        };
        if is_right { Ok(()) } else { Err(format!("tenant {at} expected {due:?} and got {value:?}")) }
    }

    fn owed(&self, at: usize) -> usize {
        self.tenants[at].due.len()
    }

    fn leave(&mut self, at: usize, _: &mut Scene<'_>) {
        self.tenants[at].gone = true;
    }
}
