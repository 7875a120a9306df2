//! A server in the test: a thread a connection, one store, and a script that may replace any reply.
//!
//! It reads requests by code of its own, so that the generator's is not checked by itself.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The script's answer to a request.
pub(crate) enum Action {
    /// The right answer.
    Serve,
    /// The same, but so much later; nothing else is served on the connection meanwhile.
    ServeAfter(Duration),
    /// The given bytes.
    Say(Vec<u8>),
    /// The values of these keys.
    SayValues(Vec<Vec<u8>>),
    /// Nothing, and nothing to what follows on this connection.
    Stall,
    /// The end of the connection.
    Close,
}

/// A request, its words, and how many of its name there were before it.
pub(crate) struct Request<'a> {
    pub(crate) words: &'a [Vec<u8>],
    pub(crate) number: u64,
}

impl Request<'_> {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.words[0] == name.as_bytes()
    }
}

type Script = dyn Fn(&Request<'_>) -> Action + Send + Sync;

#[derive(Default)]
struct State {
    store: HashMap<Vec<u8>, Vec<u8>>,
    /// Requests by name.
    seen: HashMap<String, u64>,
    /// First keys of the requests that had one.
    keys: Vec<Vec<u8>>,
}

/// A server that serves until the test ends.
pub(crate) struct Fake {
    pub(crate) addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy)]
pub(crate) enum Speech {
    Resp,
    Memcached,
}

impl Fake {
    /// A RESP server that does what it should.
    pub(crate) fn honest() -> Fake {
        Fake::new(Speech::Resp, |_| Action::Serve)
    }

    /// A RESP server with a script.
    pub(crate) fn scripted(script: impl Fn(&Request<'_>) -> Action + Send + Sync + 'static) -> Fake {
        Fake::new(Speech::Resp, script)
    }

    pub(crate) fn new(speech: Speech, script: impl Fn(&Request<'_>) -> Action + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let script: Arc<Script> = Arc::new(script);
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (state, script) = (Arc::clone(&shared), Arc::clone(&script));
                thread::spawn(move || serve(stream, speech, &state, &*script));
            }
        });
        Fake { addr, state }
    }

    /// Requests of a name that it has seen.
    pub(crate) fn seen(&self, name: &str) -> u64 {
        self.state.lock().unwrap().seen.get(name).copied().unwrap_or_default()
    }

    /// The first keys of all requests that had one, in some order.
    pub(crate) fn keys(&self) -> Vec<Vec<u8>> {
        self.state.lock().unwrap().keys.clone()
    }

    /// The stored items.
    pub(crate) fn items(&self) -> usize {
        self.state.lock().unwrap().store.len()
    }
}

/// Serves a connection to its end. What goes wrong with it ends it: the generator may go at any time.
fn serve(stream: TcpStream, speech: Speech, state: &Mutex<State>, script: &Script) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let words = match speech {
            Speech::Resp => resp_request(&mut reader)?,
            Speech::Memcached => memcached_request(&mut reader)?,
        };
        let number = {
            let mut state = state.lock().unwrap();
            let seen = state.seen.entry(String::from_utf8_lossy(&words[0]).into_owned()).or_default();
            *seen += 1;
            let number = *seen - 1;
            state.keys.extend(words.get(1).cloned());
            number
        };
        let action = script(&Request { words: &words, number });
        let honest = || match speech {
            Speech::Resp => resp_reply(&words, &mut state.lock().unwrap().store),
            Speech::Memcached => memcached_reply(&words, &mut state.lock().unwrap().store),
        };
        match action {
            Action::Serve => writer.write_all(&honest()).ok()?,
            Action::ServeAfter(delay) => {
                thread::sleep(delay);
                writer.write_all(&honest()).ok()?;
            }
            Action::Say(bytes) => writer.write_all(&bytes).ok()?,
            Action::SayValues(keys) => {
                for key in keys {
                    let reply = resp_reply(&[b"GET".to_vec(), key], &mut state.lock().unwrap().store);
                    writer.write_all(&reply).ok()?;
                }
            }
            // Until the generator closes.
            Action::Stall => drop(reader.read_to_end(&mut Vec::new())),
            Action::Close => return None,
        }
    }
}

fn line(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok()?;
    line.strip_suffix(b"\r\n").map(<[u8]>::to_vec)
}

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn block(reader: &mut impl Read, len: usize) -> Option<Vec<u8>> {
    let mut block = vec![0; len + 2];
    reader.read_exact(&mut block).ok()?;
    block.truncate(len);
    Some(block)
}

fn resp_request(reader: &mut impl BufRead) -> Option<Vec<Vec<u8>>> {
    let count = number(line(reader)?.strip_prefix(b"*")?)?;
    (0..count)
        .map(|_| {
            let len = number(line(reader)?.strip_prefix(b"$")?)?;
            block(reader, len)
        })
        .collect()
}

fn resp_reply(words: &[Vec<u8>], store: &mut HashMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    let bulk = |value: Option<&Vec<u8>>| match value {
        Some(value) => [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat(),
        None => b"$-1\r\n".to_vec(),
    };
    let integer = |number: i64| format!(":{number}\r\n").into_bytes();
    match (&words[0][..], &words[1..]) {
        (b"PING", []) => b"+PONG\r\n".to_vec(),
        (b"GET", [key]) => bulk(store.get(key)),
        (b"SET", [key, value]) => {
            store.insert(key.clone(), value.clone());
            b"+OK\r\n".to_vec()
        }
        (b"SET", [key, value, ex, seconds]) if ex == b"EX" && number(seconds).is_some_and(|seconds| seconds > 0) => {
            store.insert(key.clone(), value.clone());
            b"+OK\r\n".to_vec()
        }
        (b"MGET", keys) => {
            let values: Vec<_> = keys.iter().map(|key| bulk(store.get(key))).collect();
            [format!("*{}\r\n", keys.len()).into_bytes(), values.concat()].concat()
        }
        (b"MSET", pairs) => {
            for pair in pairs.chunks(2) {
                store.insert(pair[0].clone(), pair[1].clone());
            }
            b"+OK\r\n".to_vec()
        }
        (b"INCR", [key]) => {
            let next = store.get(key).and_then(|text| number(text)).unwrap_or(0) + 1;
            store.insert(key.clone(), next.to_string().into_bytes());
            integer(next as i64)
        }
        (b"DEL", [key]) => integer(i64::from(store.remove(key).is_some())),
        (b"EXISTS", [key]) => integer(i64::from(store.contains_key(key))),
        (b"EXPIRE", [key, seconds]) => {
            assert!(number(seconds).is_some_and(|seconds| seconds > 0));
            integer(i64::from(store.contains_key(key)))
        }
        (b"PUBLISH", [_, _]) => integer(0),
        _ => b"-ERR unknown command\r\n".to_vec(),
    }
}

/// A request as words; a value, which follows its line, is the last.
fn memcached_request(reader: &mut impl BufRead) -> Option<Vec<Vec<u8>>> {
    let line = line(reader)?;
    let mut words: Vec<_> = line.split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect();
    if words[0] == b"set" {
        let len = number(&words[4])?;
        words.push(block(reader, len)?);
    }
    Some(words)
}

fn memcached_reply(words: &[Vec<u8>], store: &mut HashMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    let said = |text: &str| format!("{text}\r\n").into_bytes();
    match (&words[0][..], &words[1..]) {
        (b"version", []) => said("VERSION 1.6.0"),
        (b"get", keys) => {
            let values = keys.iter().filter_map(|key| {
                let value = store.get(key)?;
                let head = format!("VALUE {} 0 {}\r\n", String::from_utf8_lossy(key), value.len());
                Some([head.as_bytes(), value, b"\r\n"].concat())
            });
            [values.collect::<Vec<_>>().concat(), said("END")].concat()
        }
        (b"set", [key, flags, exptime, _, value]) => {
            assert_eq!(flags, b"0");
            assert!(number(exptime).is_some());
            store.insert(key.clone(), value.clone());
            said("STORED")
        }
        (b"delete", [key]) => said(if store.remove(key).is_some() { "DELETED" } else { "NOT_FOUND" }),
        (b"touch", [key, _]) => said(if store.contains_key(key) { "TOUCHED" } else { "NOT_FOUND" }),
        (b"ma", [key, rest @ ..]) if rest == [b"N0".to_vec(), b"J1".to_vec(), b"v".to_vec()] => {
            let next = store.get(key).and_then(|text| number(text)).unwrap_or(0) + 1;
            store.insert(key.clone(), next.to_string().into_bytes());
            said(&format!("VA {}\r\n{next}", next.to_string().len()))
        }
        _ => said("ERROR"),
    }
}
