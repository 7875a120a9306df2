//! Reply: the result of a handler: one value, borrowed from the shard if possible. The writer encodes RESP2 and RESP3.

use crate::command::Error;
use crate::command::lcs::Matches;
use crate::resp::Writer;

/// The reply of one key's command.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// The status `+OK`.
    Ok,
    /// Another fixed status.
    Status(&'static str),
    /// A number.
    Integer(i64),
    /// A value borrowed from the shard.
    Bulk(&'a [u8]),
    /// A value that is no longer stored (GETDEL, SET with GET).
    Owned(Vec<u8>),
    /// A value and its deadline, of a key that a command of several cores reads.
    Pair(&'a [u8], i64),
    /// The matches of a longest common subsequence.
    Matches(Matches),
    /// Numbers and nulls (BITFIELD).
    Integers(Vec<Option<i64>>),
    /// Decimal fractions, as doubles in RESP3 (INCREX).
    Decimals(Vec<Vec<u8>>),
    /// A null reply.
    Null,
    /// An error.
    Error(Error),
}

impl Reply<'_> {
    /// Writes the reply in the protocol of the session.
    #[inline]
    pub fn write(self, writer: &mut Writer<'_>) {
        match self {
            Reply::Bulk(value) => writer.bulk(value),
            Reply::Ok => writer.ok(),
            Reply::Null => writer.null(),
            Reply::Integer(value) => writer.integer(value),
            rare => rare.write_rare(writer),
        }
    }

    #[inline(never)]
    fn write_rare(self, writer: &mut Writer<'_>) {
        match self {
            Reply::Bulk(_) | Reply::Ok | Reply::Null | Reply::Integer(_) => self.write(writer),
            Reply::Status(text) => writer.simple(text),
            Reply::Owned(value) => writer.bulk(&value),
            Reply::Pair(value, deadline) => {
                writer.array(2);
                writer.bulk(value);
                writer.integer(deadline);
            }
            Reply::Matches(matches) => matches.write(writer),
            Reply::Integers(values) => {
                writer.array(values.len());
                for value in values {
                    match value {
                        Some(value) => writer.integer(value),
                        None => writer.null(),
                    }
                }
            }
            Reply::Decimals(texts) => {
                writer.array(texts.len());
                texts.iter().for_each(|text| writer.decimal(text));
            }
            Reply::Error(error) => writer.error(&error.to_string()),
        }
    }
}

impl From<bool> for Reply<'_> {
    /// Redis says yes and no as 1 and 0.
    fn from(yes: bool) -> Self {
        Reply::Integer(i64::from(yes))
    }
}

impl From<Error> for Reply<'_> {
    fn from(error: Error) -> Self {
        Reply::Error(error)
    }
}
