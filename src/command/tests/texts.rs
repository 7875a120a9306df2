//! Texts: what errors say, and SCAN's cursors as clients see them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::command::Error;
use crate::command::hotkeys::Refusal;
use crate::command::keyspace::Cursor;

/// One of each. A new variant has to be listed: `each_error_has_its_own_text` counts them.
fn errors() -> Vec<Error> {
    [fixed(), with_words()].concat()
}

/// The errors that always have the same text.
#[rustfmt::skip]
fn fixed() -> Vec<Error> {
    use Error::*;
    vec![
        WrongPass, NoAuth, NoAuthHello, AuthNotSet, NoProto, HelloVersion, Oom, Syntax, NotInteger, IncrementOverflow,
        DecrementOverflow, NotFloat, FloatOverflow, StringTooLong, OffsetRange, BitOffset, BitValue, BitArgument,
        BitfieldType, BitfieldOverflow, BitfieldReadOnly, BusyKey, InvalidTtl, InvalidIdleTime, InvalidFrequency,
        DumpPayload, DumpData, NoFrequency, SlowlogCount, DebugRefused, NoSuchKey, NoConfigFile, DbIndex, FirstDbIndex, SecondDbIndex, NotInt32,
        InvalidCursor, ExpireNxConflict, ExpireGtLtConflict, KeyTooLong, NoSuchClient, InvalidClientId, ClientListId,
        TrackingRedirect, TrackingRedirects, TrackingPrefix, TrackingBroadcastSwitch, TrackingBroadcastOpt,
        TrackingBothOpt, TrackingOptSwitch, CachingWithoutTracking, CachingYes, CachingNo, ClientName, GetKeysUnknown, GetKeysNone, GetKeysArity, NotInMulti, SameKey, LcsLenAndIndex, LcsTooLong,
        NoReplication, NoAppendOnlyFile, NoSort, NoShutdown, PauseMode, UnblockReason,
        DeleteCondition, DigestLength, EnxWithoutExpiry, BoundsCrossed, ThrottleRange,
        BitopNot, MsetexCount, MsetexPairs, ExecWithoutMulti, DiscardWithoutMulti, MultiNested, WatchInMulti,
        ExecAborted, SubscribeInMulti, TooManySubscriptions, ExecArity, HoldTimeout, MultiTooLong, SnapshotBusy,
        SnapshotLoading, SnapshotName, Loading, ClusterDisabled, ClusterCursor, MonitorInMulti, MonitorKeyspace, ConfigPatterns, InvalidSlot, InvalidSlotOrCount,
    ]
}

/// The errors that hold a text or a number.
fn with_words() -> Vec<Error> {
    let word = || "word".to_owned();
    vec![
        Error::BitopSources("WORD"),
        Error::OperandNotInteger("WORD"),
        Error::OperandNotFloat("WORD"),
        Error::Timeout("word"),
        Error::HelloOption(word()),
        Error::InvalidExpire("word"),
        Error::DumpType("word"),
        Error::Arity(word()),
        Error::UnknownCommand(word()),
        Error::UnknownSubcommand(word(), "WORD"),
        Error::SubcommandSyntax(word(), "WORD"),
        Error::Subscriber("word"),
        Error::LatencyEvent(word()),
        Error::HotKeys(Refusal::Active),
        Error::UnknownNode(word()),
        Error::UnsupportedOption(word()),
        Error::UnknownClientType(word()),
        Error::NoSuchUser(word()),
        Error::ClientInfoValue("word"),
        Error::ClientInfoOption(word()),
        Error::ConfigUnknown(word()),
        Error::ConfigImmutable(word()),
        Error::ConfigInvalid(word(), "why"),
        Error::ConfigClients(1),
        Error::ConfigDuplicate(word()),
        Error::PrefixNamed(word(), word()),
        Error::PrefixGiven(word(), word()),
    ]
}

/// Variants of `Error`, counted in its source.
fn variants() -> usize {
    let source = include_str!("../errors.rs");
    let body = source.split_once("pub enum Error {").and_then(|(_, rest)| rest.split_once("\n}")).expect("the enum").0;
    body.lines().filter(|line| line.starts_with("    ") && line.as_bytes()[4].is_ascii_uppercase()).count()
}

#[test]
fn each_error_has_its_own_text() {
    let texts: BTreeSet<_> = errors().iter().map(Error::to_string).collect();
    assert_eq!(errors().len(), variants(), "list the new error in `errors` above");
    assert_eq!(texts.len(), errors().len(), "two errors have the same text: merge them");
}

#[test]
fn errors_begin_with_a_code_and_fit_a_line() {
    for error in errors() {
        let text = error.to_string();
        let code = text.split(' ').next().unwrap_or_default();
        assert!(!code.is_empty() && code.bytes().all(|byte| byte.is_ascii_uppercase()), "begin with a code: {text}");
        assert!(!text.contains(['\r', '\n']), "one line: {text}");
    }
}

#[test]
fn cursors_from_clients() {
    // What redis-server 7.0.15 refuses and takes.
    for bad in ["x", " 1", "1 ", "1x", "18446744073709551616", "-18446744073709551616", "-", "+", "--1"] {
        assert_eq!(Cursor::parse(bad.as_bytes()), Err(Error::InvalidCursor), "{bad:?}");
    }
    for (good, core, position) in [
        ("0", 0, 0),
        ("", 0, 0),
        ("-0", 0, 0),
        ("+1", 0, 1),
        ("-1", u16::MAX, u32::MAX),
        ("01", 0, 1),
        ("4294967295", 0, u32::MAX),
        ("4294967296", 1, 0),
        ("281474976710655", u16::MAX, u32::MAX),
    ] {
        assert_eq!(Cursor::parse(good.as_bytes()), Ok(Cursor { core, position }), "{good}");
    }
    let beyond = Cursor::parse(b"18446744073709551615").expect("a number");
    assert_eq!(beyond.core, u16::MAX, "a core that does not exist ends the scan");
}

proptest! {
    #[test]
    fn cursors_come_back(core: u16, position: u32) {
        let cursor = Cursor { core, position };
        prop_assert_eq!(Cursor::parse(cursor.number().to_string().as_bytes()), Ok(cursor));
    }

    #[test]
    fn no_cursor_panics(text in proptest::collection::vec(any::<u8>(), 0..24)) {
        let cut = text.split(|byte| *byte == 0).next().expect("a first part");
        let number = std::str::from_utf8(cut).ok().and_then(|text| {
            text.strip_prefix('-').filter(|rest| !rest.starts_with('+')).unwrap_or(text).parse::<u64>().ok()
        });
        prop_assert_eq!(Cursor::parse(&text).is_ok(), cut.is_empty() || number.is_some());
    }
}
