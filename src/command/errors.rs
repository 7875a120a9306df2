//! The errors a client is told: Redis's own texts, each exactly once, since clients match on them.
//!
//! The leading `-` and the line end belong to the writer. Texts are those of Redis 7.0 unless the doc says otherwise.

use std::fmt;

use crate::limits::KEY_BYTES_MAX;

/// Why a command was refused. `Display` is the text on the wire.
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
    /// HELLO with a protocol version that is no number.
    HelloVersion,
    /// HELLO with an option that doesn't exist; holds it.
    HelloOption(String),
    /// The bound is reached and nothing may be evicted.
    Oom,
    /// Options that don't exist or contradict each other.
    Syntax,
    /// A number that isn't one.
    NotInteger,
    /// INCR or DECR beyond 64 bits.
    IncrementOverflow,
    /// DECRBY of the one number that has no opposite.
    DecrementOverflow,
    /// INCRBYFLOAT with or of something that is no float.
    NotFloat,
    /// INCRBYFLOAT with a sum that is no finite number.
    FloatOverflow,
    /// A value that would be longer than values may be.
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
    /// RESTORE over a key that is there, without REPLACE.
    BusyKey,
    /// RESTORE with a negative TTL.
    InvalidTtl,
    /// RESTORE with a negative IDLETIME.
    InvalidIdleTime,
    /// RESTORE with a FREQ that is no byte.
    InvalidFrequency,
    /// RESTORE of bytes that are not what DUMP made.
    DumpPayload,
    /// RESTORE of a payload that is whole, with something else in it than a string.
    DumpData,
    /// An expiry that is zero, negative or beyond the clock; holds the command's name.
    InvalidExpire(&'static str),
    /// The number of arguments; holds the command's name in lower case.
    Arity(String),
    /// No such command; holds the name and the beginning of the arguments, as Redis quotes them.
    UnknownCommand(String),
    /// No such subcommand; holds the subcommand as typed and its container in upper case.
    UnknownSubcommand(String, &'static str),
    /// SELECT of another database than 0.
    DbIndex,
    /// SCAN with a cursor that isn't one.
    InvalidCursor,
    /// EXPIRE with NX and another condition.
    ExpireNxConflict,
    /// EXPIRE with GT and LT.
    ExpireGtLtConflict,
    /// EXPIRE with an option that doesn't exist.
    UnsupportedOption(String),
    /// A key longer than a slab entry can hold (this text is ours).
    KeyTooLong,
    /// CLIENT KILL of an address that nobody has.
    NoSuchClient,
    /// CLIENT KILL with an id that is no positive number.
    InvalidClientId,
    /// CLIENT LIST with an id that is no number.
    ClientListId,
    /// CLIENT LIST or KILL with a type that doesn't exist.
    UnknownClientType(String),
    /// CLIENT KILL with a user that doesn't exist; holds the name.
    NoSuchUser(String),
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
    /// CONFIG SET of one parameter twice; holds its name.
    ConfigDuplicate(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
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
            Error::HelloOption(option) => return write!(f, "ERR Syntax error in HELLO option '{option}'"),
            Error::Oom => "OOM command not allowed when used memory > 'maxmemory'.",
            Error::Syntax => "ERR syntax error",
            Error::NotInteger => "ERR value is not an integer or out of range",
            Error::InvalidExpire(name) => return write!(f, "ERR invalid expire time in '{name}' command"),
            Error::Arity(name) => return write!(f, "ERR wrong number of arguments for '{name}' command"),
            Error::UnknownCommand(quoted) => return write!(f, "ERR unknown command {quoted}"),
            Error::UnknownSubcommand(sub, container) => {
                return write!(f, "ERR unknown subcommand '{sub}'. Try {container} HELP.");
            }
            Error::DbIndex => "ERR DB index is out of range",
            Error::InvalidCursor => "ERR invalid cursor",
            Error::ExpireNxConflict => "ERR NX and XX, GT or LT options at the same time are not compatible",
            Error::ExpireGtLtConflict => "ERR GT and LT options at the same time are not compatible",
            Error::UnsupportedOption(option) => return write!(f, "ERR Unsupported option {option}"),
            Error::KeyTooLong => return write!(f, "ERR key is longer than {KEY_BYTES_MAX} bytes"),
            Error::NoSuchClient => "ERR No such client",
            Error::InvalidClientId => "ERR client-id should be greater than 0",
            Error::ClientListId => "ERR Invalid client ID",
            Error::UnknownClientType(name) => return write!(f, "ERR Unknown client type '{name}'"),
            Error::NoSuchUser(name) => return write!(f, "ERR No such user '{name}'"),
            Error::ClientName => "ERR Client names cannot contain spaces, newlines or special characters.",
            Error::ClientInfoValue(option) => {
                return write!(f, "ERR {option} cannot contain spaces, newlines or special characters.");
            }
            Error::ClientInfoOption(option) => return write!(f, "ERR Unrecognized option '{option}'"),
            Error::GetKeysUnknown => "ERR Invalid command specified",
            Error::GetKeysNone => "ERR The command has no key arguments",
            Error::GetKeysArity => "ERR Invalid number of arguments specified for command",
            Error::ConfigUnknown(name) => {
                return write!(f, "ERR Unknown option or number of arguments for CONFIG SET - '{name}'");
            }
            Error::ConfigImmutable(name) => return config_failed(f, name, &"can't set immutable config"),
            Error::ConfigInvalid(name, why) => return config_failed(f, name, why),
            Error::ConfigClients(max) => {
                let why = "The operating system is not able to handle the specified number of clients, try with";
                return config_failed(f, "maxclients", &format_args!("{why} {max}"));
            }
            Error::ConfigDuplicate(name) => return config_failed(f, name, &"duplicate parameter"),
            of_values => of_values.value_text(),
        };
        f.write_str(text)
    }
}

impl Error {
    /// The texts about values; a test finds the variant that neither this nor `fmt` knows.
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
            Error::BusyKey => "BUSYKEY Target key name already exists.",
            Error::InvalidTtl => "ERR Invalid TTL value, must be >= 0",
            Error::InvalidIdleTime => "ERR Invalid IDLETIME value, must be >= 0",
            Error::InvalidFrequency => "ERR Invalid FREQ value, must be >= 0 and <= 255",
            Error::DumpPayload => "ERR DUMP payload version or checksum are wrong",
            Error::DumpData => "ERR Bad data format",
            Error::BitfieldReadOnly => "ERR BITFIELD_RO only supports the GET subcommand",
            _ => "",
        }
    }
}

/// What all refusals of CONFIG SET have in common.
fn config_failed(f: &mut fmt::Formatter<'_>, name: &str, why: &dyn fmt::Display) -> fmt::Result {
    write!(f, "ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
}

impl std::error::Error for Error {}
