//! Wire cases: what a client sends and what it must get back, byte by byte. Plain data; who runs it is elsewhere.
//!
//! Each case begins on a fresh connection to an empty server with the default settings, and depends on no clock.
//! Shapes to run it in: 1 and 2 cores; whole and cut at every byte; RESP2, and RESP3 by sending `HELLO 3` first and
//! dropping its reply. Cases with `auth` need a server whose auth key is [`AUTH_KEY`] and run without that `HELLO`.
//! Expected bytes are those of redis-server 7.0.15; where Aspine differs on purpose, a comment says how Redis answers.

/// The auth key of the server that cases with `auth` run against.
pub const AUTH_KEY: &[u8] = b"secret";

/// One case.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Says what is tested; unique.
    pub name: &'static str,
    /// Whether the server has an auth key.
    pub auth: bool,
    /// What the client sends.
    pub input: &'static [u8],
    /// All it gets back in RESP2.
    pub resp2: &'static [u8],
    /// All it gets back in RESP3, if that is something else.
    pub resp3: Option<&'static [u8]>,
    /// Whether the server then closes the connection by itself.
    pub closes: bool,
}

const fn case(name: &'static str, input: &'static [u8], reply: &'static [u8]) -> Case {
    Case { name, auth: false, input, resp2: reply, resp3: None, closes: false }
}

const fn case3(name: &'static str, input: &'static [u8], resp2: &'static [u8], resp3: &'static [u8]) -> Case {
    Case { name, auth: false, input, resp2, resp3: Some(resp3), closes: false }
}

impl Case {
    const fn auth(self) -> Case {
        Case { auth: true, ..self }
    }

    const fn closes(self) -> Case {
        Case { closes: true, ..self }
    }
}

/// All cases.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case3("get: absent", b"GET k\r\n", b"$-1\r\n", b"_\r\n"),
    case("set and get", b"SET k v\r\nGET k\r\n", b"+OK\r\n$1\r\nv\r\n"),
    case("set and get as arrays", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", b"+OK\r\n$1\r\nv\r\n"),
    case("set: binary key and value", b"*3\r\n$3\r\nSET\r\n$4\r\n\x00\r\n\xff\r\n$5\r\na\r\nb\x00\r\n*2\r\n$3\r\nGET\r\n$4\r\n\x00\r\n\xff\r\n", b"+OK\r\n$5\r\na\r\nb\x00\r\n"),
    case("set: empty value", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", b"+OK\r\n$0\r\n\r\n"),
    case("set: empty key", b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$1\r\nv\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n*2\r\n$6\r\nEXISTS\r\n$0\r\n\r\n", b"+OK\r\n$1\r\nv\r\n:1\r\n"),
    case("set: overwrites", b"SET k one\r\nSET k two\r\nGET k\r\n", b"+OK\r\n+OK\r\n$3\r\ntwo\r\n"),
    case3("set: NX", b"SET k a NX\r\nSET k b NX\r\nGET k\r\n", b"+OK\r\n$-1\r\n$1\r\na\r\n", b"+OK\r\n_\r\n$1\r\na\r\n"),
    case3("set: XX", b"SET k a XX\r\nGET k\r\nSET k b\r\nSET k c XX\r\nGET k\r\n", b"$-1\r\n$-1\r\n+OK\r\n+OK\r\n$1\r\nc\r\n", b"_\r\n_\r\n+OK\r\n+OK\r\n$1\r\nc\r\n"),
    case3("set: GET", b"SET k a GET\r\nSET k b GET\r\nGET k\r\n", b"$-1\r\n$1\r\na\r\n$1\r\nb\r\n", b"_\r\n$1\r\na\r\n$1\r\nb\r\n"),
    case3("set: NX GET", b"SET k a NX GET\r\nSET k b NX GET\r\nGET k\r\n", b"$-1\r\n$1\r\na\r\n$1\r\na\r\n", b"_\r\n$1\r\na\r\n$1\r\na\r\n"),
    case3("set: XX GET", b"SET k a XX GET\r\nGET k\r\n", b"$-1\r\n$-1\r\n", b"_\r\n_\r\n"),
    case3("set: lower case and any order", b"set k a get xx\r\nset k a nx\r\nSeT k b gEt Xx\r\nget k\r\n", b"$-1\r\n+OK\r\n$1\r\na\r\n$1\r\nb\r\n", b"_\r\n+OK\r\n$1\r\na\r\n$1\r\nb\r\n"),
    case("set: EXAT", b"SET k v EXAT 4102444800\r\nEXPIRETIME k\r\nPEXPIRETIME k\r\n", b"+OK\r\n:4102444800\r\n:4102444800000\r\n"),
    case("set: PXAT", b"SET k v PXAT 4102444800000\r\nPEXPIRETIME k\r\n", b"+OK\r\n:4102444800000\r\n"),
    case3("set: EXAT in the past", b"SET k v EXAT 1\r\nGET k\r\nEXISTS k\r\n", b"+OK\r\n$-1\r\n:0\r\n", b"+OK\r\n_\r\n:0\r\n"),
    case3("set: PXAT in the past over a value", b"SET k v\r\nSET k w PXAT 1\r\nGET k\r\n", b"+OK\r\n+OK\r\n$-1\r\n", b"+OK\r\n+OK\r\n_\r\n"),
    case("set: KEEPTTL", b"SET k v EXAT 4102444800\r\nSET k w KEEPTTL\r\nEXPIRETIME k\r\nSET k x\r\nEXPIRETIME k\r\n", b"+OK\r\n+OK\r\n:4102444800\r\n+OK\r\n:-1\r\n"),
    case("set: EX is large enough", b"SET k v EX 100000000\r\nEXISTS k\r\n", b"+OK\r\n:1\r\n"),
    case("set: EX 0", b"SET k v EX 0\r\nEXISTS k\r\n", b"-ERR invalid expire time in 'set' command\r\n:0\r\n"),
    case("set: EX negative", b"SET k v EX -1\r\n", b"-ERR invalid expire time in 'set' command\r\n"),
    case("set: EX no number", b"SET k v EX x\r\n", b"-ERR value is not an integer or out of range\r\n"),
    case("set: EX missing", b"SET k v EX\r\n", b"-ERR syntax error\r\n"),
    case("set: EX too large", b"SET k v EX 9223372036854775807\r\n", b"-ERR invalid expire time in 'set' command\r\n"),
    case("set: PX too large", b"SET k v PX 9223372036854775807\r\n", b"-ERR invalid expire time in 'set' command\r\n"),
    case("set: EX larger than any number", b"SET k v EX 9223372036854775808\r\n", b"-ERR value is not an integer or out of range\r\n"),
    case("set: EXAT 0", b"SET k v EXAT 0\r\n", b"-ERR invalid expire time in 'set' command\r\n"),
    case("set: EXAT twice, NX twice", b"SET k v EXAT 4102444800 EXAT 4102444801\r\nEXPIRETIME k\r\nSET k w KEEPTTL KEEPTTL\r\nEXPIRETIME k\r\nSET l v NX NX\r\n", b"+OK\r\n:4102444801\r\n+OK\r\n:4102444801\r\n+OK\r\n"),
    case("set: NX and XX", b"SET k v NX XX\r\n", b"-ERR syntax error\r\n"),
    case("set: EX and PX", b"SET k v EX 10 PX 10\r\n", b"-ERR syntax error\r\n"),
    case("set: EX and KEEPTTL", b"SET k v EX 10 KEEPTTL\r\n", b"-ERR syntax error\r\n"),
    case("set: KEEPTTL and EX", b"SET k v KEEPTTL EX 10\r\n", b"-ERR syntax error\r\n"),
    case("set: unknown option", b"SET k v BOGUS\r\n", b"-ERR syntax error\r\n"),
    case("set: bad option before a bad number", b"SET k v EX x BOGUS\r\n", b"-ERR syntax error\r\n"),
    case("set: too few", b"SET k\r\nSET\r\n", b"-ERR wrong number of arguments for 'set' command\r\n-ERR wrong number of arguments for 'set' command\r\n"),
    case("setex", b"SETEX k 100000000 v\r\nGET k\r\n", b"+OK\r\n$1\r\nv\r\n"),
    case("setex: 0", b"SETEX k 0 v\r\nPSETEX k 0 v\r\nSETEX k -5 v\r\n", b"-ERR invalid expire time in 'setex' command\r\n-ERR invalid expire time in 'psetex' command\r\n-ERR invalid expire time in 'setex' command\r\n"),
    case("setex: no number", b"SETEX k x v\r\nPSETEX k 1.5 v\r\n", b"-ERR value is not an integer or out of range\r\n-ERR value is not an integer or out of range\r\n"),
    case("setex: arguments", b"SETEX k 1\r\nSETEX k 1 v w\r\nPSETEX k\r\n", b"-ERR wrong number of arguments for 'setex' command\r\n-ERR wrong number of arguments for 'setex' command\r\n-ERR wrong number of arguments for 'psetex' command\r\n"),
    case("psetex", b"PSETEX k 100000000000 v\r\nGET k\r\n", b"+OK\r\n$1\r\nv\r\n"),
    case("setnx", b"SETNX k a\r\nSETNX k b\r\nGET k\r\nSETNX k\r\n", b":1\r\n:0\r\n$1\r\na\r\n-ERR wrong number of arguments for 'setnx' command\r\n"),
    case3("getdel", b"SET k v\r\nGETDEL k\r\nGETDEL k\r\nEXISTS k\r\nGETDEL\r\nGETDEL a b\r\n", b"+OK\r\n$1\r\nv\r\n$-1\r\n:0\r\n-ERR wrong number of arguments for 'getdel' command\r\n-ERR wrong number of arguments for 'getdel' command\r\n", b"+OK\r\n$1\r\nv\r\n_\r\n:0\r\n-ERR wrong number of arguments for 'getdel' command\r\n-ERR wrong number of arguments for 'getdel' command\r\n"),
    case3("getex: plain", b"SET k v EXAT 4102444800\r\nGETEX k\r\nEXPIRETIME k\r\nGETEX absent\r\n", b"+OK\r\n$1\r\nv\r\n:4102444800\r\n$-1\r\n", b"+OK\r\n$1\r\nv\r\n:4102444800\r\n_\r\n"),
    case("getex: PERSIST", b"SET k v EXAT 4102444800\r\nGETEX k PERSIST\r\nEXPIRETIME k\r\n", b"+OK\r\n$1\r\nv\r\n:-1\r\n"),
    case("getex: EXAT and PXAT", b"SET k v\r\nGETEX k EXAT 4102444800\r\nEXPIRETIME k\r\nGETEX k PXAT 4102444800001\r\nPEXPIRETIME k\r\n", b"+OK\r\n$1\r\nv\r\n:4102444800\r\n$1\r\nv\r\n:4102444800001\r\n"),
    case("getex: options twice", b"SET k v\r\nGETEX k EXAT 4102444800 EXAT 4102444801\r\nEXPIRETIME k\r\nGETEX k PERSIST PERSIST\r\nEXPIRETIME k\r\nGETEX k EX 10 PX 10\r\n", b"+OK\r\n$1\r\nv\r\n:4102444801\r\n$1\r\nv\r\n:-1\r\n-ERR syntax error\r\n"),
    case("getex: in the past", b"SET k v\r\nGETEX k EXAT 1\r\nEXISTS k\r\n", b"+OK\r\n$1\r\nv\r\n:0\r\n"),
    case3("getex: errors of an absent key", b"GETEX k EX\r\nGETEX k EX x\r\nGETEX k EX 0\r\nGETEX k BOGUS\r\nGETEX k PERSIST EX 10\r\nGETEX\r\n", b"-ERR syntax error\r\n$-1\r\n$-1\r\n-ERR syntax error\r\n-ERR syntax error\r\n-ERR wrong number of arguments for 'getex' command\r\n", b"-ERR syntax error\r\n_\r\n_\r\n-ERR syntax error\r\n-ERR syntax error\r\n-ERR wrong number of arguments for 'getex' command\r\n"),
    case("getex: errors of a key", b"SET k v\r\nGETEX k EX x\r\nGETEX k EX 0\r\nGETEX k BOGUS EX x\r\nTTL k\r\n", b"+OK\r\n-ERR value is not an integer or out of range\r\n-ERR invalid expire time in 'getex' command\r\n-ERR syntax error\r\n:-1\r\n"),
    case3("mget", b"MSET a 1 b 2 c 3\r\nMGET a x b c a\r\n", b"+OK\r\n*5\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n1\r\n", b"+OK\r\n*5\r\n$1\r\n1\r\n_\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n1\r\n"),
    case3("mget: one", b"SET a 1\r\nMGET a\r\nMGET x\r\n", b"+OK\r\n*1\r\n$1\r\n1\r\n*1\r\n$-1\r\n", b"+OK\r\n*1\r\n$1\r\n1\r\n*1\r\n_\r\n"),
    case3("mget: hash tags", b"MSET {t}a 1 {t}b 2\r\nMGET {t}b {t}a {t}c\r\n", b"+OK\r\n*3\r\n$1\r\n2\r\n$1\r\n1\r\n$-1\r\n", b"+OK\r\n*3\r\n$1\r\n2\r\n$1\r\n1\r\n_\r\n"),
    case("mget: none", b"MGET\r\n", b"-ERR wrong number of arguments for 'mget' command\r\n"),
    case("mset: the last of a key counts", b"MSET a 1 a 2\r\nGET a\r\n", b"+OK\r\n$1\r\n2\r\n"),
    case("mset: uneven", b"MSET a 1 b\r\nMSET a\r\nMSET\r\nEXISTS a\r\n", b"-ERR wrong number of arguments for 'mset' command\r\n-ERR wrong number of arguments for 'mset' command\r\n-ERR wrong number of arguments for 'mset' command\r\n:0\r\n"),
    case("mset: over many slots", b"MSET a 1 b 2 c 3 d 4 e 5 f 6 g 7 h 8\r\nMGET h g f e d c b a\r\nDBSIZE\r\n", b"+OK\r\n*8\r\n$1\r\n8\r\n$1\r\n7\r\n$1\r\n6\r\n$1\r\n5\r\n$1\r\n4\r\n$1\r\n3\r\n$1\r\n2\r\n$1\r\n1\r\n:8\r\n"),
    case("del", b"MSET a 1 b 2 c 3\r\nDEL a\r\nDEL a\r\nDEL a b c x\r\nDBSIZE\r\nDEL\r\n", b"+OK\r\n:1\r\n:0\r\n:2\r\n:0\r\n-ERR wrong number of arguments for 'del' command\r\n"),
    case("del: a key twice", b"SET a 1\r\nDEL a a\r\n", b"+OK\r\n:1\r\n"),
    case("unlink", b"MSET a 1 b 2\r\nUNLINK a b x\r\nUNLINK\r\nEXISTS a b\r\n", b"+OK\r\n:2\r\n-ERR wrong number of arguments for 'unlink' command\r\n:0\r\n"),
    case("exists", b"MSET a 1 b 2\r\nEXISTS a\r\nEXISTS x\r\nEXISTS a b x\r\nEXISTS a a a\r\nEXISTS\r\n", b"+OK\r\n:1\r\n:0\r\n:2\r\n:3\r\n-ERR wrong number of arguments for 'exists' command\r\n"),
    case("touch", b"MSET a 1 b 2\r\nTOUCH a b x\r\nTOUCH x\r\nTOUCH\r\n", b"+OK\r\n:2\r\n:0\r\n-ERR wrong number of arguments for 'touch' command\r\n"),
    case("type", b"SET a 1\r\nTYPE a\r\nTYPE x\r\nTYPE\r\n", b"+OK\r\n+string\r\n+none\r\n-ERR wrong number of arguments for 'type' command\r\n"),
    case("dbsize", b"DBSIZE\r\nMSET a 1 b 2\r\nDBSIZE\r\nDBSIZE x\r\n", b":0\r\n+OK\r\n:2\r\n-ERR wrong number of arguments for 'dbsize' command\r\n"),
    case("keys: none", b"KEYS *\r\nKEYS x\r\nKEYS\r\n", b"*0\r\n*0\r\n-ERR wrong number of arguments for 'keys' command\r\n"),
    case("keys: one", b"SET abc 1\r\nKEYS *\r\nKEYS a?c\r\nKEYS a[b-d]c\r\nKEYS a[^b]c\r\nKEYS x*\r\nKEYS abc\r\nKEYS 'a\\\\bc'\r\n", b"+OK\r\n*1\r\n$3\r\nabc\r\n*1\r\n$3\r\nabc\r\n*1\r\n$3\r\nabc\r\n*0\r\n*0\r\n*1\r\n$3\r\nabc\r\n*0\r\n"),
    case("keys: pattern picks one", b"MSET ax 1 b 2 c 3\r\nKEYS a*\r\nKEYS *x\r\n", b"+OK\r\n*1\r\n$2\r\nax\r\n*1\r\n$2\r\nax\r\n"),
    case3("randomkey", b"RANDOMKEY\r\nSET a 1\r\nRANDOMKEY\r\nRANDOMKEY x\r\n", b"$-1\r\n+OK\r\n$1\r\na\r\n-ERR wrong number of arguments for 'randomkey' command\r\n", b"_\r\n+OK\r\n$1\r\na\r\n-ERR wrong number of arguments for 'randomkey' command\r\n"),
    case("scan: errors", b"SCAN\r\nSCAN x\r\nSCAN -\r\nSCAN 0 COUNT\r\nSCAN 0 COUNT 0\r\nSCAN 0 COUNT x\r\nSCAN 0 BOGUS 1\r\n", b"-ERR wrong number of arguments for 'scan' command\r\n-ERR invalid cursor\r\n-ERR invalid cursor\r\n-ERR syntax error\r\n-ERR syntax error\r\n-ERR value is not an integer or out of range\r\n-ERR syntax error\r\n"),
    case("scan: past the end", b"SCAN 18446744073709551615\r\nSCAN 99999999999999999999999\r\n", b"*2\r\n$1\r\n0\r\n*0\r\n-ERR invalid cursor\r\n"),
    case("scan: a cursor ends at a NUL", b"SCAN \"18446744073709551615\\x00a\"\r\nSCAN \"x\\x00a\"\r\n", b"*2\r\n$1\r\n0\r\n*0\r\n-ERR invalid cursor\r\n"),
    case3("flushall", b"MSET a 1 b 2\r\nFLUSHALL\r\nDBSIZE\r\nSET a 1\r\nFLUSHALL ASYNC\r\nGET a\r\nFLUSHALL SYNC\r\nFLUSHALL BOGUS\r\nFLUSHALL ASYNC SYNC\r\n", b"+OK\r\n+OK\r\n:0\r\n+OK\r\n+OK\r\n$-1\r\n+OK\r\n-ERR syntax error\r\n-ERR syntax error\r\n", b"+OK\r\n+OK\r\n:0\r\n+OK\r\n+OK\r\n_\r\n+OK\r\n-ERR syntax error\r\n-ERR syntax error\r\n"),
    case("flushdb", b"MSET a 1 b 2\r\nFLUSHDB\r\nDBSIZE\r\nFLUSHDB async\r\nFLUSHDB x\r\n", b"+OK\r\n+OK\r\n:0\r\n+OK\r\n-ERR syntax error\r\n"),
    case("expire: absent", b"EXPIRE k 10\r\nPEXPIRE k 10\r\nEXPIREAT k 4102444800\r\nPEXPIREAT k 4102444800000\r\nPERSIST k\r\n", b":0\r\n:0\r\n:0\r\n:0\r\n:0\r\n"),
    case("expire: large", b"SET k v\r\nEXPIRE k 100000000\r\nPERSIST k\r\nPERSIST k\r\nTTL k\r\n", b"+OK\r\n:1\r\n:1\r\n:0\r\n:-1\r\n"),
    case("expire: 0 deletes", b"SET k v\r\nEXPIRE k 0\r\nEXISTS k\r\n", b"+OK\r\n:1\r\n:0\r\n"),
    case("expire: negative deletes", b"SET k v\r\nEXPIRE k -10\r\nEXISTS k\r\nSET k v\r\nPEXPIRE k -10\r\nEXISTS k\r\n", b"+OK\r\n:1\r\n:0\r\n+OK\r\n:1\r\n:0\r\n"),
    case("expire: errors", b"SET k v\r\nEXPIRE k x\r\nEXPIRE k\r\nEXPIRE\r\nEXPIRE k 9223372036854775807\r\nEXPIRE k -9223372036854775808\r\nPEXPIRE k 9223372036854775807\r\nPEXPIRE k 99999999999999999999\r\n", b"+OK\r\n-ERR value is not an integer or out of range\r\n-ERR wrong number of arguments for 'expire' command\r\n-ERR wrong number of arguments for 'expire' command\r\n-ERR invalid expire time in 'expire' command\r\n-ERR invalid expire time in 'expire' command\r\n-ERR invalid expire time in 'pexpire' command\r\n-ERR value is not an integer or out of range\r\n"),
    case("expire: errors before the key is looked at", b"EXPIRE absent x\r\nEXPIRE absent 9223372036854775807\r\n", b"-ERR value is not an integer or out of range\r\n-ERR invalid expire time in 'expire' command\r\n"),
    case("expireat", b"SET k v\r\nEXPIREAT k 4102444800\r\nEXPIRETIME k\r\nPEXPIRETIME k\r\nEXPIREAT k 1\r\nEXISTS k\r\n", b"+OK\r\n:1\r\n:4102444800\r\n:4102444800000\r\n:1\r\n:0\r\n"),
    case("expireat: errors", b"SET k v\r\nEXPIREAT k x\r\nEXPIREAT k\r\nEXPIREAT k 9223372036854775807\r\n", b"+OK\r\n-ERR value is not an integer or out of range\r\n-ERR wrong number of arguments for 'expireat' command\r\n-ERR invalid expire time in 'expireat' command\r\n"),
    case("pexpireat", b"SET k v\r\nPEXPIREAT k 4102444800499\r\nEXPIRETIME k\r\nPEXPIREAT k 4102444800500\r\nEXPIRETIME k\r\nPEXPIRETIME k\r\n", b"+OK\r\n:1\r\n:4102444800\r\n:1\r\n:4102444801\r\n:4102444800500\r\n"),
    case("pexpireat: 0 deletes", b"SET k v\r\nPEXPIREAT k 0\r\nEXISTS k\r\n", b"+OK\r\n:1\r\n:0\r\n"),
    case("expire: NX", b"SET k v\r\nEXPIREAT k 4102444800 NX\r\nEXPIREAT k 4102444801 NX\r\nEXPIRETIME k\r\n", b"+OK\r\n:1\r\n:0\r\n:4102444800\r\n"),
    case("expire: XX", b"SET k v\r\nEXPIREAT k 4102444800 XX\r\nEXPIREAT k 4102444800\r\nEXPIREAT k 4102444801 XX\r\nEXPIRETIME k\r\n", b"+OK\r\n:0\r\n:1\r\n:1\r\n:4102444801\r\n"),
    case("expire: GT", b"SET k v\r\nEXPIREAT k 4102444800 GT\r\nEXPIREAT k 4102444800\r\nEXPIREAT k 4102444799 GT\r\nEXPIREAT k 4102444801 GT\r\nEXPIRETIME k\r\n", b"+OK\r\n:0\r\n:1\r\n:0\r\n:1\r\n:4102444801\r\n"),
    case("expire: LT", b"SET k v\r\nEXPIREAT k 4102444800 LT\r\nEXPIREAT k 4102444801 LT\r\nEXPIREAT k 4102444799 LT\r\nEXPIRETIME k\r\n", b"+OK\r\n:1\r\n:0\r\n:1\r\n:4102444799\r\n"),
    case("expire: XX with GT and LT", b"SET k v\r\nEXPIREAT k 4102444800 XX GT\r\nEXPIREAT k 4102444800 XX LT\r\n", b"+OK\r\n:0\r\n:0\r\n"),
    case("expire: conflicts", b"SET k v\r\nEXPIRE k 10 NX XX\r\nEXPIRE k 10 NX GT\r\nEXPIRE k 10 GT LT\r\nEXPIRE k 10 BOGUS\r\nEXPIRE k x NX XX\r\n", b"+OK\r\n-ERR NX and XX, GT or LT options at the same time are not compatible\r\n-ERR NX and XX, GT or LT options at the same time are not compatible\r\n-ERR GT and LT options at the same time are not compatible\r\n-ERR Unsupported option BOGUS\r\n-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"),
    case("ttl: none", b"TTL k\r\nPTTL k\r\nEXPIRETIME k\r\nPEXPIRETIME k\r\nSET k v\r\nTTL k\r\nPTTL k\r\nEXPIRETIME k\r\nPEXPIRETIME k\r\n", b":-2\r\n:-2\r\n:-2\r\n:-2\r\n+OK\r\n:-1\r\n:-1\r\n:-1\r\n:-1\r\n"),
    case("ttl: arguments", b"TTL\r\nPTTL a b\r\nEXPIRETIME\r\nPEXPIRETIME a b\r\nPERSIST\r\n", b"-ERR wrong number of arguments for 'ttl' command\r\n-ERR wrong number of arguments for 'pttl' command\r\n-ERR wrong number of arguments for 'expiretime' command\r\n-ERR wrong number of arguments for 'pexpiretime' command\r\n-ERR wrong number of arguments for 'persist' command\r\n"),
    case("ping", b"PING\r\nPING hello\r\nping\r\nPiNg\r\nPING a b\r\n", b"+PONG\r\n$5\r\nhello\r\n+PONG\r\n+PONG\r\n-ERR wrong number of arguments for 'ping' command\r\n"),
    case("ping as array", b"*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nPING\r\n$4\r\na\r\nb\r\n", b"+PONG\r\n$4\r\na\r\nb\r\n"),
    case("echo", b"ECHO hello\r\nECHO\r\nECHO a b\r\n", b"$5\r\nhello\r\n-ERR wrong number of arguments for 'echo' command\r\n-ERR wrong number of arguments for 'echo' command\r\n"),
    case("select", b"SELECT 0\r\nSELECT 99\r\nSELECT x\r\nSELECT\r\nSELECT -1\r\n", b"+OK\r\n-ERR DB index is out of range\r\n-ERR value is not an integer or out of range\r\n-ERR wrong number of arguments for 'select' command\r\n-ERR DB index is out of range\r\n"),
    case("quit", b"QUIT\r\n", b"+OK\r\n").closes(),
    case("quit: nothing after it runs", b"SET k v\r\nQUIT\r\nPING\r\n", b"+OK\r\n+OK\r\n").closes(),
    case("reset", b"RESET\r\nPING\r\n", b"+RESET\r\n+PONG\r\n"),
    case("hello: errors", b"HELLO 4\r\nHELLO 1\r\nHELLO x\r\nHELLO 3 BOGUS\r\nHELLO 3 AUTH\r\nHELLO 2 AUTH default\r\nHELLO 2 SETNAME\r\nPING\r\n", b"-NOPROTO unsupported protocol version\r\n-NOPROTO unsupported protocol version\r\n-ERR Protocol version is not an integer or out of range\r\n-ERR Syntax error in HELLO option 'BOGUS'\r\n-ERR Syntax error in HELLO option 'AUTH'\r\n-ERR Syntax error in HELLO option 'AUTH'\r\n-ERR Syntax error in HELLO option 'SETNAME'\r\n+PONG\r\n"),
    case("hello: wrong name", b"HELLO 2 SETNAME \"a b\"\r\n", b"-ERR Client names cannot contain spaces, newlines or special characters.\r\n"),
    case("hello: unknown user", b"HELLO 3 AUTH nobody x\r\nPING\r\n", b"-WRONGPASS invalid username-password pair or user is disabled.\r\n+PONG\r\n"),
    case("auth: no key is set", b"AUTH x\r\nAUTH default x\r\nAUTH\r\nAUTH a b c\r\n", b"-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n+OK\r\n-ERR wrong number of arguments for 'auth' command\r\n-ERR syntax error\r\n"),
    case3("client: getname", b"CLIENT GETNAME\r\nCLIENT SETNAME me\r\nCLIENT GETNAME\r\nCLIENT SETNAME \"\"\r\nCLIENT GETNAME\r\n", b"$-1\r\n+OK\r\n$2\r\nme\r\n+OK\r\n$-1\r\n", b"_\r\n+OK\r\n$2\r\nme\r\n+OK\r\n_\r\n"),
    case3("client: setname refuses spaces", b"CLIENT SETNAME \"a b\"\r\nCLIENT SETNAME \"a\\nb\"\r\nCLIENT GETNAME\r\n", b"-ERR Client names cannot contain spaces, newlines or special characters.\r\n-ERR Client names cannot contain spaces, newlines or special characters.\r\n$-1\r\n", b"-ERR Client names cannot contain spaces, newlines or special characters.\r\n-ERR Client names cannot contain spaces, newlines or special characters.\r\n_\r\n"),
    // Redis: has it from 7.2 on; the texts are those.
    case("client: setinfo", b"CLIENT SETINFO LIB-NAME x\r\nCLIENT SETINFO lib-ver 1.2\r\nCLIENT SETINFO LIB-NAME \"a b\"\r\nCLIENT SETINFO BOGUS x\r\nCLIENT SETINFO\r\n", b"+OK\r\n+OK\r\n-ERR lib-name cannot contain spaces, newlines or special characters.\r\n-ERR Unrecognized option 'BOGUS'\r\n-ERR wrong number of arguments for 'client|setinfo' command\r\n"),
    // Redis: has NO-TOUCH from 7.2 on.
    case("client: no-evict and no-touch", b"CLIENT NO-EVICT ON\r\nCLIENT NO-EVICT OFF\r\nCLIENT NO-EVICT x\r\nCLIENT NO-TOUCH ON\r\nCLIENT NO-TOUCH off\r\nCLIENT NO-TOUCH x\r\nCLIENT NO-TOUCH\r\n", b"+OK\r\n+OK\r\n-ERR syntax error\r\n+OK\r\n+OK\r\n-ERR syntax error\r\n-ERR wrong number of arguments for 'client|no-touch' command\r\n"),
    case("client: reply off and on", b"PING\r\nCLIENT REPLY OFF\r\nPING\r\nGET k\r\nSET k v\r\nMGET a b c d\r\nDBSIZE\r\nCLIENT REPLY ON\r\nGET k\r\n", b"+PONG\r\n+OK\r\n$1\r\nv\r\n"),
    case("client: reply skip", b"CLIENT REPLY SKIP\r\nPING a\r\nPING b\r\nPING c\r\n", b"$1\r\nb\r\n$1\r\nc\r\n"),
    case("client: reply skip twice", b"CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nPING a\r\nPING b\r\n", b"$1\r\nb\r\n"),
    case("client: reply skip over keys", b"MSET a 1 b 2 c 3\r\nCLIENT REPLY SKIP\r\nGET a\r\nGET b\r\nCLIENT REPLY SKIP\r\nGET c\r\nCLIENT REPLY SKIP\r\nMGET a b c\r\nGET c\r\n", b"+OK\r\n$1\r\n2\r\n$1\r\n3\r\n"),
    case("client: reply skip over a refusal", b"CLIENT REPLY SKIP\r\nGET\r\nPING b\r\n", b"$1\r\nb\r\n"),
    case("client: reply skip over an unknown command", b"CLIENT REPLY SKIP\r\nBOGUS\r\nPING b\r\n", b"$1\r\nb\r\n"),
    case("client: reply skip over a bad option", b"CLIENT REPLY SKIP\r\nSET k v BOGUS\r\nPING b\r\nCLIENT REPLY SKIP\r\nSCAN x\r\nPING c\r\n", b"$1\r\nb\r\n$1\r\nc\r\n"),
    case("client: reply off mutes refusals", b"CLIENT REPLY OFF\r\nGET\r\nBOGUS\r\nSCAN x\r\nSET k v BOGUS\r\nMSET a 1 b\r\nCLIENT REPLY ON\r\nPING\r\n", b"+OK\r\n+PONG\r\n"),
    case("client: reply on under skip", b"CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nPING\r\n", b"+OK\r\n+PONG\r\n"),
    case("client: reply on twice", b"CLIENT REPLY ON\r\nCLIENT REPLY ON\r\nCLIENT REPLY x\r\nCLIENT REPLY\r\n", b"+OK\r\n+OK\r\n-ERR syntax error\r\n-ERR wrong number of arguments for 'client|reply' command\r\n"),
    case("client: reply off survives a bad argument", b"CLIENT REPLY OFF\r\nCLIENT REPLY x\r\nCLIENT REPLY\r\nCLIENT REPLY ON\r\n", b"+OK\r\n"),
    // Redis: would close after a reply that it then does not send, so never.
    case("client: reply off mutes a protocol error", b"CLIENT REPLY OFF\r\n*x\r\n", b"").closes(),
    // Redis: would close after a reply that it then does not send, so never.
    case("client: reply skip mutes a protocol error", b"CLIENT REPLY SKIP\r\n*x\r\n", b"").closes(),
    case("reset: ends reply off", b"CLIENT REPLY OFF\r\nPING\r\nRESET\r\nPING\r\n", b"+RESET\r\n+PONG\r\n"),
    case("client: unknown subcommand", b"CLIENT BOGUS\r\nCLIENT bogus x\r\nCLIENT\r\n", b"-ERR unknown subcommand 'BOGUS'. Try CLIENT HELP.\r\n-ERR unknown subcommand 'bogus'. Try CLIENT HELP.\r\n-ERR wrong number of arguments for 'client' command\r\n"),
    case("client: kill errors", b"CLIENT KILL 1.2.3.4:5\r\nCLIENT KILL ID x\r\nCLIENT KILL ID 0\r\nCLIENT KILL ID 999999\r\nCLIENT KILL BOGUS x\r\nCLIENT KILL TYPE bogus\r\nCLIENT KILL USER nobody\r\nCLIENT KILL\r\nCLIENT KILL SKIPME x\r\nCLIENT KILL ID\r\n", b"-ERR No such client\r\n-ERR client-id should be greater than 0\r\n-ERR client-id should be greater than 0\r\n:0\r\n-ERR syntax error\r\n-ERR Unknown client type 'bogus'\r\n-ERR No such user 'nobody'\r\n-ERR wrong number of arguments for 'client|kill' command\r\n-ERR syntax error\r\n-ERR No such client\r\n"),
    case("client: list errors", b"CLIENT LIST BOGUS\r\nCLIENT LIST TYPE bogus\r\nCLIENT LIST ID x\r\nCLIENT LIST ID\r\nCLIENT LIST TYPE\r\n", b"-ERR syntax error\r\n-ERR Unknown client type 'bogus'\r\n-ERR Invalid client ID\r\n-ERR syntax error\r\n-ERR syntax error\r\n"),
    case3("client: list of nobody", b"CLIENT LIST ID 999999\r\nCLIENT LIST ID 0 -1\r\nCLIENT LIST TYPE pubsub\r\n", b"$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n", b"=4\r\ntxt:\r\n=4\r\ntxt:\r\n=4\r\ntxt:\r\n"),
    case("client: arguments", b"CLIENT ID x\r\nCLIENT GETNAME x\r\nCLIENT INFO x\r\nCLIENT SETNAME\r\n", b"-ERR wrong number of arguments for 'client|id' command\r\n-ERR wrong number of arguments for 'client|getname' command\r\n-ERR wrong number of arguments for 'client|info' command\r\n-ERR wrong number of arguments for 'client|setname' command\r\n"),
    // Redis: its default is noeviction.
    case3("config: get", b"CONFIG GET bogus\r\nCONFIG GET\r\nCONFIG GET maxmemory-polic[y]\r\n", b"*0\r\n-ERR wrong number of arguments for 'config|get' command\r\n*2\r\n$16\r\nmaxmemory-policy\r\n$11\r\nallkeys-lru\r\n", b"%0\r\n-ERR wrong number of arguments for 'config|get' command\r\n%1\r\n$16\r\nmaxmemory-policy\r\n$11\r\nallkeys-lru\r\n"),
    // Redis: names its other policies in the last.
    case("config: set errors", b"CONFIG SET bogus 1\r\nCONFIG SET maxmemory\r\nCONFIG SET maxmemory x\r\nCONFIG SET\r\nCONFIG SET maxmemory 1 maxmemory 2\r\nCONFIG SET maxmemory-policy bogus\r\n", b"-ERR Unknown option or number of arguments for CONFIG SET - 'bogus'\r\n-ERR wrong number of arguments for 'config|set' command\r\n-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a memory value\r\n-ERR wrong number of arguments for 'config|set' command\r\n-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - duplicate parameter\r\n-ERR CONFIG SET failed (possibly related to argument 'maxmemory-policy') - argument(s) must be one of the following: allkeys-lru, noeviction\r\n"),
    case("config: set timeout to no number", b"CONFIG SET timeout x\r\n", b"-ERR CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an integer\r\n"),
    case("config: set what it is", b"CONFIG SET timeout 0\r\nCONFIG SET TIMEOUT 0 maxclients 10000\r\nCONFIG SET timeout 0 maxclients\r\n", b"+OK\r\n+OK\r\n-ERR syntax error\r\n"),
    case("config: arguments", b"CONFIG\r\nCONFIG BOGUS\r\nCONFIG RESETSTAT\r\nCONFIG RESETSTAT x\r\n", b"-ERR wrong number of arguments for 'config' command\r\n-ERR unknown subcommand 'BOGUS'. Try CONFIG HELP.\r\n+OK\r\n-ERR wrong number of arguments for 'config|resetstat' command\r\n"),
    case("command: count arguments", b"COMMAND COUNT x\r\nCOMMAND BOGUS\r\n", b"-ERR wrong number of arguments for 'command|count' command\r\n-ERR unknown subcommand 'BOGUS'. Try COMMAND HELP.\r\n"),
    case("command: getkeys", b"COMMAND GETKEYS GET a\r\nCOMMAND GETKEYS MSET a 1 b 2\r\nCOMMAND GETKEYS DEL a b c\r\nCOMMAND GETKEYS PING x\r\nCOMMAND GETKEYS BOGUS x\r\nCOMMAND GETKEYS GET a b\r\nCOMMAND GETKEYS\r\nCOMMAND GETKEYS GET\r\n", b"*1\r\n$1\r\na\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n-ERR The command has no key arguments\r\n-ERR Invalid command specified\r\n-ERR Invalid number of arguments specified for command\r\n-ERR wrong number of arguments for 'command|getkeys' command\r\n-ERR wrong number of arguments for 'command|getkeys' command\r\n"),
    case3("command: info of nothing", b"COMMAND INFO bogus\r\n", b"*1\r\n$-1\r\n", b"*1\r\n_\r\n"),
    case3("command: docs of nothing", b"COMMAND DOCS bogus\r\n", b"*0\r\n", b"%0\r\n"),
    case("command: list filters", b"COMMAND LIST FILTERBY PATTERN getd*\r\nCOMMAND LIST FILTERBY MODULE x\r\nCOMMAND LIST FILTERBY BOGUS x\r\nCOMMAND LIST x\r\nCOMMAND LIST FILTERBY\r\n", b"*1\r\n$6\r\ngetdel\r\n*0\r\n-ERR syntax error\r\n-ERR syntax error\r\n-ERR syntax error\r\n"),
    case("time: arguments", b"TIME x\r\n", b"-ERR wrong number of arguments for 'time' command\r\n"),
    case3("info: of no section", b"INFO bogus\r\n", b"$0\r\n\r\n", b"=4\r\ntxt:\r\n"),
    case("help: arguments", b"CLIENT HELP x\r\nCONFIG HELP x\r\nCOMMAND HELP x\r\n", b"-ERR wrong number of arguments for 'client|help' command\r\n-ERR wrong number of arguments for 'config|help' command\r\n-ERR wrong number of arguments for 'command|help' command\r\n"),
    case("unknown command", b"BOGUS\r\nbogus a b\r\nBOGUS ''\r\n", b"-ERR unknown command 'BOGUS', with args beginning with: \r\n-ERR unknown command 'bogus', with args beginning with: 'a' 'b' \r\n-ERR unknown command 'BOGUS', with args beginning with: '' \r\n"),
    case("unknown command: long", b"BOGUS aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb c\r\n", b"-ERR unknown command 'BOGUS', with args beginning with: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' 'bbbbbbbbbbbbbbbbbbbbbbbbb' \r\n"),
    case("unknown command: long name", b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx a\r\n", b"-ERR unknown command 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', with args beginning with: 'a' \r\n"),
    case("unknown command: line ends in it", b"*2\r\n$7\r\nBO\r\nGUS\r\n$3\r\na\nb\r\n", b"-ERR unknown command 'BO  GUS', with args beginning with: 'a b' \r\n"),
    case("unknown command: a table name", b"client|list\r\nconfig|get x\r\n", b"-ERR unknown command 'client|list', with args beginning with: \r\n-ERR unknown command 'config|get', with args beginning with: 'x' \r\n"),
    case("unknown command: empty name", b"*1\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n", b"-ERR unknown command '', with args beginning with: \r\n+PONG\r\n"),
    case3("pipeline", b"SET a 1\r\nSET b 2\r\nGET a\r\nGET b\r\nPING\r\nMGET a b\r\nDBSIZE\r\nDEL a b\r\nGET a\r\n", b"+OK\r\n+OK\r\n$1\r\n1\r\n$1\r\n2\r\n+PONG\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n:2\r\n:2\r\n$-1\r\n", b"+OK\r\n+OK\r\n$1\r\n1\r\n$1\r\n2\r\n+PONG\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n:2\r\n:2\r\n_\r\n"),
    case("pipeline: replies keep the order over cores", b"MSET a 1 b 2 c 3 d 4 e 5\r\nGET a\r\nPING 1\r\nGET b\r\nPING 2\r\nGET c\r\nECHO 3\r\nGET d\r\nGET e\r\nPING 4\r\n", b"+OK\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n4\r\n"),
    case3("pipeline: errors do not stop it", b"GET\r\nPING\r\nBOGUS\r\nPING\r\nSET k v BOGUS\r\nGET k\r\n", b"-ERR wrong number of arguments for 'get' command\r\n+PONG\r\n-ERR unknown command 'BOGUS', with args beginning with: \r\n+PONG\r\n-ERR syntax error\r\n$-1\r\n", b"-ERR wrong number of arguments for 'get' command\r\n+PONG\r\n-ERR unknown command 'BOGUS', with args beginning with: \r\n+PONG\r\n-ERR syntax error\r\n_\r\n"),
    case3("pipeline: a read after a write of the same key", b"SET a 1\r\nGET a\r\nSET a 2\r\nGET a\r\nDEL a\r\nGET a\r\nSET b 1\r\nGET b\r\nSET b 2\r\nGET b\r\n", b"+OK\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n:1\r\n$-1\r\n+OK\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n", b"+OK\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n:1\r\n_\r\n+OK\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n"),
    case3("pipeline: whole keyspace in between", b"SET a 1\r\nSET b 2\r\nDBSIZE\r\nDEL a\r\nDBSIZE\r\nFLUSHALL\r\nDBSIZE\r\nGET b\r\nSET b 3\r\nKEYS b\r\nRANDOMKEY\r\n", b"+OK\r\n+OK\r\n:2\r\n:1\r\n:1\r\n+OK\r\n:0\r\n$-1\r\n+OK\r\n*1\r\n$1\r\nb\r\n$1\r\nb\r\n", b"+OK\r\n+OK\r\n:2\r\n:1\r\n:1\r\n+OK\r\n:0\r\n_\r\n+OK\r\n*1\r\n$1\r\nb\r\n$1\r\nb\r\n"),
    case("framing: empty lines", b"\r\n\r\nPING\r\n\r\n", b"+PONG\r\n"),
    case("framing: line feed alone", b"PING\nPING x\n", b"+PONG\r\n$1\r\nx\r\n"),
    case("framing: empty array", b"*0\r\nPING\r\n", b"+PONG\r\n"),
    case("framing: null array", b"*-1\r\n*-10\r\nPING\r\n", b"+PONG\r\n"),
    case("framing: mixed", b"*1\r\n$4\r\nPING\r\nPING a\r\n*2\r\n$4\r\nECHO\r\n$1\r\nb\r\n", b"+PONG\r\n$1\r\na\r\n$1\r\nb\r\n"),
    case("framing: garbage", b"\x01\x02\x7f%!\r\n{}\r\n", b"-ERR unknown command '\x01\x02\x7f%!', with args beginning with: \r\n-ERR unknown command '{}', with args beginning with: \r\n"),
    // Redis: sees no line end behind a NUL and waits.
    case("framing: garbage with a NUL", b"\x01\x00\x02\r\n", b"-ERR unknown command '\x01', with args beginning with: \r\n"),
    case("framing: count is no number", b"PING\r\n*x\r\nPING\r\n", b"+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n").closes(),
    case("framing: huge count", b"*2147483648\r\n", b"-ERR Protocol error: invalid multibulk length\r\n").closes(),
    case("framing: count past any limit", b"*9999999999\r\n", b"-ERR Protocol error: invalid multibulk length\r\n").closes(),
    case("framing: no dollar", b"*1\r\nPING\r\n", b"-ERR Protocol error: expected '$', got 'P'\r\n").closes(),
    case("framing: another type in place of a dollar", b"*2\r\n$3\r\nGET\r\n:5\r\n", b"-ERR Protocol error: expected '$', got ':'\r\n").closes(),
    case("framing: negative length", b"*1\r\n$-1\r\n", b"-ERR Protocol error: invalid bulk length\r\n").closes(),
    case("framing: huge length", b"*1\r\n$536870913\r\n", b"-ERR Protocol error: invalid bulk length\r\n").closes(),
    case("framing: length past any number", b"*1\r\n$99999999999999999999\r\n", b"-ERR Protocol error: invalid bulk length\r\n").closes(),
    case("framing: length is no number", b"*1\r\n$x\r\n", b"-ERR Protocol error: invalid bulk length\r\n").closes(),
    case("framing: empty count", b"*\r\nPING\r\n", b"-ERR Protocol error: invalid multibulk length\r\n").closes(),
    case("framing: empty length", b"*1\r\n$\r\n", b"-ERR Protocol error: invalid bulk length\r\n").closes(),
    case("framing: plus in a count", b"*+1\r\n$4\r\nPING\r\n", b"-ERR Protocol error: invalid multibulk length\r\n").closes(),
    case("framing: leading zero", b"*01\r\n$4\r\nPING\r\n", b"-ERR Protocol error: invalid multibulk length\r\n").closes(),
    case("framing: unbalanced double quote", b"PING \"x\r\nPING\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n").closes(),
    case("framing: unbalanced single quote", b"PING 'x\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n").closes(),
    case("framing: text behind a quote", b"PING \"x\"y\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n").closes(),
    case3("framing: replies before the error are sent", b"SET a 1\r\nGET a\r\nGET b\r\nGET c\r\n*x\r\n", b"+OK\r\n$1\r\n1\r\n$-1\r\n$-1\r\n-ERR Protocol error: invalid multibulk length\r\n", b"+OK\r\n$1\r\n1\r\n_\r\n_\r\n-ERR Protocol error: invalid multibulk length\r\n").closes(),
    case("inline: quotes", b"SET k \"a b\"\r\nGET k\r\nSET k 'it\\'s'\r\nGET k\r\nSET k \"\\x41\\n\\t\\\"\\\\\"\r\nGET k\r\nSET \"\" \"\"\r\nGET \"\"\r\n", b"+OK\r\n$3\r\na b\r\n+OK\r\n$4\r\nit's\r\n+OK\r\n$5\r\nA\n\t\"\\\r\n+OK\r\n$0\r\n\r\n"),
    case("inline: spaces", b"   PING   \r\n\tPING\tx\r\nPING  y \r\n", b"+PONG\r\n$1\r\nx\r\n$1\r\ny\r\n"),
    case("inline: tabs and quotes inside words", b"ECHO a\"b c\"\r\n", b"$4\r\nab c\r\n"),
    case3("multi: exec answers all", b"MULTI\r\nSET a 1\r\nSET b 2\r\nMGET a b c\r\nDEL a b\r\nEXEC\r\nEXISTS a b\r\n", b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n+OK\r\n+OK\r\n*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n:2\r\n:0\r\n", b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n+OK\r\n+OK\r\n*3\r\n$1\r\n1\r\n$1\r\n2\r\n_\r\n:2\r\n:0\r\n"),
    case("multi: nothing queued", b"MULTI\r\nEXEC\r\nEXEC\r\n", b"+OK\r\n*0\r\n-ERR EXEC without MULTI\r\n"),
    case("multi: commands of every core", b"SET a 1\r\nSET b 2\r\nMULTI\r\nDBSIZE\r\nFLUSHALL\r\nDBSIZE\r\nSET c 3\r\nDBSIZE\r\nPING\r\nCONFIG SET timeout 0\r\nEXEC\r\nGET c\r\n", b"+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*7\r\n:2\r\n+OK\r\n:0\r\n+OK\r\n:1\r\n+PONG\r\n+OK\r\n$1\r\n3\r\n"),
    case("multi: an error inside is only its own", b"MULTI\r\nSET a x EX 0\r\nSET a y\r\nRENAME nope x\r\nGET a\r\nEXEC\r\n", b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n-ERR invalid expire time in 'set' command\r\n+OK\r\n-ERR no such key\r\n$1\r\ny\r\n"),
    case("multi: several keys inside", b"MULTI\r\nMSETNX a 1 b 2 c 3\r\nMSETNX c 1 d 2\r\nRENAME a z\r\nCOPY b y\r\nCOPY b c REPLACE\r\nRENAMENX y z\r\nBITOP OR o b z\r\nLCS b c\r\nMGET b c y z o\r\nEXEC\r\n", b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*9\r\n:1\r\n:0\r\n+OK\r\n:1\r\n:1\r\n:0\r\n:1\r\n$1\r\n2\r\n*5\r\n$1\r\n2\r\n$1\r\n2\r\n$1\r\n2\r\n$1\r\n1\r\n$1\r\n3\r\n"),
    case("multi: what can't be queued aborts", b"MULTI\r\nSET k v\r\nBOGUS\r\nEXEC\r\nEXISTS k\r\nMULTI\r\nGET\r\nEXEC\r\nMULTI\r\nPING\r\nEXEC\r\n", b"+OK\r\n+QUEUED\r\n-ERR unknown command 'BOGUS', with args beginning with: \r\n-EXECABORT Transaction discarded because of previous errors.\r\n:0\r\n+OK\r\n-ERR wrong number of arguments for 'get' command\r\n-EXECABORT Transaction discarded because of previous errors.\r\n+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n"),
    case3("multi: errors", b"MULTI\r\nMULTI\r\nWATCH a\r\nSET k v\r\nDISCARD\r\nDISCARD\r\nGET k\r\nEXEC x\r\nMULTI x\r\nUNWATCH x\r\nWATCH\r\n", b"+OK\r\n-ERR MULTI calls can not be nested\r\n-ERR WATCH inside MULTI is not allowed\r\n+QUEUED\r\n+OK\r\n-ERR DISCARD without MULTI\r\n$-1\r\n-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n-ERR wrong number of arguments for 'multi' command\r\n-ERR wrong number of arguments for 'unwatch' command\r\n-ERR wrong number of arguments for 'watch' command\r\n", b"+OK\r\n-ERR MULTI calls can not be nested\r\n-ERR WATCH inside MULTI is not allowed\r\n+QUEUED\r\n+OK\r\n-ERR DISCARD without MULTI\r\n_\r\n-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n-ERR wrong number of arguments for 'multi' command\r\n-ERR wrong number of arguments for 'unwatch' command\r\n-ERR wrong number of arguments for 'watch' command\r\n"),
    case3("watch: a changed key", b"WATCH a b\r\nSET b x\r\nMULTI\r\nSET a y\r\nEXEC\r\nGET a\r\nMULTI\r\nSET a y\r\nEXEC\r\n", b"+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n$-1\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n", b"+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n_\r\n_\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n"),
    case("watch: unchanged, or unwatched", b"SET a 1\r\nWATCH a b\r\nGET a\r\nTOUCH a\r\nPERSIST a\r\nMULTI\r\nSET a y\r\nEXEC\r\nWATCH a\r\nDEL a\r\nUNWATCH\r\nMULTI\r\nEXISTS a\r\nUNWATCH\r\nEXEC\r\nWATCH a\r\nDISCARD\r\nSET a 1\r\nMULTI\r\nDISCARD\r\nMULTI\r\nPING\r\nEXEC\r\n", b"+OK\r\n+OK\r\n$1\r\n1\r\n:1\r\n:0\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n+OK\r\n:1\r\n+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:0\r\n+OK\r\n+OK\r\n-ERR DISCARD without MULTI\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n"),
    case3("watch: what is a change", b"SET a 1\r\nWATCH a\r\nEXPIRE a 100\r\nMULTI\r\nPING\r\nEXEC\r\nWATCH a\r\nFLUSHALL\r\nMULTI\r\nPING\r\nEXEC\r\nWATCH a\r\nFLUSHALL\r\nDEL a\r\nMULTI\r\nPING\r\nEXEC\r\n", b"+OK\r\n+OK\r\n:1\r\n+OK\r\n+QUEUED\r\n*-1\r\n+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n+OK\r\n+OK\r\n:0\r\n+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n", b"+OK\r\n+OK\r\n:1\r\n+OK\r\n+QUEUED\r\n_\r\n+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n_\r\n+OK\r\n+OK\r\n:0\r\n+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n"),
    case("multi: RESET forgets it", b"WATCH a\r\nSET a 1\r\nMULTI\r\nRESET\r\nEXEC\r\nMULTI\r\nPING\r\nEXEC\r\n", b"+OK\r\n+OK\r\n+OK\r\n+RESET\r\n-ERR EXEC without MULTI\r\n+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n"),
    case("multi: QUIT ends it", b"MULTI\r\nSET a 1\r\nQUIT\r\n", b"+OK\r\n+QUEUED\r\n+OK\r\n").closes(),
    case("errors quote bytes, up to a NUL", b"*3\r\n$4\r\nF\xff\x00O\r\n$3\r\na\x00b\r\n$4\r\nc\r\nd\r\n*3\r\n$6\r\nCLIENT\r\n$6\r\nNO\xff\x00PE\r\n$1\r\nx\r\n*4\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n$4\r\n\xffa\x00b\r\n$1\r\n1\r\n*4\r\n$6\r\nEXPIRE\r\n$1\r\nk\r\n$1\r\n1\r\n$3\r\n\xff\x00z\r\n", b"-ERR unknown command 'F\xff', with args beginning with: 'a' 'c  d' \r\n-ERR unknown subcommand 'NO\xff'. Try CLIENT HELP.\r\n-ERR Unknown option or number of arguments for CONFIG SET - '\xffa'\r\n-ERR Unsupported option \xff\r\n"),
    case("rename", b"SET a 1 EXAT 4102444800\r\nRENAME a b\r\nEXISTS a\r\nGET b\r\nEXPIRETIME b\r\nSET c 2\r\nRENAME c b\r\nEXPIRETIME b\r\nGET b\r\nRENAME b b\r\nRENAME nope x\r\nRENAME nope nope\r\nRENAME a\r\n", b"+OK\r\n+OK\r\n:0\r\n$1\r\n1\r\n:4102444800\r\n+OK\r\n+OK\r\n:-1\r\n$1\r\n2\r\n+OK\r\n-ERR no such key\r\n-ERR no such key\r\n-ERR wrong number of arguments for 'rename' command\r\n"),
    case("renamenx", b"SET a 1\r\nSET b 2\r\nRENAMENX a b\r\nRENAMENX a a\r\nRENAMENX a c\r\nGET c\r\nEXISTS a\r\nRENAMENX a a\r\n", b"+OK\r\n+OK\r\n:0\r\n:0\r\n:1\r\n$1\r\n1\r\n:0\r\n-ERR no such key\r\n"),
    case("copy", b"SET a 1 EXAT 4102444800\r\nCOPY a b\r\nEXPIRETIME b\r\nCOPY a b\r\nSET c 3\r\nCOPY c b REPLACE\r\nGET b\r\nEXPIRETIME b\r\nCOPY nope b REPLACE\r\nCOPY a a\r\nCOPY nope nope\r\nCOPY a d DB 0 REPLACE\r\nCOPY a d DB x\r\nCOPY a d DB\r\nCOPY a d FOO\r\n", b"+OK\r\n:1\r\n:4102444800\r\n:0\r\n+OK\r\n:1\r\n$1\r\n3\r\n:-1\r\n:0\r\n-ERR source and destination objects are the same\r\n-ERR source and destination objects are the same\r\n:1\r\n-ERR value is not an integer or out of range\r\n-ERR syntax error\r\n-ERR syntax error\r\n"),
    case("msetnx", b"MSETNX a 1 b 2 a 3\r\nMSETNX c 1 a 2\r\nMGET a b\r\nEXISTS c\r\nMSETNX a\r\nMSETNX a 1 b\r\n", b":1\r\n:0\r\n*2\r\n$1\r\n3\r\n$1\r\n2\r\n:0\r\n-ERR wrong number of arguments for 'msetnx' command\r\n-ERR wrong number of arguments for 'msetnx' command\r\n"),
    // Redis 8.4 has it; the texts are its own.
    case3("msetex", b"MSETEX 2 a 1 b 2 EXAT 4102444800\r\nEXPIRETIME a\r\nEXPIRETIME b\r\nMSETEX 2 a 3 c 3 NX\r\nMSETEX 2 a 3 c 3 XX\r\nMSETEX 2 a 3 b 3 XX KEEPTTL\r\nEXPIRETIME b\r\nMGET a b c\r\nMSETEX 1 a 1\r\nEXPIRETIME a\r\nMSETEX 0 a 1\r\nMSETEX x a 1\r\nMSETEX 2 a 1 b\r\nMSETEX 1 a 1 BOGUS\r\nMSETEX 1 a 1 GET\r\nMSETEX 1 a 1 EX 0\r\n", b":1\r\n:4102444800\r\n:4102444800\r\n:0\r\n:0\r\n:1\r\n:4102444800\r\n*3\r\n$1\r\n3\r\n$1\r\n3\r\n$-1\r\n:1\r\n:-1\r\n-ERR invalid numkeys value\r\n-ERR invalid numkeys value\r\n-ERR wrong number of key-value pairs\r\n-ERR syntax error\r\n-ERR syntax error\r\n-ERR invalid expire time in 'msetex' command\r\n", b":1\r\n:4102444800\r\n:4102444800\r\n:0\r\n:0\r\n:1\r\n:4102444800\r\n*3\r\n$1\r\n3\r\n$1\r\n3\r\n_\r\n:1\r\n:-1\r\n-ERR invalid numkeys value\r\n-ERR invalid numkeys value\r\n-ERR wrong number of key-value pairs\r\n-ERR syntax error\r\n-ERR syntax error\r\n-ERR invalid expire time in 'msetex' command\r\n"),
    case("bitop", b"SET a abc\r\nSET b ABCD\r\nBITOP AND d a b\r\nGET d\r\nBITOP or d a b\r\nGET d\r\nBITOP XOR d a b nope\r\nGET d\r\nBITOP NOT d d\r\nBITOP NOT d d\r\nGET d\r\nBITOP AND d nope\r\nEXISTS d\r\nBITOP NOT d a b\r\nBITOP FOO d a\r\nBITOP AND d\r\n", b"+OK\r\n+OK\r\n:4\r\n$4\r\nABC\x00\r\n:4\r\n$4\r\nabcD\r\n:4\r\n$4\r\n   D\r\n:4\r\n:4\r\n$4\r\n   D\r\n:0\r\n:0\r\n-ERR BITOP NOT must be called with a single source key.\r\n-ERR syntax error\r\n-ERR wrong number of arguments for 'bitop' command\r\n"),
    case("lcs", b"MSET a ohmytext b mynewtext\r\nLCS a b\r\nLCS a b LEN\r\nLCS a nope\r\nLCS a nope LEN\r\nLCS a b LEN IDX\r\nLCS a b MINMATCHLEN x\r\nLCS a b MINMATCHLEN\r\nLCS a b BOGUS\r\n", b"+OK\r\n$6\r\nmytext\r\n:6\r\n$0\r\n\r\n:0\r\n-ERR If you want both the length and indexes, please just use IDX.\r\n-ERR value is not an integer or out of range\r\n-ERR syntax error\r\n-ERR syntax error\r\n"),
    case3("lcs: IDX", b"MSET a ohmytext b mynewtext\r\nLCS a b IDX MINMATCHLEN 3 WITHMATCHLEN\r\nLCS a b IDX\r\nLCS a nope IDX\r\n", b"+OK\r\n*4\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n$3\r\nlen\r\n:6\r\n*4\r\n$7\r\nmatches\r\n*2\r\n*2\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n*2\r\n*2\r\n:2\r\n:3\r\n*2\r\n:0\r\n:1\r\n$3\r\nlen\r\n:6\r\n*4\r\n$7\r\nmatches\r\n*0\r\n$3\r\nlen\r\n:0\r\n", b"+OK\r\n%2\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n$3\r\nlen\r\n:6\r\n%2\r\n$7\r\nmatches\r\n*2\r\n*2\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n*2\r\n*2\r\n:2\r\n:3\r\n*2\r\n:0\r\n:1\r\n$3\r\nlen\r\n:6\r\n%2\r\n$7\r\nmatches\r\n*0\r\n$3\r\nlen\r\n:0\r\n"),
    case("auth: nothing runs before it", b"PING\r\nGET k\r\nSET k v\r\nDBSIZE\r\nBOGUS\r\nGET\r\nCLIENT SETNAME x\r\nCOMMAND\r\nCONFIG GET x\r\nINFO\r\n", b"-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n-ERR unknown command 'BOGUS', with args beginning with: \r\n-ERR wrong number of arguments for 'get' command\r\n-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n").auth(),
    case("auth: right", b"AUTH secret\r\nPING\r\n", b"+OK\r\n+PONG\r\n").auth(),
    case("auth: right with user", b"AUTH default secret\r\nPING\r\n", b"+OK\r\n+PONG\r\n").auth(),
    case("auth: right as array", b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*1\r\n$4\r\nPING\r\n", b"+OK\r\n+PONG\r\n").auth(),
    case("auth: wrong", b"AUTH wrong\r\nPING\r\n", b"-WRONGPASS invalid username-password pair or user is disabled.\r\n-NOAUTH Authentication required.\r\n").auth(),
    case("auth: wrong user", b"AUTH nobody secret\r\nPING\r\n", b"-WRONGPASS invalid username-password pair or user is disabled.\r\n-NOAUTH Authentication required.\r\n").auth(),
    case("auth: wrong then right", b"AUTH wrong\r\nAUTH secret\r\nPING\r\n", b"-WRONGPASS invalid username-password pair or user is disabled.\r\n+OK\r\n+PONG\r\n").auth(),
    case("auth: a wrong key does not undo a right one", b"AUTH secret\r\nAUTH wrong\r\nPING\r\n", b"+OK\r\n-WRONGPASS invalid username-password pair or user is disabled.\r\n+PONG\r\n").auth(),
    case("auth: arguments", b"AUTH\r\nAUTH a b c\r\n", b"-ERR wrong number of arguments for 'auth' command\r\n-ERR syntax error\r\n").auth(),
    // Redis: says `HELLO AUTH`; this is the text of 7.2.
    case("auth: hello without", b"HELLO\r\nHELLO 3\r\nHELLO 2\r\nPING\r\n", b"-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n-NOAUTH Authentication required.\r\n").auth(),
    case("auth: hello wrong", b"HELLO 3 AUTH default wrong\r\nPING\r\n", b"-WRONGPASS invalid username-password pair or user is disabled.\r\n-NOAUTH Authentication required.\r\n").auth(),
    case("auth: hello bad version", b"HELLO 9\r\nHELLO x\r\n", b"-NOPROTO unsupported protocol version\r\n-ERR Protocol version is not an integer or out of range\r\n").auth(),
    case("auth: reset", b"RESET\r\nAUTH secret\r\nPING\r\nRESET\r\nPING\r\n", b"+RESET\r\n+OK\r\n+PONG\r\n+RESET\r\n-NOAUTH Authentication required.\r\n").auth(),
    case("auth: quit", b"QUIT\r\n", b"+OK\r\n").auth().closes(),
    case("auth: pipeline", b"GET a\r\nAUTH secret\r\nSET a 1\r\nGET a\r\nGET b\r\n", b"-NOAUTH Authentication required.\r\n+OK\r\n+OK\r\n$1\r\n1\r\n$-1\r\n").auth(),
    case("auth: too many arguments before it", b"*11\r\n", b"-ERR Protocol error: unauthenticated multibulk length\r\n").auth().closes(),
    case("auth: too long an argument before it", b"*2\r\n$16385\r\n", b"-ERR Protocol error: unauthenticated bulk length\r\n").auth().closes(),
    case("auth: many arguments after it", b"AUTH secret\r\n*12\r\n$3\r\nDEL\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n$1\r\nh\r\n$1\r\ni\r\n$1\r\nj\r\n$1\r\nk\r\n", b"+OK\r\n:0\r\n").auth(),
    case("auth: client reply off before it", b"CLIENT REPLY OFF\r\nPING\r\n", b"-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n").auth(),
];

#[path = "introspection.rs"]
mod introspection;

/// The cases of this file and those beside it.
pub fn all() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(introspection::CASES)
}
