//! One client with a near cache, as its user writes it: it keeps what it reads, drops what it is told is stale, and looks
//! after what it will not be told of.

use std::collections::{HashMap, VecDeque};

use aspine::resp::Value;

use super::{key_of, number};
use crate::marks::Marks;
use crate::rng::Rng;

/// Prefixes that clients of prefixes name.
const PREFIXES: [&str; 2] = ["a:", "b1"];

/// The keys of whose changes a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Read,
    OptIn,
    OptOut,
    /// Keys with one of the first so many of `PREFIXES`; with 0, all keys.
    Broadcast(usize),
    /// No key: the client writes and has no cache.
    Nothing,
}

/// How a client tracks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) scope: Scope,
    pub(super) noloop: bool,
    pub(super) resp3: bool,
    /// Another connection is told in place of the one that reads.
    pub(super) redirects: bool,
}

impl Way {
    pub(super) fn draw(rng: &mut Rng) -> Way {
        let scope = match rng.below(7) {
            0 | 1 => Scope::Read,
            2 => Scope::OptIn,
            3 => Scope::OptOut,
            4 | 5 => Scope::Broadcast(rng.below(PREFIXES.len() + 1)),
            _ => Scope::Nothing,
        };
        let redirects = scope != Scope::Nothing && rng.one_in(3);
        Way { scope, noloop: rng.one_in(3), resp3: !redirects || rng.one_in(2), redirects }
    }

    /// The command that begins it. `ear`: the client that is told in its place.
    pub(super) fn command(self, ear: Option<i64>) -> String {
        let scope = match self.scope {
            Scope::Read => String::new(),
            Scope::OptIn => " OPTIN".to_owned(),
            Scope::OptOut => " OPTOUT".to_owned(),
            Scope::Broadcast(count) => {
                PREFIXES[..count].iter().fold(" BCAST".to_owned(), |all, prefix| format!("{all} PREFIX {prefix}"))
            }
            Scope::Nothing => return "PING\r\n".to_owned(),
        };
        let noloop = if self.noloop { " NOLOOP" } else { "" };
        let ear = ear.map_or(String::new(), |id| format!(" REDIRECT {id}"));
        format!("CLIENT TRACKING ON{ear}{scope}{noloop}\r\n")
    }

    /// What CLIENT CACHING takes, if anything.
    pub(super) fn caching(self) -> Option<&'static str> {
        match self.scope {
            Scope::OptIn => Some("YES"),
            Scope::OptOut => Some("NO"),
            _ => None,
        }
    }
}

/// What a client waits to be answered.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Nothing,
    /// CLIENT TRACKING, and the like.
    Greeting,
    Get(Vec<usize>),
    Set(usize, Vec<u8>),
    /// These keys changed; a client that hears nothing of its own changes drops them itself.
    Changed(Vec<usize>),
    /// The last elements of the array are the values of these keys.
    Exec(Vec<usize>),
}

pub(super) struct Client {
    pub(super) way: Way,
    /// The connection that is told in its place.
    pub(super) ear: Option<usize>,
    /// The client has yet to say how it tracks; the client that is to be told in its place.
    pub(super) greeting: Option<Option<i64>>,
    /// The client knows that its ear has gone, and keeps nothing any more.
    pub(super) deaf: bool,
    pub(super) cache: HashMap<usize, Option<Vec<u8>>>,
    pub(super) asked: VecDeque<Asked>,
    pub(super) gone: bool,
}

impl Client {
    /// What it says first, once.
    pub(super) fn greet(&mut self) -> Option<String> {
        let id = self.greeting.take()?;
        let hello = if self.way.resp3 { "HELLO 3\r\n" } else { "" };
        self.asked.extend(vec![Asked::Greeting; 1 + usize::from(self.way.resp3)]);
        Some(format!("{hello}{}", self.way.command(id)))
    }

    /// The connection breaks by which it is told. What that was sent last may be lost, so it does not wait until it hears
    /// of that itself, with the next change.
    pub(super) fn lose_ear(&mut self) {
        self.ear = None;
        self.turn_deaf();
    }

    /// What is told unasked: some of the copies are stale.
    pub(super) fn forget(&mut self, parts: &[Value], marks: &mut Marks) -> Result<(), String> {
        let by_ear = self.way.redirects;
        match parts {
            _ if self.way.scope == Scope::Nothing => Err(format!("who does not track was told {parts:?}")),
            [Value::Bulk(Some(kind)), Value::Integer(_)] if kind == b"tracking-redir-broken" && by_ear => {
                marks.redirect_broken += 1;
                self.turn_deaf();
                Ok(())
            }
            [Value::Bulk(Some(kind)), keys] if kind == b"invalidate" && !by_ear => self.drop_keys(keys, marks),
            other => Err(format!("{:?} was told {other:?}", self.way)),
        }
    }

    /// The same, by the other connection. A reply that was asked for may be older than what it says.
    pub(super) fn drop_by_ear(&mut self, keys: &Value, marks: &mut Marks) -> Result<(), String> {
        let before = marks.copy_stale;
        for asked in &mut self.asked {
            // Whatever comes for these keys is not kept.
            let (Asked::Get(waits) | Asked::Exec(waits)) = asked else { continue };
            let stale = |at: &usize| matches!(keys, Value::Null | Value::Array(None)) || names(keys, *at);
            if waits.iter().any(stale) {
                *asked = Asked::Nothing;
            }
        }
        self.drop_keys(keys, marks)?;
        marks.stale_by_redirect += marks.copy_stale - before;
        Ok(())
    }

    fn drop_keys(&mut self, keys: &Value, marks: &mut Marks) -> Result<(), String> {
        match keys {
            Value::Array(Some(keys)) => {
                for name in keys {
                    let Value::Bulk(Some(name)) = name else { return Err(format!("a stale key {name:?}")) };
                    // Who has no prefix is told of the keys of others as well.
                    let Some(at) = number(name) else { continue };
                    marks.copy_stale += u64::from(self.cache.remove(&at).is_some());
                }
            }
            Value::Null | Value::Array(None) | Value::Bulk(None) => {
                marks.cache_cleared += u64::from(!self.cache.is_empty());
                self.cache.clear();
            }
            other => return Err(format!("stale keys {other:?}")),
        }
        Ok(())
    }

    /// Nobody tells it any more, and it knows.
    pub(super) fn turn_deaf(&mut self) {
        self.deaf = true;
        self.cache.clear();
    }

    /// Whether it may keep a copy of a key.
    fn keeps(&self, at: usize) -> bool {
        !self.deaf
            && match self.way.scope {
                Scope::Nothing => false,
                Scope::Broadcast(0) => true,
                Scope::Broadcast(count) => PREFIXES[..count].iter().any(|prefix| key_of(at).starts_with(prefix)),
                Scope::Read | Scope::OptIn | Scope::OptOut => true,
            }
    }

    fn keep(&mut self, at: usize, value: &Value) -> Result<(), String> {
        let copy = match value {
            Value::Bulk(Some(value)) => Some(value.clone()),
            Value::Null | Value::Bulk(None) => None,
            other => return Err(format!("a value {other:?}")),
        };
        if self.keeps(at) {
            self.cache.insert(at, copy);
        }
        Ok(())
    }

    pub(super) fn answered(&mut self, asked: Asked, value: Value, marks: &mut Marks) -> Result<(), String> {
        match (asked, value) {
            (Asked::Greeting, Value::Error(text)) => {
                self.turn_deaf();
                let gone = text.starts_with(b"ERR The client ID you want redirect to does not exist");
                let gone = gone && self.ear.is_none() && self.way.redirects;
                if gone { Ok(()) } else { Err(format!("{:?} is refused: {text:?}", self.way)) }
            }
            (Asked::Nothing | Asked::Greeting, _) => Ok(()),
            (Asked::Changed(keys), _) => {
                if self.way.noloop {
                    keys.iter().for_each(|at| drop(self.cache.remove(at)));
                }
                Ok(())
            }
            (Asked::Get(keys), Value::Array(Some(values))) if keys.len() == values.len() => {
                keys.iter().zip(&values).try_for_each(|(at, value)| self.keep(*at, value))
            }
            (Asked::Get(keys), value) if keys.len() == 1 => self.keep(keys[0], &value),
            (Asked::Exec(keys), Value::Array(Some(values))) if values.len() >= keys.len() => {
                marks.read_in_exec += 1;
                marks.caching_in_exec += u64::from(values.len() > keys.len());
                let values = &values[values.len() - keys.len()..];
                keys.iter().zip(values).try_for_each(|(at, value)| self.keep(*at, value))
            }
            // There was no room for it.
            (Asked::Set(..), Value::Error(text)) if text.starts_with(b"OOM ") => Ok(()),
            // It waited too long for its shards.
            (Asked::Exec(_), Value::Error(_)) => Ok(()),
            (Asked::Set(at, value), Value::Simple(_)) => {
                // Its own change is no news to it: it has to know itself. What it does not hold it does not track.
                if self.way.noloop
                    && let Some(copy) = self.cache.get_mut(&at)
                {
                    *copy = Some(value);
                    marks.own_change_kept += 1;
                }
                Ok(())
            }
            (asked, other) => Err(format!("{asked:?} was answered {other:?}")),
        }
    }
}

/// Whether a list of stale keys names one.
fn names(keys: &Value, at: usize) -> bool {
    let Value::Array(Some(keys)) = keys else { return true };
    keys.iter().any(|name| matches!(name, Value::Bulk(Some(name)) if number(name) == Some(at)))
}
