//! Push: what a server says unasked, a message or an invalidation, on its way into the output of many sessions. Core:
//! the sessions' home.
//!
//! A push is encoded once a protocol version, by the first session that needs it in that version, and copied or shared
//! from there on ([`Encoded`]). Where it goes between a session's replies is `replies`' business. Cost of one more
//! session: a copy of the bytes, or of a pointer once its client lags.
//! Never: sends (the session comes up in `take_ready`, behind those with replies), waits for a client.

use std::rc::Rc;

use crate::engine::replies::Replies;
use crate::engine::session::{Queue, Session};
use crate::engine::{Engine, Notice, SessionId};
use crate::resp::{Proto, Writer};

/// The bytes of one push in one protocol version.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) shared: Option<Rc<[u8]>>,
}

impl Encoded {
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes in memory of their own, the same for all sessions.
    pub(super) fn shared(&mut self) -> Rc<[u8]> {
        Rc::clone(self.shared.get_or_insert_with(|| self.bytes.as_slice().into()))
    }
}

/// One push in every version that was needed so far. Kept by the engine and used again.
#[derive(Debug, Default)]
pub(super) struct Push {
    resp2: Encoded,
    resp3: Encoded,
}

impl Push {
    /// Another push begins.
    pub(super) fn clear(&mut self) {
        for encoded in [&mut self.resp2, &mut self.resp3] {
            encoded.bytes.clear();
            encoded.shared = None;
        }
    }

    /// The bytes in a version; `write` encodes them if nobody needed it before. No push is empty.
    #[inline]
    fn encoded(&mut self, proto: Proto, write: impl FnOnce(&mut Writer<'_>)) -> &mut Encoded {
        let encoded = match proto {
            Proto::Resp2 => &mut self.resp2,
            Proto::Resp3 => &mut self.resp3,
        };
        if encoded.bytes.is_empty() {
            write(&mut Writer::new(&mut encoded.bytes, proto));
        }
        encoded
    }
}

impl Push {
    /// Puts it behind all replies of a session that is taken out.
    pub(super) fn put_last(&mut self, session: &mut Session, write: impl FnOnce(&mut Writer<'_>)) {
        if session.hears_pushes() {
            session.replies.push_last(self.encoded(session.client.proto, write));
        }
    }
}

/// A push to the session whose round is under way: it gets it when the round ends, in the version it speaks then.
#[derive(Debug)]
pub(super) struct Aside {
    resp2: Rc<[u8]>,
    resp3: Rc<[u8]>,
}

impl Aside {
    pub(super) fn into_output(self, session: &mut Session) {
        let bytes = if session.client.proto == Proto::Resp2 { self.resp2 } else { self.resp3 };
        if session.hears_pushes() {
            session.replies.push(&mut Encoded { bytes: bytes.to_vec(), shared: Some(bytes) });
        }
    }
}

impl Engine {
    /// Puts a push into a session's output. `write` says what it is, the same for all sessions; `push` is cleared, or
    /// holds what `write` said for other sessions. A session that has gone gets nothing.
    #[inline]
    pub(super) fn push(&mut self, id: SessionId, push: &mut Push, write: impl Fn(&mut Writer<'_>)) {
        self.push_by(id, push, write, Replies::push);
    }

    /// As `push`, but behind all replies that the session waits for.
    pub(super) fn push_last(&mut self, id: SessionId, push: &mut Push, write: impl Fn(&mut Writer<'_>)) {
        self.push_by(id, push, write, Replies::push_last);
    }

    #[inline]
    fn push_by(
        &mut self,
        id: SessionId,
        push: &mut Push,
        write: impl Fn(&mut Writer<'_>),
        put: fn(&mut Replies, &mut Encoded),
    ) {
        let Some(session) = self.sessions.get_mut(id) else {
            if self.sessions.is_out(id) {
                let resp2 = push.encoded(Proto::Resp2, &write).shared();
                let resp3 = push.encoded(Proto::Resp3, &write).shared();
                self.sessions.aside.push(Aside { resp2, resp3 });
            }
            return;
        };
        if !session.hears_pushes() {
            return;
        }
        session.replies.lend(&mut self.buffers);
        put(&mut session.replies, push.encoded(session.client.proto, write));
        if session.replies.waiting_bytes() as u64 >= self.settings.output_limits.pubsub.least_bytes() {
            self.check_output(id);
        } else if session.queued.is_none() {
            if session.should_send() && !session.gone {
                session.queued = Some(Queue::Told);
                self.told.push_back(id);
            } else {
                self.settle(id);
            }
        }
    }

    /// A session whose client lags behind what is pushed to it: at the limit it is cut off, so that it costs memory no
    /// longer; others never waited for it.
    #[cold]
    pub(super) fn check_output(&mut self, id: SessionId) {
        let limit = self.settings.output_limits.pubsub;
        let Some(session) = self.sessions.get_mut(id) else { return };
        let waiting_bytes = session.replies.waiting_bytes() as u64;
        let since_ms = match session.lags_since_ms {
            Some(since_ms) => since_ms,
            None if waiting_bytes >= limit.soft_bytes => *session.lags_since_ms.insert(self.awake_ms),
            None => self.awake_ms,
        };
        let lags_ms = self.awake_ms - since_ms;
        if waiting_bytes >= limit.hard_bytes || lags_ms > limit.soft_s.saturating_mul(1000) {
            let client = &session.client;
            let text = format!(
                "client id={} addr={} name={} closed: {waiting_bytes} bytes of output waited for it, for {lags_ms} ms more \
                 than client-output-buffer-limit allows",
                client.id, client.addr, client.name
            );
            session.cut();
            self.stats.cut_offs += 1;
            self.stats.output_cut_offs += 1;
            self.notice(Notice::CutOff(text));
        }
        self.settle(id);
    }
}
