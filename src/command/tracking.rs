//! Tracking: the state of CLIENT TRACKING of one connection, and the arguments that change it. Core: the session's
//! home. Invalidations are the engine's (`engine/invalidation`).

use std::collections::BTreeSet;

use crate::command::errors::{Error, quote};
use crate::resp::Args;
use crate::resp::number::parse_i64;

/// The tracking state of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracking {
    /// The client that gets the invalidations instead; 0 for none.
    pub redirect: u64,
    /// The reads that are tracked.
    pub scope: Scope,
    /// Whether the connection's own changes are not invalidated.
    pub noloop: bool,
    /// Whether CLIENT CACHING was sent for the next command.
    pub caching: bool,
    /// Whether the client of the redirection has gone.
    pub broken: bool,
    /// The prefixes of the tracked keys, in `Scope::Broadcast`.
    pub prefixes: BTreeSet<Vec<u8>>,
}

/// The keys that a connection tracks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All keys that it has read.
    #[default]
    Read,
    /// Keys that it has read by commands after CLIENT CACHING YES.
    OptIn,
    /// Keys that it has read, except by commands after CLIENT CACHING NO.
    OptOut,
    /// Keys with one of its prefixes, whether it has read them or not.
    Broadcast,
}

impl Tracking {
    /// Whether the keys of the current read are tracked.
    pub fn remembers(&self) -> bool {
        match self.scope {
            Scope::Read => true,
            Scope::OptIn => self.caching,
            Scope::OptOut => !self.caching,
            Scope::Broadcast => false,
        }
    }
}

/// The arguments of CLIENT TRACKING, as far as they could be read.
#[derive(Debug)]
pub struct Wish<'a> {
    /// The first client named by REDIRECT. Whether it exists decides before anything that comes after it.
    pub redirect: Option<i64>,
    rest: Result<Options<'a>, Error>,
}

#[derive(Debug, Default)]
struct Options<'a> {
    on: Option<bool>,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    noloop: bool,
    prefixes: Vec<&'a [u8]>,
}

/// The change of a CLIENT TRACKING.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// Tracking is switched off.
    Off,
    /// Tracking is switched on, with this state.
    On(Box<Tracking>),
}

impl<'a> Wish<'a> {
    /// Reads `ON | OFF [REDIRECT id] [BCAST] [PREFIX prefix …] [OPTIN] [OPTOUT] [NOLOOP]`.
    pub fn parse(args: Args<'a>) -> Wish<'a> {
        let mut redirect = None;
        let rest = parse(args, &mut redirect);
        Wish { redirect, rest }
    }

    /// Decides on the change for a connection with the tracking state `now`. A client named by REDIRECT exists.
    pub fn decide(&self, now: Option<&Tracking>) -> Result<Change, Error> {
        let options = self.rest.as_ref().map_err(Error::clone)?;
        match options.on {
            None => return Err(Error::Syntax),
            Some(false) => return Ok(Change::Off),
            Some(true) => {}
        }
        let Options { broadcast, opt_in, opt_out, .. } = *options;
        if !broadcast && !options.prefixes.is_empty() {
            return Err(Error::TrackingPrefix);
        }
        if now.is_some_and(|now| (now.scope == Scope::Broadcast) != broadcast) {
            return Err(Error::TrackingBroadcastSwitch);
        }
        if broadcast && (opt_in || opt_out) {
            return Err(Error::TrackingBroadcastOpt);
        }
        if opt_in && opt_out {
            return Err(Error::TrackingBothOpt);
        }
        let was = now.map(|now| now.scope);
        if (opt_in && was == Some(Scope::OptOut)) || (opt_out && was == Some(Scope::OptIn)) {
            return Err(Error::TrackingOptSwitch);
        }
        let mut prefixes = now.map(|now| now.prefixes.clone()).unwrap_or_default();
        if broadcast {
            check_overlaps(&prefixes, &options.prefixes)?;
            prefixes.extend(options.prefixes.iter().map(|prefix| prefix.to_vec()));
            if options.prefixes.is_empty() {
                prefixes.insert(Vec::new());
            }
        }
        Ok(Change::On(Box::new(Tracking {
            redirect: self.redirect.and_then(|id| u64::try_from(id).ok()).unwrap_or(0),
            scope: match (broadcast, opt_in, opt_out) {
                (true, ..) => Scope::Broadcast,
                (_, true, _) => Scope::OptIn,
                (_, _, true) => Scope::OptOut,
                _ => Scope::Read,
            },
            noloop: options.noloop,
            caching: now.is_some_and(|now| now.caching),
            broken: false,
            prefixes,
        })))
    }
}

fn parse<'a>(args: Args<'a>, redirect: &mut Option<i64>) -> Result<Options<'a>, Error> {
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let mut options = Options::default();
    let mut rest = args.tail(1);
    while let Some(option) = rest.get(0) {
        let value = rest.get(1);
        let mut words = 1;
        match value {
            Some(id) if is(option, "REDIRECT") => {
                if redirect.is_some() {
                    return Err(Error::TrackingRedirects);
                }
                *redirect = Some(parse_i64(id).ok_or(Error::NotInteger)?);
                words = 2;
            }
            Some(prefix) if is(option, "PREFIX") => {
                options.prefixes.push(prefix);
                words = 2;
            }
            _ if is(option, "BCAST") => options.broadcast = true,
            _ if is(option, "OPTIN") => options.opt_in = true,
            _ if is(option, "OPTOUT") => options.opt_out = true,
            _ if is(option, "NOLOOP") => options.noloop = true,
            _ => return Err(Error::Syntax),
        }
        rest = rest.tail(words);
    }
    let switch = args.at(0);
    options.on = if is(switch, "ON") { Some(true) } else { is(switch, "OFF").then_some(false) };
    Ok(options)
}

/// Refuses prefixes of which one begins with another: a key would be invalidated twice.
fn check_overlaps(named: &BTreeSet<Vec<u8>>, new: &[&[u8]]) -> Result<(), Error> {
    let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
    for (at, prefix) in new.iter().enumerate() {
        if let Some(other) = named.iter().find(|other| overlap(prefix, other)) {
            return Err(Error::PrefixNamed(quote(prefix), quote(other)));
        }
        if let Some(other) = new[at + 1..].iter().find(|other| overlap(prefix, other)) {
            return Err(Error::PrefixGiven(quote(prefix), quote(other)));
        }
    }
    Ok(())
}
