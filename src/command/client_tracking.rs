//! CLIENT CACHING, GETREDIR and TRACKINGINFO: what a connection asks of its tracking. Core: the session's home.
//! CLIENT TRACKING itself concerns every core: `engine/home/tracking.rs`.

use crate::command::client::Client;
use crate::command::context::{After, Home};
use crate::command::errors::{Error, error};
use crate::command::tracking::{Scope, Tracking};
use crate::resp::{Args, Writer};

/// CLIENT CACHING YES | NO.
pub fn client_caching(client: &mut Client, args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    match set_caching(client, args.at(0)) {
        Ok(()) => writer.ok(),
        Err(refused) => error(writer, &refused),
    }
    After::Continue
}

fn set_caching(client: &mut Client, word: &[u8]) -> Result<(), Error> {
    let tracking = client.tracking.as_mut().ok_or(Error::CachingWithoutTracking)?;
    let (scope, refusal) = if word.eq_ignore_ascii_case(b"YES") {
        (Scope::OptIn, Error::CachingYes)
    } else if word.eq_ignore_ascii_case(b"NO") {
        (Scope::OptOut, Error::CachingNo)
    } else {
        return Err(Error::Syntax);
    };
    if tracking.scope != scope {
        return Err(refusal);
    }
    tracking.caching = true;
    Ok(())
}

/// Handles CLIENT GETREDIR.
pub fn client_getredir(client: &mut Client, _args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    writer.integer(client.redirect());
    After::Continue
}

/// Handles CLIENT TRACKINGINFO.
pub fn client_trackinginfo(client: &mut Client, _args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    let tracking = client.tracking.as_deref();
    let is = |test: fn(&Tracking) -> bool| tracking.is_some_and(test);
    let flags = [
        (tracking.is_none(), "off"),
        (tracking.is_some(), "on"),
        (is(|tracking| tracking.scope == Scope::Broadcast), "bcast"),
        (is(|tracking| tracking.scope == Scope::OptIn), "optin"),
        (is(|tracking| tracking.scope == Scope::OptIn && tracking.caching), "caching-yes"),
        (is(|tracking| tracking.scope == Scope::OptOut), "optout"),
        (is(|tracking| tracking.scope == Scope::OptOut && tracking.caching), "caching-no"),
        (is(|tracking| tracking.noloop), "noloop"),
        (is(|tracking| tracking.broken), "broken_redirect"),
    ];
    writer.map(3);
    writer.bulk(b"flags");
    writer.set(flags.iter().filter(|(is, _)| *is).count());
    for (_, name) in flags.iter().filter(|(is, _)| *is) {
        writer.bulk(name.as_bytes());
    }
    writer.bulk(b"redirect");
    writer.integer(client.redirect());
    writer.bulk(b"prefixes");
    writer.array(tracking.map_or(0, |tracking| tracking.prefixes.len()));
    for prefix in tracking.iter().flat_map(|tracking| &tracking.prefixes) {
        writer.bulk(prefix);
    }
    After::Continue
}
