//! A walk over all keys, step by step, for `list`.

use std::collections::HashSet;

use bytes::Bytes;

use super::error::{Error, Fault};
use super::value::{Expect, FromValue, Value};

/// A walk by SCAN.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The cursor of the next step; `None` at the end.
    cursor: Option<Bytes>,
    /// The keys found so far. SCAN may return a key twice.
    keys: HashSet<Bytes>,
}

impl Walk {
    pub(crate) fn new() -> Self {
        Self { cursor: Some(Bytes::from_static(b"0")), keys: HashSet::new() }
    }

    /// The cursor of the next step; `None` at the end of the walk.
    pub(crate) fn next_cursor(&self) -> Option<&[u8]> {
        self.cursor.as_deref()
    }

    /// Takes the reply to a step.
    pub(crate) fn on_reply(&mut self, reply: Value) -> Result<(), Fault> {
        let [cursor, keys] = <[Value; 2]>::try_from(reply.array()?).map_err(|_| Fault::Type)?;
        let cursor = cursor.bytes()?.ok_or(Fault::Type)?;
        for key in keys.array()? {
            self.keys.insert(key.bytes()?.ok_or(Fault::Type)?);
        }
        self.cursor = (&*cursor != b"0").then_some(cursor);
        Ok(())
    }

    /// All keys that were found.
    pub(crate) fn into_keys<K: FromValue>(self) -> Result<Vec<K>, Error> {
        let typed = |key: Bytes| K::from_value(key.clone()).map_err(|cause| Error::decode::<K>(&key, cause));
        self.keys.into_iter().map(typed).collect()
    }
}
