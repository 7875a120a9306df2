//! Push: what a server says unasked, a message or an invalidation, on its way into the output of many sessions. Core:
//! the sessions' home.
//!
//! A push is encoded once a protocol version, by the first session that needs it in that version, and copied or shared
//! from there on ([`Encoded`]). Where it goes between a session's replies is `replies`' business. Cost of one more
//! session: a copy of the bytes, or of a pointer once its client lags.

use std::rc::Rc;

use crate::resp::{Proto, Writer};

/// The bytes of one push in one protocol version.
#[derive(Debug, Default)]
pub(in crate::engine) struct Encoded {
    pub(in crate::engine) bytes: Vec<u8>,
    pub(in crate::engine) shared: Option<Rc<[u8]>>,
}

impl Encoded {
    #[inline]
    pub(in crate::engine) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes in memory of their own, the same for all sessions.
    pub(in crate::engine) fn shared(&mut self) -> Rc<[u8]> {
        Rc::clone(self.shared.get_or_insert_with(|| self.bytes.as_slice().into()))
    }
}

/// One push in every version that was needed so far. Kept and used again.
#[derive(Debug, Default)]
pub(in crate::engine) struct Push {
    resp2: Encoded,
    resp3: Encoded,
}

impl Push {
    /// Another push begins.
    pub(in crate::engine) fn clear(&mut self) {
        for encoded in [&mut self.resp2, &mut self.resp3] {
            encoded.bytes.clear();
            encoded.shared = None;
        }
    }

    /// The bytes in a version; `write` encodes them if no session needed them before. No push is empty.
    #[inline]
    pub(in crate::engine) fn encoded(&mut self, proto: Proto, write: impl FnOnce(&mut Writer<'_>)) -> &mut Encoded {
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
