//! The greeting of a connection: HELLO, SELECT and ASPINE.CORES, and the server's cores.
//!
//! Never: does I/O. `greeting` writes all requests at once; `check` reads the replies.

use super::encode::{head, word};
use super::error::{Error, Fault};
use super::options::Options;
use super::value::Value;
use crate::limits::SLOTS;
use crate::slot::{CoreId, Slot};

/// The number of replies to a greeting.
pub(crate) fn greeting_replies(options: &Options) -> usize {
    2 + usize::from(options.database > 0)
}

/// The cores of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cores {
    /// The core ports in the order of the cores; empty without `--core-ports`.
    pub(crate) ports: Vec<u16>,
}

/// Appends the greeting: HELLO, SELECT unless the database is 0, and ASPINE.CORES.
pub(crate) fn greeting(out: &mut Vec<u8>, options: &Options) {
    let auth = options.authkey.is_some();
    head(out, 2 + 3 * usize::from(auth) + 2 * usize::from(options.name.is_some()));
    word(out, b"HELLO");
    word(out, b"3");
    if let Some(key) = &options.authkey {
        word(out, b"AUTH");
        word(out, options.user.as_deref().unwrap_or("default").as_bytes());
        word(out, key);
    }
    if let Some(name) = &options.name {
        word(out, b"SETNAME");
        word(out, name.as_bytes());
    }
    if options.database > 0 {
        head(out, 2);
        word(out, b"SELECT");
        word(out, options.database.to_string().as_bytes());
    }
    head(out, 1);
    word(out, b"ASPINE.CORES");
}

/// Whether a reply to HELLO or SELECT is a refusal, behind which the server may say no more.
pub(crate) fn is_refused(replies: &[Value]) -> bool {
    replies.iter().any(|reply| matches!(reply, Value::Error(_)))
}

/// Checks the replies, and returns the server's cores, if it has any. A server that refuses the database may have sent
/// fewer.
pub(crate) fn check(replies: Vec<Value>, options: &Options) -> Result<Option<Cores>, Error> {
    let fault = |fault| Error::Protocol { address: options.address.clone(), fault };
    if replies.len() > greeting_replies(options) {
        return Err(fault(Fault::Unasked));
    }
    let mut replies = replies.into_iter();
    let mut next = || replies.next().ok_or_else(|| fault(Fault::Unasked));
    match next()? {
        Value::Map(_) => {}
        Value::Error(text) => {
            let error = Error::of_server(&text);
            let version = matches!(error.code(), Some("NOPROTO")) || text.starts_with(b"ERR unknown command");
            return Err(if version { fault(Fault::Version) } else { error });
        }
        _ => return Err(fault(Fault::Type)),
    }
    if options.database > 0
        && let Value::Error(text) = next()?
    {
        return Err(Error::of_server(&text));
    }
    match next()? {
        // Redis, or an Aspine without cores of its own.
        Value::Error(_) => Ok(None),
        Value::Map(fields) => Ok(Some(Cores::parse(&fields).ok_or_else(|| fault(Fault::Type))?)),
        _ => Err(fault(Fault::Type)),
    }
}

impl Cores {
    fn parse(fields: &[(Value, Value)]) -> Option<Cores> {
        let field = |name: &[u8]| {
            let named = |key: &Value| key.as_bytes().is_some_and(|key| key == name);
            fields.iter().find(|(key, _)| named(key)).map(|(_, value)| value)
        };
        let rows = field(b"cores")?.as_array()?;
        let count = u16::try_from(rows.len()).ok().filter(|count| (1..=SLOTS).contains(count))?;
        let mut ports = Vec::with_capacity(rows.len());
        for (row, core) in rows.iter().zip(0..) {
            let [number, port, first, last, ..] = row.as_array()? else { return None };
            let range = Slot::range(CoreId(core), count);
            let told = (first.as_integer()?, last.as_integer()?);
            if number.as_integer()? != i64::from(core) || told != (i64::from(range.0.0), i64::from(range.1.0)) {
                return None;
            }
            ports.push(u16::try_from(port.as_integer()?).ok()?);
        }
        if ports.contains(&0) {
            ports.clear();
        }
        Some(Cores { ports })
    }
}
