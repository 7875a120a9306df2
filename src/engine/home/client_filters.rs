//! Client filters: which sessions CLIENT LIST and CLIENT KILL name, and a walk over the sessions for one of them. Pure.

use crate::command::errors::quote;
use crate::command::{Client, Error};
use crate::engine::link::message::Origin;
use crate::resp::Args;
use crate::resp::number::parse_i64;
use crate::shard::ClientId;

/// A walk over the sessions of one core, in slices.
#[derive(Debug)]
pub(in crate::engine) struct ClientWalk {
    pub(in crate::engine) verb: ClientVerb,
    pub(in crate::engine) origin: Origin,
    /// The place of the table that is looked at next.
    pub(in crate::engine) at: usize,
}

/// What a walk does with the sessions that its filter takes.
#[derive(Debug)]
pub(in crate::engine) enum ClientVerb {
    /// Describes them, a line each.
    List { filter: ListFilter, lines: Vec<u8> },
    /// Ends them.
    Kill { filter: KillFilter, caller: ClientId, killed: u64 },
}

/// Which sessions CLIENT LIST names.
#[derive(Debug, Default)]
pub(in crate::engine) struct ListFilter {
    /// The ids of those clients, ascending; `None` for all.
    ids: Option<Vec<u64>>,
    kind: Option<ClientKind>,
}

impl ListFilter {
    pub(in crate::engine) fn parse(args: Args<'_>) -> Result<ListFilter, Error> {
        let mut filter = ListFilter::default();
        match args.get(0) {
            None => {}
            Some(option) if is(option, "TYPE") && args.len() == 2 => filter.kind = Some(client_kind(args.at(1))?),
            Some(option) if is(option, "ID") && args.len() > 1 => {
                // Nobody has the id 0, nor one below.
                let id = |text| parse_i64(text).map(|id| u64::try_from(id).unwrap_or(0)).ok_or(Error::ClientListId);
                let mut ids = args.tail(1).iter().map(id).collect::<Result<Vec<_>, _>>()?;
                ids.sort_unstable();
                filter.ids = Some(ids);
            }
            Some(_) => return Err(Error::Syntax),
        }
        Ok(filter)
    }

    pub(in crate::engine) fn takes(&self, client: &Client) -> bool {
        self.kind.is_none_or(|kind| kind.takes(client))
            && self.ids.as_ref().is_none_or(|ids| ids.binary_search(&client.id).is_ok())
    }
}

/// Redis's types of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientKind {
    /// Ordinary ones.
    Normal,
    /// Clients that subscribe to channels or patterns.
    Pubsub,
    /// Replicas and the like, of which there are none here.
    Other,
}

impl ClientKind {
    fn takes(self, client: &Client) -> bool {
        match self {
            ClientKind::Normal => !client.subscriptions.any(),
            ClientKind::Pubsub => client.subscriptions.any(),
            ClientKind::Other => false,
        }
    }
}

fn client_kind(name: &[u8]) -> Result<ClientKind, Error> {
    match name.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(ClientKind::Normal),
        b"pubsub" => Ok(ClientKind::Pubsub),
        b"master" | b"slave" | b"replica" => Ok(ClientKind::Other),
        _ => Err(Error::UnknownClientType(quote(name))),
    }
}

/// Which sessions CLIENT KILL ends.
#[derive(Debug, Default)]
pub(in crate::engine) struct KillFilter {
    id: Option<u64>,
    addr: Option<Vec<u8>>,
    local_addr: Option<Vec<u8>>,
    age_s_min: Option<u64>,
    kind: Option<ClientKind>,
    pub(in crate::engine) skip_me: bool,
}

impl KillFilter {
    pub(in crate::engine) fn parse(args: Args<'_>) -> Result<KillFilter, Error> {
        if args.len() == 1 {
            return Ok(KillFilter { addr: args.get(0).map(<[u8]>::to_vec), ..KillFilter::default() });
        }
        let mut filter = KillFilter { skip_me: true, ..KillFilter::default() };
        let mut rest = args;
        while let Some(option) = rest.get(0) {
            let value = rest.get(1).ok_or(Error::Syntax)?;
            if is(option, "ID") {
                let id = parse_i64(value).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
                filter.id = Some(id.ok_or(Error::InvalidClientId)?);
            } else if is(option, "ADDR") {
                filter.addr = Some(value.to_vec());
            } else if is(option, "LADDR") {
                filter.local_addr = Some(value.to_vec());
            } else if is(option, "TYPE") {
                filter.kind = Some(client_kind(value)?);
            } else if is(option, "USER") {
                if value != b"default" {
                    return Err(Error::NoSuchUser(quote(value)));
                }
            } else if is(option, "MAXAGE") {
                let age = parse_i64(value).ok_or(Error::NotInteger)?;
                filter.age_s_min = Some(u64::try_from(age).ok().filter(|age| *age > 0).ok_or(Error::Syntax)?);
            } else if is(option, "SKIPME") && (is(value, "yes") || is(value, "no")) {
                filter.skip_me = is(value, "yes");
            } else {
                return Err(Error::Syntax);
            }
            rest = rest.tail(2);
        }
        Ok(filter)
    }

    pub(in crate::engine) fn takes(&self, client: &Client, now_ms: u64) -> bool {
        let age_s = now_ms.saturating_sub(client.created_ms) / 1000;
        self.kind.is_none_or(|kind| kind.takes(client))
            && self.id.is_none_or(|id| id == client.id)
            && self.addr.as_ref().is_none_or(|addr| addr == client.addr.as_bytes())
            && self.local_addr.as_ref().is_none_or(|addr| addr == client.local_addr.as_bytes())
            && self.age_s_min.is_none_or(|min| age_s >= min)
    }
}

/// Whether a word is an option's name, in letters of any case.
pub(in crate::engine) fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}
