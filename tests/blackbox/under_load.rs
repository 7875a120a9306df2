//! Every reply right, and in order, while 200 clients pipeline 16 commands each over the keys of all cores.
//!
//! Each client has keys of its own and a model of them, so that what every reply must be is known, whatever the others
//! do. The amount of work is fixed, not its time.

use std::collections::HashMap;
use std::thread;

use crate::support::conn::{Conn, bulk, command};
use crate::support::server::{Server, Setup};

const CLIENTS: usize = 200;
const THREADS: usize = 4;
const PIPELINE: usize = 16;
const ROUNDS: usize = 30;
const KEYS: u64 = 20;

/// A client and what it knows of its keys.
struct Checker {
    conn: Conn,
    number: usize,
    random: u64,
    model: HashMap<String, String>,
    expected: Vec<String>,
}

impl Checker {
    fn new(conn: Conn, number: usize) -> Checker {
        let random = 0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1) << 17;
        Checker { conn, number, random, model: HashMap::new(), expected: Vec::new() }
    }

    fn next(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn key(&mut self) -> String {
        let key = self.next(KEYS);
        format!("{}:{key}", self.number)
    }

    fn value(&mut self) -> String {
        let len = [1, 10, 64, 500, 3000][self.next(5) as usize];
        let seed = self.next(1_000_000);
        format!("{seed:0len$}")
    }

    /// The reply to a GET of `key`.
    fn found(&self, key: &str) -> String {
        self.model.get(key).map_or("$-1\r\n".to_owned(), |value| bulk(value))
    }

    /// One random command, and the reply it must have.
    fn step(&mut self) -> (Vec<String>, String) {
        let key = self.key();
        match self.next(10) {
            0..3 => {
                let value = self.value();
                self.model.insert(key.clone(), value.clone());
                (vec!["SET".into(), key, value], "+OK\r\n".into())
            }
            3..6 => {
                let reply = self.found(&key);
                (vec!["GET".into(), key], reply)
            }
            6 => {
                let reply = format!(":{}\r\n", u8::from(self.model.remove(&key).is_some()));
                (vec!["DEL".into(), key], reply)
            }
            7 => {
                let mut args = vec!["MGET".to_owned()];
                args.extend((0..5).map(|_| self.key()));
                let parts: String = args[1..].iter().map(|key| self.found(key)).collect();
                (args, format!("*5\r\n{parts}"))
            }
            8 => {
                let mut args = vec!["MSET".to_owned()];
                for _ in 0..4 {
                    let (key, value) = (self.key(), self.value());
                    self.model.insert(key.clone(), value.clone());
                    args.extend([key, value]);
                }
                (args, "+OK\r\n".into())
            }
            _ => {
                let value = self.value();
                let reply = self.found(&key);
                self.model.insert(key.clone(), value.clone());
                (vec!["SET".into(), key, value, "GET".into(), "EX".into(), "1000".into()], reply)
            }
        }
    }

    fn send(&mut self) {
        let mut bytes = Vec::new();
        for _ in 0..PIPELINE {
            let (args, reply) = self.step();
            bytes.extend(command(&args));
            self.expected.push(reply);
        }
        self.conn.send(&bytes);
    }

    fn check(&mut self) {
        for expected in std::mem::take(&mut self.expected) {
            let reply = self.conn.reply();
            assert!(reply == expected, "client {}: got {reply:?}, expected {expected:?}", self.number);
        }
    }
}

fn check_load(server: &Server, connect: impl Fn(usize) -> Conn) {
    let mut checkers: Vec<Checker> = (0..CLIENTS).map(|number| Checker::new(connect(number), number)).collect();
    let kept: Vec<usize> = thread::scope(|scope| {
        let threads: Vec<_> = checkers
            .chunks_mut(CLIENTS / THREADS)
            .map(|mine| {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        mine.iter_mut().for_each(Checker::send);
                        mine.iter_mut().for_each(Checker::check);
                    }
                    mine.iter().map(|checker| checker.model.len()).sum()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut conn = server.connect();
    assert_eq!(conn.number(&["DBSIZE"]), kept.iter().sum::<usize>() as i64, "no key more, none less");
    assert_eq!(conn.info_number("clients_cut_off"), 0);
    assert_eq!(conn.info_number("protocol_errors"), 0);
    assert_eq!(conn.info_number("total_error_replies"), 0);
}

#[test]
fn on_two_cores_by_tcp() {
    let server = Server::start(2, &["--max-memory", "1gb"]);
    check_load(&server, |_| server.connect());
}

#[test]
fn on_one_core_by_tcp() {
    let server = Server::start(1, &["--max-memory", "1gb"]);
    check_load(&server, |_| server.connect());
}

#[test]
fn on_two_cores_by_tcp_and_unix_socket_while_spinning() {
    let server = Setup::new(2, &["--max-memory", "1gb", "--spin", "50"]).unix().start();
    check_load(&server, |number| if number % 2 == 0 { server.connect() } else { server.connect_unix() });
}
