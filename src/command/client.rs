//! Client: what a connection is to its commands: identity, protocol, permission. Core: its home core, always.

use std::fmt::Write;

use crate::command::pubsub::Topic;
use crate::command::tracking::{Scope, Tracking};
use crate::resp::Proto;

/// What becomes of replies (CLIENT REPLY).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// They are sent.
    #[default]
    On,
    /// They are not, until CLIENT REPLY ON.
    Off,
    /// That of the next command is not.
    SkipNext,
    /// That of the command that runs now is not.
    Skip,
}

/// One connection as its commands see it.
#[derive(Debug, Default)]
pub struct Client {
    /// Unique in the process, from 1 on.
    pub id: u64,
    /// The protocol of its replies.
    pub proto: Proto,
    /// Whether it has shown the auth key, or need not.
    pub authenticated: bool,
    /// CLIENT SETNAME.
    pub name: String,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: String,
    /// CLIENT SETINFO LIB-VER.
    pub lib_version: String,
    /// The peer's address, as CLIENT LIST prints it.
    pub addr: String,
    /// Our own address on this connection.
    pub local_addr: String,
    /// File descriptor, for CLIENT LIST alone.
    pub fd: i32,
    /// Whether it came by its core's own port: to it the core is a node, which answers for its own keys alone where a
    /// cluster client asks every node and adds up.
    pub by_core_port: bool,
    /// CLIENT NO-EVICT. Kept for CLIENT LIST; no client is evicted for memory here.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH: its reads leave recency alone.
    pub no_touch: bool,
    /// CLIENT TRACKING, if it is on.
    pub tracking: Option<Box<Tracking>>,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// Unix time in milliseconds at which it connected.
    pub created_ms: u64,
    /// Unix time in milliseconds at which it last sent a command.
    pub active_ms: u64,
    /// The last command's name.
    pub last_command: &'static str,
    /// Commands queued since MULTI, if it is in one.
    pub queued: Option<usize>,
    /// What it subscribes to, by kind.
    pub subscriptions: Subscriptions,
    /// Failed authentications so far.
    pub auth_failures: u32,
}

/// How much a connection subscribes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscriptions {
    /// SUBSCRIBE.
    pub channels: usize,
    /// PSUBSCRIBE.
    pub patterns: usize,
    /// SSUBSCRIBE.
    pub shard_channels: usize,
}

impl Subscriptions {
    /// How many there are of a kind.
    pub fn of(&mut self, topic: Topic) -> &mut usize {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
            Topic::ShardChannel => &mut self.shard_channels,
        }
    }

    /// Whether there are any.
    #[inline]
    pub fn any(&self) -> bool {
        self.channels | self.patterns | self.shard_channels != 0
    }
}

/// Sizes that CLIENT LIST prints and only the session knows. Bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct BufferSizes {
    /// Requests received but not run.
    pub input: usize,
    /// Replies encoded but not sent.
    pub output: usize,
    /// Replies that wait for an earlier one.
    pub held: usize,
}

impl Client {
    /// Whether messages come between its replies in a way that only a push could tell apart, so that few commands run.
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
            (self.subscriptions.any(), 'P'),
            (self.queued.is_some(), 'x'),
            (self.tracking.is_some(), 't'),
            (tracks(|tracking| tracking.broken), 'R'),
            (tracks(|tracking| tracking.scope == Scope::Broadcast), 'B'),
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
        // Writing to a String does not fail.
        let _ = writeln!(
            line,
            "id={} addr={} laddr={} fd={} name={} age={age_s} idle={idle_s} flags={flags} db=0 sub={channels} \
             psub={patterns} ssub={shard_channels} multi={queued} qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl={} oll=0 omem={} tot-mem={} \
             events=r cmd={command} user=default redir={} resp={resp} lib-name={} lib-ver={}",
            self.id,
            self.addr,
            self.local_addr,
            self.fd,
            self.name,
            sizes.input,
            sizes.output,
            sizes.held,
            sizes.input + sizes.output + sizes.held,
            self.redirect(),
            self.lib_name,
            self.lib_version,
        );
        line
    }

    /// The client that is told of its stale keys, 0 if that is itself, -1 if it does not track.
    pub fn redirect(&self) -> i64 {
        self.tracking.as_ref().map_or(-1, |tracking| tracking.redirect.cast_signed())
    }

    /// Back to how it was when it connected (RESET). What it tracks is ended by its session. `authenticated`: whether no
    /// auth key is set.
    pub fn reset(&mut self, authenticated: bool) {
        self.proto = Proto::Resp2;
        self.authenticated = authenticated;
        self.name.clear();
        self.no_evict = false;
        self.no_touch = false;
        self.reply_mode = ReplyMode::On;
    }
}
