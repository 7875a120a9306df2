//! Client: the state of a connection that its commands use: identity, protocol, permission. Core: its home core, always.

use std::fmt::Write;

use crate::command::pubsub::Topic;
use crate::command::tracking::{Scope, Tracking};
use crate::limits::FIXED_OUTPUT_BYTES;
use crate::resp::Proto;
use crate::shard::Database;

/// The reply mode of a connection (CLIENT REPLY).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// Replies are sent.
    #[default]
    On,
    /// Replies are dropped, until CLIENT REPLY ON.
    Off,
    /// The reply of the next command is dropped.
    SkipNext,
    /// The reply of the current command is dropped.
    Skip,
}

/// One connection as its commands see it.
#[derive(Debug, Default)]
pub struct Client {
    /// The client id, unique in the process, from 1 on.
    pub id: u64,
    /// The protocol of the replies.
    pub proto: Proto,
    /// Whether the client is authenticated, or need not be.
    pub authenticated: bool,
    /// The name set by CLIENT SETNAME.
    pub name: String,
    /// The library name set by CLIENT SETINFO LIB-NAME.
    pub lib_name: String,
    /// The library version set by CLIENT SETINFO LIB-VER.
    pub lib_version: String,
    /// The peer's address, as CLIENT LIST prints it.
    pub addr: String,
    /// Our own address on this connection.
    pub local_addr: String,
    /// The file descriptor, for CLIENT LIST alone.
    pub fd: i32,
    /// Whether the client has connected by a core port: to it the core is a node, which answers for its own keys alone where
    /// a cluster client asks every node and adds up.
    pub by_core_port: bool,
    /// The client's next command waits for the end of CLIENT PAUSE, for CLIENT LIST alone.
    pub held_back: bool,
    /// The client has said MONITOR.
    pub monitors: bool,
    /// The flag of CLIENT NO-EVICT, for CLIENT LIST alone; no client is evicted for memory here.
    pub no_evict: bool,
    /// The flag of CLIENT NO-TOUCH: reads leave recency alone.
    pub no_touch: bool,
    /// The database that the client has selected.
    pub database: Database,
    /// The state of CLIENT TRACKING, if it is on.
    pub tracking: Option<Box<Tracking>>,
    /// The mode of CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// The unix time in milliseconds of connecting.
    pub created_ms: u64,
    /// The unix time in milliseconds of the last command.
    pub active_ms: u64,
    /// The name of the last command.
    pub last_command: &'static str,
    /// The number of commands queued since MULTI, if the client is in a transaction.
    pub queued: Option<usize>,
    /// The numbers of subscriptions, by kind.
    pub subscriptions: Subscriptions,
    /// The number of failed authentications.
    pub auth_failures: u32,
}

/// The numbers of subscriptions of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscriptions {
    /// Channels, by SUBSCRIBE.
    pub channels: usize,
    /// Patterns, by PSUBSCRIBE.
    pub patterns: usize,
    /// Shard channels, by SSUBSCRIBE.
    pub shard_channels: usize,
}

impl Subscriptions {
    /// The number of subscriptions of a kind.
    pub fn of(&mut self, topic: Topic) -> &mut usize {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::ShardChannel => &mut self.shard_channels,
        }
    }

    /// Whether there are any subscriptions.
    #[inline]
    pub fn any(&self) -> bool {
        self.channels | self.patterns | self.shard_channels != 0
    }
}

/// Sizes in bytes that CLIENT LIST prints and only the session knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct BufferSizes {
    /// Bytes of requests received but not run.
    pub input: usize,
    /// Bytes of replies encoded but not sent.
    pub output: usize,
    /// Bytes of replies that wait for an earlier one.
    pub held: usize,
    /// Bytes of commands queued since MULTI.
    pub multi: usize,
}

impl BufferSizes {
    /// Bytes of replies that wait, in Redis's two parts: those of a client's fixed buffer, and those beyond it.
    fn waiting(&self) -> (usize, usize) {
        let waiting = self.output + self.held;
        let first = waiting.min(FIXED_OUTPUT_BYTES);
        (first, waiting - first)
    }
}

impl Client {
    /// Whether messages could not be told from replies, as on a RESP2 connection with subscriptions, where few commands run.
    #[inline]
    pub fn is_subscriber(&self) -> bool {
        self.proto == Proto::Resp2 && self.subscriptions.any()
    }

    /// One line of CLIENT LIST, in Redis's form, with the line end.
    pub fn describe(&self, sizes: BufferSizes, now_ms: u64) -> String {
        let mut line = String::new();
        let age_s = now_ms.saturating_sub(self.created_ms) / 1000;
        let idle_s = now_ms.saturating_sub(self.active_ms) / 1000;
        let Subscriptions { channels, patterns, shard_channels } = self.subscriptions;
        let tracks = |test: fn(&Tracking) -> bool| self.tracking.as_deref().is_some_and(test);
        let flags = [
            (self.monitors, 'O'),
            (self.subscriptions.any(), 'P'),
            (self.queued.is_some(), 'x'),
            (self.tracking.is_some(), 't'),
            (tracks(|tracking| tracking.broken), 'R'),
            (tracks(|tracking| tracking.scope == Scope::Broadcast), 'B'),
            (self.held_back, 'b'),
            (self.no_evict, 'e'),
            (self.no_touch, 'T'),
        ];
        let flags: String = flags.iter().filter(|(is, _)| *is).map(|(_, flag)| *flag).collect();
        let flags = if flags.is_empty() { "N" } else { &flags };
        let queued = self.queued.map_or(-1, |count| count as i64);
        let resp = match self.proto {
            Proto::Resp2 => 2,
            Proto::Resp3 => 3,
        };
        let command = if self.last_command.is_empty() { "NULL" } else { self.last_command };
        let waiting = sizes.waiting();
        // Writing to a String does not fail.
        let _ = writeln!(
            line,
            "id={} addr={} laddr={} fd={} name={} age={age_s} idle={idle_s} flags={flags} db={} sub={channels} \
             psub={patterns} ssub={shard_channels} multi={queued} qbuf={} qbuf-free=0 argv-mem=0 multi-mem={} rbs=0 rbp=0 obl={} oll=0 omem={} tot-mem={} \
             events=r cmd={command} user=default redir={} resp={resp} lib-name={} lib-ver={}",
            self.id,
            self.addr,
            self.local_addr,
            self.fd,
            self.name,
            self.database,
            sizes.input,
            sizes.multi,
            waiting.0,
            waiting.1,
            sizes.input + waiting.0 + waiting.1 + sizes.multi,
            self.redirect(),
            self.lib_name,
            self.lib_version,
        );
        line
    }

    /// The id of the client that gets the invalidations; 0 if it is this one, -1 if it does not track.
    pub fn redirect(&self) -> i64 {
        self.tracking.as_ref().map_or(-1, |tracking| tracking.redirect.cast_signed())
    }

    /// Resets the client to its state at connecting (RESET). Its tracking is ended by the session. `authenticated`: whether no
    /// auth key is set.
    pub fn reset(&mut self, authenticated: bool) {
        self.proto = Proto::Resp2;
        self.authenticated = authenticated;
        self.name.clear();
        self.no_evict = false;
        self.no_touch = false;
        self.database = 0;
        self.reply_mode = ReplyMode::On;
    }
}
