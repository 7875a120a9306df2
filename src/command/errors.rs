//! Error replies: Redis's own texts, each exactly once, since clients match on them.
//!
//! The leading `-` and the line end belong to the writer. Texts are those of Redis 7.0 unless the doc says otherwise.

use std::fmt;

use crate::command::hotkeys;
use crate::limits::{
    CONFIG_GET_PATTERNS_MAX, KEY_BYTES_MAX, MULTI_BYTES_MAX, SESSION_SUBSCRIPTION_BYTES_MAX, SESSION_SUBSCRIPTIONS_MAX,
};
use crate::resp::Writer;

/// The reason why a command was refused. `Display` is the text on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The auth key was wrong.
    WrongPass,
    /// A command before authentication.
    NoAuth,
    /// HELLO before authentication, without credentials.
    NoAuthHello,
    /// AUTH although the server has no auth key.
    AuthNotSet,
    /// HELLO with a protocol version other than 2 and 3.
    NoProto,
    /// HELLO with a protocol version that is not a number.
    HelloVersion,
    /// HELLO with an option that doesn't exist; holds it.
    HelloOption(String),
    /// SSUBSCRIBE between MULTI and EXEC.
    SubscribeInMulti,
    /// More subscriptions than one connection may have, in our own words.
    TooManySubscriptions,
    /// A command on a RESP2 connection that has subscribed; holds its name.
    Subscriber(&'static str),
    /// The bound is reached and nothing may be evicted.
    Oom,
    /// MONITOR between MULTI and EXEC.
    MonitorInMulti,
    /// A command of keys, or of messages, on a connection that has said MONITOR.
    MonitorKeyspace,
    /// Options that don't exist or contradict each other.
    Syntax,
    /// A number that isn't one.
    NotInteger,
    /// INCR or DECR beyond 64 bits.
    IncrementOverflow,
    /// DECRBY of the smallest integer, which can't be negated.
    DecrementOverflow,
    /// INCRBYFLOAT with an increment or a value that is not a float.
    NotFloat,
    /// INCRBYFLOAT with a sum that is not finite.
    FloatOverflow,
    /// A value that would exceed the maximum length.
    StringTooLong,
    /// SETRANGE at a negative offset.
    OffsetRange,
    /// An offset of a bit that isn't one, or that no value reaches.
    BitOffset,
    /// SETBIT to something else than 0 and 1.
    BitValue,
    /// BITPOS of a number other than 0 and 1.
    BitArgument,
    /// BITFIELD with a type that isn't one.
    BitfieldType,
    /// BITFIELD with a way of overflowing that doesn't exist.
    BitfieldOverflow,
    /// BITFIELD_RO with a write.
    BitfieldReadOnly,
    /// OBJECT FREQ, as no policy counts accesses.
    NoFrequency,
    /// RESTORE over an existing key, without REPLACE.
    BusyKey,
    /// RESTORE with a negative TTL.
    InvalidTtl,
    /// RESTORE with a negative IDLETIME.
    InvalidIdleTime,
    /// RESTORE with a FREQ that is not a byte.
    InvalidFrequency,
    /// RESTORE of bytes that are not a payload of DUMP.
    DumpPayload,
    /// RESTORE of a valid payload that holds no value.
    DumpData,
    /// RESTORE of a valid payload of Redis with another type than a string; holds the type.
    DumpType(&'static str),
    /// An expiry that is zero, negative or beyond the clock; holds the command's name.
    InvalidExpire(&'static str),
    /// The number of arguments; holds the command's name in lower case.
    Arity(String),
    /// No such command; holds the name and the beginning of the arguments, as Redis quotes them.
    UnknownCommand(String),
    /// No such subcommand; holds the subcommand as typed and its container's name.
    UnknownSubcommand(String, &'static str),
    /// Arguments that a subcommand does not take; holds the subcommand and its container's name.
    SubcommandSyntax(String, &'static str),
    /// SLOWLOG GET with an invalid count.
    SlowlogCount,
    /// A HOTKEYS command that is refused; holds why.
    HotKeys(hotkeys::Refusal),
    /// LATENCY GRAPH of an event without samples; holds its name.
    LatencyEvent(String),
    /// DEBUG from an address from which it is not allowed.
    DebugRefused,
    /// DEBUG OBJECT of a missing key.
    NoSuchKey,
    /// CONFIG REWRITE without a file.
    NoConfigFile,
    /// A number that does not fit 32 bits.
    NotInt32,
    /// A database that is not there.
    DbIndex,
    /// SWAPDB with a first database that is no number.
    FirstDbIndex,
    /// SWAPDB with a second database that is no number.
    SecondDbIndex,
    /// SCAN with a cursor that isn't one.
    InvalidCursor,
    /// EXPIRE with NX and another condition.
    ExpireNxConflict,
    /// EXPIRE with GT and LT.
    ExpireGtLtConflict,
    /// EXPIRE with an option that doesn't exist.
    UnsupportedOption(String),
    /// COPY of a key to itself.
    SameKey,
    /// LCS with both LEN and IDX.
    LcsLenAndIndex,
    /// LCS of values whose table would be too large.
    LcsTooLong,
    /// BITOP NOT with several sources.
    BitopNot,
    /// BITOP DIFF and its like with one source; holds the operation.
    BitopSources(&'static str),
    /// DELEX with a condition that doesn't exist.
    DeleteCondition,
    /// IFDEQ or IFDNE with a digest of another length.
    DigestLength,
    /// INCREX with ENX and without a deadline.
    EnxWithoutExpiry,
    /// INCREX with bounds between which nothing is.
    BoundsCrossed,
    /// INCREX with an increment or a bound that is not an integer; holds which.
    OperandNotInteger(&'static str),
    /// INCREX with an increment or a bound that is not a float; holds which.
    OperandNotFloat(&'static str),
    /// CL.THROTTLE with numbers that make no limit (this text is ours).
    ThrottleRange,
    /// MSETEX with a number of keys that isn't one.
    MsetexCount,
    /// MSETEX with fewer keys and values than it announced.
    MsetexPairs,
    /// A timeout that isn't one; holds what it is instead.
    Timeout(&'static str),
    /// REPLICAOF of another server (this text is ours).
    NoReplication,
    /// BGREWRITEAOF (this text is ours).
    NoAppendOnlyFile,
    /// SORT (this text is ours).
    NoSort,
    /// SHUTDOWN ABORT without a shutdown.
    NoShutdown,
    /// CLIENT PAUSE of commands of a kind that doesn't exist.
    PauseMode,
    /// CLIENT UNBLOCK for a reason that doesn't exist.
    UnblockReason,
    /// EXEC without MULTI.
    ExecWithoutMulti,
    /// DISCARD without MULTI.
    DiscardWithoutMulti,
    /// MULTI after MULTI.
    MultiNested,
    /// WATCH after MULTI.
    WatchInMulti,
    /// EXEC after a command that could not be queued.
    ExecAborted,
    /// EXEC with a wrong number of arguments.
    ExecArity,
    /// Too many bytes between MULTI and EXEC (this text is ours).
    MultiTooLong,
    /// A transaction that did not get its shards in time (this text is ours).
    HoldTimeout,
    /// A snapshot is being taken.
    SnapshotBusy,
    /// A snapshot is being loaded, or about to be (this text is ours).
    SnapshotLoading,
    /// An invalid name of a snapshot (this text is ours).
    SnapshotName,
    /// A command while items are being loaded.
    Loading,
    /// A command that can't be queued since it makes its session wait.
    NotInMulti,
    /// A key longer than a slab entry can hold (this text is ours).
    KeyTooLong,
    /// CLUSTER and its like without `--core-ports`.
    ClusterDisabled,
    /// The cursor of CLUSTERSCAN.
    ClusterCursor,
    /// CLUSTER COUNTKEYSINSLOT of an invalid slot.
    InvalidSlot,
    /// CLUSTER GETKEYSINSLOT of an invalid slot, or with a negative count.
    InvalidSlotOrCount,
    /// CLUSTER REPLICAS of an unknown node; holds the id.
    UnknownNode(String),
    /// CLIENT KILL of an address that no client has.
    NoSuchClient,
    /// CLIENT KILL with an id that is not a positive number.
    InvalidClientId,
    /// CLIENT LIST with an id that is not a number.
    ClientListId,
    /// CLIENT LIST or KILL with a type that doesn't exist.
    UnknownClientType(String),
    /// CLIENT KILL with a user that doesn't exist; holds the name.
    NoSuchUser(String),
    /// CLIENT TRACKING with a REDIRECT to a missing client.
    TrackingRedirect,
    /// CLIENT TRACKING with REDIRECT twice.
    TrackingRedirects,
    /// CLIENT TRACKING with PREFIX and without BCAST.
    TrackingPrefix,
    /// CLIENT TRACKING that would switch BCAST on or off.
    TrackingBroadcastSwitch,
    /// CLIENT TRACKING with BCAST and OPTIN or OPTOUT.
    TrackingBroadcastOpt,
    /// CLIENT TRACKING with OPTIN and OPTOUT.
    TrackingBothOpt,
    /// CLIENT TRACKING that would switch from OPTIN to OPTOUT or back.
    TrackingOptSwitch,
    /// CLIENT TRACKING with a prefix that overlaps with one that the connection has; holds both.
    PrefixNamed(String, String),
    /// CLIENT TRACKING with two prefixes that overlap; holds both.
    PrefixGiven(String, String),
    /// CLIENT CACHING of a connection that does not track.
    CachingWithoutTracking,
    /// CLIENT CACHING YES without OPTIN.
    CachingYes,
    /// CLIENT CACHING NO without OPTOUT.
    CachingNo,
    /// CLIENT SETNAME with a space or a control character.
    ClientName,
    /// HELLO SETNAME with such a name uses the same text; CLIENT SETINFO has its own. Holds the option.
    ClientInfoValue(&'static str),
    /// CLIENT SETINFO of something else than LIB-NAME and LIB-VER; holds the option.
    ClientInfoOption(String),
    /// COMMAND GETKEYS of a command that doesn't exist.
    GetKeysUnknown,
    /// COMMAND GETKEYS of a command without keys.
    GetKeysNone,
    /// COMMAND GETKEYS with a wrong number of arguments.
    GetKeysArity,
    /// CONFIG SET of a parameter that doesn't exist; holds its name.
    ConfigUnknown(String),
    /// CONFIG SET of a parameter that is fixed while the server runs; holds its name.
    ConfigImmutable(String),
    /// CONFIG SET with a value that doesn't fit; holds the parameter and why.
    ConfigInvalid(String, &'static str),
    /// CONFIG SET of more clients than there are file descriptors for; holds how many there may be.
    ConfigClients(u32),
    /// CONFIG GET of more patterns than one command may have, in our own words.
    ConfigPatterns,
    /// CONFIG SET of one parameter twice; holds its name.
    ConfigDuplicate(String),
}

impl Error {
    /// The text of an error that always has the same.
    fn fixed_text(&self) -> Option<&'static str> {
        Some(match self {
            Error::WrongPass => "WRONGPASS invalid username-password pair or user is disabled.",
            Error::NoAuth => "NOAUTH Authentication required.",
            Error::NoAuthHello => {
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> \
                 AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol \
                 version at the same time"
            }
            Error::AuthNotSet => {
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                 configuration is correct?"
            }
            Error::NoProto => "NOPROTO unsupported protocol version",
            Error::HelloVersion => "ERR Protocol version is not an integer or out of range",
            Error::SubscribeInMulti => "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client",
            Error::MonitorInMulti => "ERR MONITOR isn't allowed for DENY BLOCKING client",
            Error::MonitorKeyspace => "ERR Replica can't interact with the keyspace",
            Error::Oom => "OOM command not allowed when used memory > 'maxmemory'.",
            Error::Syntax => "ERR syntax error",
            Error::NotInteger => "ERR value is not an integer or out of range",
            _ => return self.fixed_text_of_operators(),
        })
    }

    /// As `fixed_text`, of commands about the server, its clients and transactions.
    fn fixed_text_of_operators(&self) -> Option<&'static str> {
        Some(match self {
            Error::SlowlogCount => "ERR count should be greater than or equal to -1",
            Error::DebugRefused => {
                "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it \
                 from a local connection, otherwise you need to set this option in the configuration file, and then \
                 restart the server."
            }
            Error::NoConfigFile => "ERR The server is running without a config file",
            Error::NotInMulti => "ERR Command not allowed inside a transaction",
            Error::NotInt32 => "ERR value is out of range, value must between -2147483648 and 2147483647",
            Error::DbIndex => "ERR DB index is out of range",
            Error::FirstDbIndex => "ERR invalid first DB index",
            Error::SecondDbIndex => "ERR invalid second DB index",
            Error::InvalidCursor => "ERR invalid cursor",
            Error::ExpireNxConflict => "ERR NX and XX, GT or LT options at the same time are not compatible",
            Error::ExpireGtLtConflict => "ERR GT and LT options at the same time are not compatible",
            Error::NoReplication => "ERR there are no replicas here: REPLICAOF takes NO ONE alone",
            Error::NoAppendOnlyFile => "ERR there is no append only file here; BGSAVE takes a snapshot",
            Error::NoSort => "ERR SORT is not supported: it sorts lists and sets, and there are only strings here",
            Error::NoShutdown => "ERR No shutdown in progress.",
            Error::PauseMode => "ERR CLIENT PAUSE mode must be WRITE or ALL",
            Error::UnblockReason => "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
            Error::NoSuchKey => "ERR no such key",
            Error::SameKey => "ERR source and destination objects are the same",
            Error::LcsLenAndIndex => "ERR If you want both the length and indexes, please just use IDX.",
            Error::LcsTooLong => "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
            Error::BitopNot => "ERR BITOP NOT must be called with a single source key.",
            Error::MsetexCount => "ERR invalid numkeys value",
            Error::MsetexPairs => "ERR wrong number of key-value pairs",
            Error::ExecWithoutMulti => "ERR EXEC without MULTI",
            Error::DiscardWithoutMulti => "ERR DISCARD without MULTI",
            Error::MultiNested => "ERR MULTI calls can not be nested",
            Error::WatchInMulti => "ERR WATCH inside MULTI is not allowed",
            Error::ExecAborted => "EXECABORT Transaction discarded because of previous errors.",
            Error::ExecArity => {
                "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command"
            }
            Error::HoldTimeout => "EXECABORT Transaction discarded because its keys were busy for too long; try again",
            Error::NoSuchClient => "ERR No such client",
            Error::ClusterCursor => "ERR Invalid cursor",
            Error::ClusterDisabled => "ERR This instance has cluster support disabled",
            Error::InvalidSlot => "ERR Invalid slot",
            Error::InvalidSlotOrCount => "ERR Invalid slot or number of keys",
            Error::InvalidClientId => "ERR client-id should be greater than 0",
            Error::ClientListId => "ERR Invalid client ID",
            Error::ClientName => "ERR Client names cannot contain spaces, newlines or special characters.",
            Error::GetKeysUnknown => "ERR Invalid command specified",
            Error::GetKeysNone => "ERR The command has no key arguments",
            Error::GetKeysArity => "ERR Invalid number of arguments specified for command",
            _ => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::HelloOption(option) => write!(f, "ERR Syntax error in HELLO option '{option}'"),
            Error::InvalidExpire(name) => write!(f, "ERR invalid expire time in '{name}' command"),
            Error::DumpType(name) => {
                write!(f, "ERR Bad data format: this is a {name}, and only strings can be stored here")
            }
            Error::Arity(name) => write!(f, "ERR wrong number of arguments for '{name}' command"),
            Error::UnknownCommand(quoted) => write!(f, "ERR unknown command {quoted}"),
            Error::UnknownSubcommand(sub, container) => {
                write!(f, "ERR unknown subcommand '{sub}'. Try {} HELP.", container.to_ascii_uppercase())
            }
            Error::SubcommandSyntax(sub, container) => {
                let text = "ERR unknown subcommand or wrong number of arguments for";
                write!(f, "{text} '{sub}'. Try {} HELP.", container.to_ascii_uppercase())
            }
            Error::Subscriber(name) => write!(
                f,
                "{} Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
                 this context",
                // Redis tells who asks for EXEC what became of the transaction, even if there was none.
                if *name == "exec" { "EXECABORT Transaction discarded because of:" } else { "ERR" }
            ),
            Error::ConfigPatterns => {
                write!(f, "ERR too many patterns: CONFIG GET takes {CONFIG_GET_PATTERNS_MAX} at most")
            }
            Error::TooManySubscriptions => write!(
                f,
                "ERR a connection may have at most {SESSION_SUBSCRIPTIONS_MAX} subscriptions, of \
                 {SESSION_SUBSCRIPTION_BYTES_MAX} bytes"
            ),
            Error::BitopSources(name) => write!(f, "ERR BITOP {name} must be called with at least two source keys."),
            Error::OperandNotInteger(what) => write!(f, "ERR {what} is not an integer or out of range"),
            Error::OperandNotFloat(what) => write!(f, "ERR {what} is not a valid float"),
            Error::Timeout(what) => write!(f, "ERR timeout is {what}"),
            Error::UnknownNode(id) => write!(f, "ERR Unknown node {id}"),
            Error::HotKeys(refusal) => refusal.fmt(f),
            Error::LatencyEvent(name) => write!(f, "ERR No samples available for event '{name}'"),
            Error::UnsupportedOption(option) => write!(f, "ERR Unsupported option {option}"),
            Error::MultiTooLong => write!(f, "ERR a transaction has at most {MULTI_BYTES_MAX} bytes"),
            Error::KeyTooLong => write!(f, "ERR key is longer than {KEY_BYTES_MAX} bytes"),
            Error::UnknownClientType(name) => write!(f, "ERR Unknown client type '{name}'"),
            Error::NoSuchUser(name) => write!(f, "ERR No such user '{name}'"),
            Error::ClientInfoValue(option) => {
                write!(f, "ERR {option} cannot contain spaces, newlines or special characters.")
            }
            Error::ClientInfoOption(option) => write!(f, "ERR Unrecognized option '{option}'"),
            Error::ConfigUnknown(name) => {
                write!(f, "ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            Error::ConfigImmutable(name) => config_failed(f, name, &"can't set immutable config"),
            Error::ConfigInvalid(name, why) => config_failed(f, name, why),
            Error::ConfigClients(max) => {
                let why = "The operating system is not able to handle the specified number of clients, try with";
                config_failed(f, "maxclients", &format_args!("{why} {max}"))
            }
            Error::ConfigDuplicate(name) => config_failed(f, name, &"duplicate parameter"),
            Error::PrefixNamed(one, other) => {
                write!(f, "ERR Prefix '{one}' overlaps with an existing prefix '{other}'. {PREFIXES_APART}")
            }
            Error::PrefixGiven(one, other) => {
                write!(f, "ERR Prefix '{one}' overlaps with another provided prefix '{other}'. {PREFIXES_APART}")
            }
            fixed => {
                let text = fixed.fixed_text().or_else(|| fixed.tracking_text());
                f.write_str(text.unwrap_or_else(|| fixed.value_text()))
            }
        }
    }
}

/// The common text of both refusals of a prefix.
const PREFIXES_APART: &str = "Prefixes for a single client must not overlap.";

impl Error {
    /// The texts about CLIENT TRACKING and CLIENT CACHING.
    fn tracking_text(&self) -> Option<&'static str> {
        Some(match self {
            Error::TrackingRedirect => "ERR The client ID you want redirect to does not exist",
            Error::TrackingRedirects => "ERR A client can only redirect to a single other client",
            Error::TrackingPrefix => "ERR PREFIX option requires BCAST mode to be enabled",
            Error::TrackingBroadcastSwitch => {
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling \
                 it with a different mode."
            }
            Error::TrackingBroadcastOpt => "ERR OPTIN and OPTOUT are not compatible with BCAST",
            Error::TrackingBothOpt => "ERR You can't specify both OPTIN mode and OPTOUT mode",
            Error::TrackingOptSwitch => {
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
                 re-enabling it with a different mode."
            }
            Error::CachingWithoutTracking => {
                "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode \
                 enabled"
            }
            Error::CachingYes => "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
            Error::CachingNo => "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
            _ => return None,
        })
    }

    /// The texts about values; a test finds a variant that none of these functions covers.
    fn value_text(&self) -> &'static str {
        match self {
            Error::IncrementOverflow => "ERR increment or decrement would overflow",
            Error::DecrementOverflow => "ERR decrement would overflow",
            Error::NotFloat => "ERR value is not a valid float",
            Error::FloatOverflow => "ERR increment would produce NaN or Infinity",
            Error::StringTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            Error::OffsetRange => "ERR offset is out of range",
            Error::BitOffset => "ERR bit offset is not an integer or out of range",
            Error::BitValue => "ERR bit is not an integer or out of range",
            Error::BitArgument => "ERR The bit argument must be 1 or 0.",
            Error::BitfieldType => {
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
            }
            Error::BitfieldOverflow => "ERR Invalid OVERFLOW type specified",
            Error::NoFrequency => {
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
                 switching between policies at runtime LRU and LFU data will take some time to adjust."
            }
            Error::DeleteCondition => "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE",
            Error::DigestLength => "ERR must be exactly 16 hexadecimal characters",
            Error::EnxWithoutExpiry => "ERR ENX flag requires an expiration",
            Error::BoundsCrossed => "ERR LBOUND can't be greater than UBOUND",
            Error::ThrottleRange => {
                "ERR a limit needs a count and a period of at least 1, no negative number, and at most 292 years for all \
                 of a burst"
            }
            Error::BusyKey => "BUSYKEY Target key name already exists.",
            Error::InvalidTtl => "ERR Invalid TTL value, must be >= 0",
            Error::InvalidIdleTime => "ERR Invalid IDLETIME value, must be >= 0",
            Error::InvalidFrequency => "ERR Invalid FREQ value, must be >= 0 and <= 255",
            Error::DumpPayload => "ERR DUMP payload version or checksum are wrong",
            Error::DumpData => "ERR Bad data format",
            Error::BitfieldReadOnly => "ERR BITFIELD_RO only supports the GET subcommand",
            Error::SnapshotBusy => "ERR Background save already in progress",
            Error::SnapshotLoading => "ERR a snapshot is being loaded; try again when that is done",
            Error::SnapshotName => {
                "ERR invalid snapshot name: it is a file name in the data directory, of at most 128 letters, digits, '.', \
                 '_' and '-', and begins with none of '.' and '-'"
            }
            Error::Loading => "LOADING Redis is loading the dataset in memory",
            _ => "",
        }
    }
}

/// Bytes of a client, quoted for an error: up to the first NUL, as in Redis, one character per byte, which
/// [`Writer::error`] turns back into bytes.
pub fn quote(bytes: &[u8]) -> String {
    bytes.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect()
}

/// Writes a refusal.
pub fn error(writer: &mut Writer<'_>, error: &Error) {
    writer.error(&error.to_string());
}

/// The common text of all refusals of CONFIG SET.
fn config_failed(f: &mut fmt::Formatter<'_>, name: &str, why: &dyn fmt::Display) -> fmt::Result {
    write!(f, "ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
}

impl std::error::Error for Error {}
