//! PING, HELLO, AUTH, CLIENT and their like: the connection itself. Core: the session's home.
//!
//! A handler changes the [`Client`], writes its reply, and says by [`After`] what the session has to do then.

use crate::command::client::{Client, ReplyMode};
use crate::command::context::{After, Home};
use crate::command::errors::{Error, error, quote};
use crate::command::facts::Facts;
use crate::command::subcommand::subcommands;
use crate::resp::number::parse_i64;
use crate::resp::{Args, Proto, Writer};
use crate::shard::Database;

/// `PING [message]`.
pub fn ping(client: &mut Client, args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    if client.is_subscriber() && args.len() <= 1 {
        writer.array(2);
        writer.bulk(b"pong");
        writer.bulk(args.get(0).unwrap_or_default());
        return After::Continue;
    }
    match (args.get(0), args.len()) {
        (Some(message), 1) => writer.bulk(message),
        (None, _) => writer.simple("PONG"),
        _ => error(writer, &Error::Arity("ping".to_owned())),
    }
    After::Continue
}

/// ECHO message.
pub fn echo(_client: &mut Client, args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    writer.bulk(args.at(0));
    After::Continue
}

/// Handles QUIT.
pub fn quit(_client: &mut Client, _args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    writer.ok();
    After::Close
}

/// RESET. Always answered in RESP2, which is in force again.
pub fn reset(client: &mut Client, _args: Args<'_>, home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    client.reset(home.verify_key.is_none());
    writer.simple("RESET");
    After::Reset
}

/// Parses the number of a database, of so many.
pub fn parse_database(index: &[u8], count: u8) -> Result<Database, Error> {
    let index = parse_i64(index).ok_or(Error::NotInteger)?;
    let index = i32::try_from(index).map_err(|_| Error::NotInt32)?;
    u8::try_from(index).ok().filter(|database| *database < count).ok_or(Error::DbIndex)
}

/// Refuses a SELECT that waits for EXEC where `select` would: what is queued behind it must not run.
pub fn check_queued(row: &Facts, args: Args<'_>, databases: u8) -> Result<(), Error> {
    if row.name == "select" { parse_database(args.at(0), databases).map(|_| ()) } else { Ok(()) }
}

/// SELECT index. A refused one ends the connection: many clients would go on in a database that they do not mean.
pub fn select(client: &mut Client, args: Args<'_>, home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    match parse_database(args.at(0), home.settings.databases) {
        Ok(database) => {
            client.database = database;
            writer.ok();
            After::Continue
        }
        Err(refused) => {
            error(writer, &refused);
            After::CloseForDatabase
        }
    }
}

/// `AUTH [username] key`.
pub fn auth(client: &mut Client, args: Args<'_>, home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    if args.len() > 2 {
        error(writer, &Error::Syntax);
        return After::Continue;
    }
    if home.verify_key.is_none() && args.len() == 1 {
        error(writer, &Error::AuthNotSet);
        return After::Continue;
    }
    let (user, key) = if args.len() == 2 { (args.at(0), args.at(1)) } else { (b"default".as_slice(), args.at(0)) };
    if !authenticate(client, user, key, home) {
        error(writer, &Error::WrongPass);
        return After::Delay;
    }
    writer.ok();
    After::Continue
}

/// Checks user and key. Without an auth key the user `default` may use any, as with Redis's `nopass`.
fn authenticate(client: &mut Client, user: &[u8], key: &[u8], home: &Home<'_>) -> bool {
    // The key is always compared, so that the time does not tell whether the user exists.
    let right = home.verify_key.is_none_or(|verify| verify(key)) & (user == b"default");
    if right {
        client.authenticated = true;
        client.auth_failures = 0;
    } else {
        client.auth_failures = client.auth_failures.saturating_add(1);
    }
    right
}

/// `HELLO [protover [AUTH user key] [SETNAME name]]`.
pub fn hello(client: &mut Client, args: Args<'_>, home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    let options = match HelloOptions::parse(args) {
        Ok(options) => options,
        Err(refused) => {
            error(writer, &refused);
            return After::Continue;
        }
    };
    if let Some((user, key)) = options.auth
        && !authenticate(client, user, key, home)
    {
        error(writer, &Error::WrongPass);
        return After::Delay;
    }
    if !client.authenticated {
        error(writer, &Error::NoAuthHello);
        return After::Continue;
    }
    if let Some(name) = options.name {
        client.name = String::from_utf8_lossy(name).into_owned();
    }
    if let Some(proto) = options.proto {
        client.proto = proto;
    }
    let mut writer = writer.with_proto(client.proto);
    writer.map(7);
    let proto = if client.proto == Proto::Resp3 { 3 } else { 2 };
    for (field, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        writer.bulk(field.as_bytes());
        writer.bulk(value.as_bytes());
    }
    writer.bulk(b"proto");
    writer.integer(proto);
    writer.bulk(b"id");
    writer.integer(client.id.cast_signed());
    let mode = if home.cluster { "cluster" } else { "standalone" };
    for (field, value) in [("mode", mode), ("role", "master")] {
        writer.bulk(field.as_bytes());
        writer.bulk(value.as_bytes());
    }
    writer.bulk(b"modules");
    writer.array(0);
    After::Continue
}

/// The version of Redis whose behaviour clients may rely on; they parse it as semver to choose features.
pub const REDIS_VERSION: &str = "8.4.0";

struct HelloOptions<'a> {
    proto: Option<Proto>,
    auth: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

impl<'a> HelloOptions<'a> {
    fn parse(args: Args<'a>) -> Result<HelloOptions<'a>, Error> {
        let mut options = HelloOptions { proto: None, auth: None, name: None };
        let Some(version) = args.get(0) else {
            return Ok(options);
        };
        options.proto = Some(match parse_i64(version) {
            Some(2) => Proto::Resp2,
            Some(3) => Proto::Resp3,
            Some(_) => return Err(Error::NoProto),
            None => return Err(Error::HelloVersion),
        });
        let mut rest = args.tail(1);
        while let Some(option) = rest.get(0) {
            if option.eq_ignore_ascii_case(b"AUTH") && rest.len() >= 3 {
                options.auth = Some((rest.at(1), rest.at(2)));
                rest = rest.tail(3);
            } else if option.eq_ignore_ascii_case(b"SETNAME") && rest.len() >= 2 {
                check_word(rest.at(1), Error::ClientName)?;
                options.name = Some(rest.at(1));
                rest = rest.tail(2);
            } else {
                return Err(Error::HelloOption(quote(option)));
            }
        }
        Ok(options)
    }
}

/// Handles CLIENT ID.
pub fn client_id(client: &mut Client, _args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    writer.integer(client.id.cast_signed());
    After::Continue
}

/// Handles CLIENT GETNAME.
pub fn client_getname(client: &mut Client, _args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    if client.name.is_empty() {
        writer.null();
    } else {
        writer.bulk(client.name.as_bytes());
    }
    After::Continue
}

/// CLIENT SETNAME name.
pub fn client_setname(client: &mut Client, args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    match check_word(args.at(0), Error::ClientName) {
        Ok(()) => {
            client.name = String::from_utf8_lossy(args.at(0)).into_owned();
            writer.ok();
        }
        Err(refused) => error(writer, &refused),
    }
    After::Continue
}

/// CLIENT SETINFO LIB-NAME | LIB-VER value.
pub fn client_setinfo(client: &mut Client, args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    let (option, value) = (args.at(0), args.at(1));
    let (field, name) = if option.eq_ignore_ascii_case(b"LIB-NAME") {
        (&mut client.lib_name, "lib-name")
    } else if option.eq_ignore_ascii_case(b"LIB-VER") {
        (&mut client.lib_version, "lib-ver")
    } else {
        error(writer, &Error::ClientInfoOption(quote(option)));
        return After::Continue;
    };
    match check_word(value, Error::ClientInfoValue(name)) {
        Ok(()) => {
            *field = String::from_utf8_lossy(value).into_owned();
            writer.ok();
        }
        Err(refused) => error(writer, &refused),
    }
    After::Continue
}

/// Handles CLIENT INFO.
pub fn client_info(client: &mut Client, _args: Args<'_>, home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    writer.verbatim(client.describe(home.sizes, home.now_ms).as_bytes());
    After::Continue
}

/// CLIENT NO-EVICT ON | OFF.
pub fn client_no_evict(client: &mut Client, args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    set_switch(&mut client.no_evict, args.at(0), writer)
}

/// CLIENT NO-TOUCH ON | OFF.
pub fn client_no_touch(client: &mut Client, args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    set_switch(&mut client.no_touch, args.at(0), writer)
}

/// CLIENT REPLY ON | OFF | SKIP. Only ON is answered.
pub fn client_reply(client: &mut Client, args: Args<'_>, _home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    let mode = args.at(0);
    if mode.eq_ignore_ascii_case(b"ON") {
        client.reply_mode = ReplyMode::On;
        writer.ok();
    } else if mode.eq_ignore_ascii_case(b"OFF") {
        client.reply_mode = ReplyMode::Off;
    } else if mode.eq_ignore_ascii_case(b"SKIP") {
        if client.reply_mode != ReplyMode::Off {
            client.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        error(writer, &Error::Syntax);
    }
    After::Continue
}

fn set_switch(switch: &mut bool, value: &[u8], writer: &mut Writer<'_>) -> After {
    let on = value.eq_ignore_ascii_case(b"ON");
    if on || value.eq_ignore_ascii_case(b"OFF") {
        *switch = on;
        writer.ok();
    } else {
        error(writer, &Error::Syntax);
    }
    After::Continue
}

/// `<container> HELP`, from the table's rows.
pub fn help(_client: &mut Client, _args: Args<'_>, home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    let (container, _) = home.row.name.split_once('|').unwrap_or((home.row.name, ""));
    let title = format!("{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", container.to_ascii_uppercase());
    let rows = subcommands(container);
    writer.array(1 + rows.len() * 2);
    writer.simple(&title);
    for row in rows {
        let name = row.name.split_once('|').map_or(row.name, |(_, name)| name);
        writer.simple(format!("{} {}", name.to_ascii_uppercase(), row.syntax).trim_end());
        writer.simple(&format!("    {}", row.summary));
    }
    After::Continue
}

/// CLUSTER HELP, which as all of CLUSTER is refused where there is none.
pub fn cluster_help(client: &mut Client, args: Args<'_>, home: &Home<'_>, writer: &mut Writer<'_>) -> After {
    if !home.cluster {
        error(writer, &Error::ClusterDisabled);
        return After::Continue;
    }
    help(client, args, home, writer)
}

/// Refuses spaces, line ends and everything that would break a line of CLIENT LIST.
fn check_word(word: &[u8], refusal: Error) -> Result<(), Error> {
    if word.iter().all(|byte| (b'!'..=b'~').contains(byte)) { Ok(()) } else { Err(refusal) }
}
