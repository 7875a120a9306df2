//! What may differ from Redis: which commands, why, and what must hold all the same. Whether a command is refused is
//! never excepted.

use crate::episode::Line;
use crate::generators::name_of;
use crate::reply::Reply;

/// Replies that need not be equal.
pub(crate) struct Exception {
    /// Commands, as the server's table names them.
    pub(crate) commands: &'static [&'static str],
    /// The reason why the replies differ.
    pub(crate) why: &'static str,
    /// Whether two replies are the same but for that; the number is how many milliseconds the servers' answers may be
    /// apart.
    pub(crate) same: fn(&Reply, &Reply, i64) -> bool,
}

/// All of them.
pub(crate) const EXCEPTIONS: &[Exception] = &[
    Exception {
        commands: &["keys"],
        why: "the order of keys is nobody's promise",
        same: |redis, aspine, _| redis.kind() == aspine.kind() && sorted(redis) == sorted(aspine),
    },
    Exception {
        commands: &["scan"],
        why: "cursors and the size of a step are the server's own; a whole walk is compared by its keys",
        same: |redis, aspine, _| redis == aspine || same_scan(redis, aspine),
    },
    Exception {
        commands: &["randomkey"],
        why: "it is random; whether there is one is not",
        same: |redis, aspine, _| redis == aspine || !redis.is_null() && !aspine.is_null(),
    },
    Exception {
        commands: &["ttl", "expiretime"],
        why: "seconds from now pass, and the two servers are not asked in the same instant",
        same: |redis, aspine, slack_ms| close(redis, aspine, slack_ms / 1000 + 1),
    },
    Exception {
        commands: &["pttl", "pexpiretime"],
        why: "milliseconds from now pass, and the two servers are not asked in the same instant",
        same: close,
    },
    Exception {
        commands: &["time"],
        why: "it is the time",
        same: |redis, aspine, slack_ms| {
            let seconds = |reply: &Reply| String::from_utf8(reply.elements()[0].as_text()?.to_vec()).ok()?.parse().ok();
            let (Some(one), Some(two)): (Option<i64>, Option<i64>) = (seconds(redis), seconds(aspine)) else {
                return false;
            };
            redis.elements().len() == aspine.elements().len() && (one - two).abs() <= slack_ms / 1000 + 1
        },
    },
    Exception {
        commands: &["client|id", "client|info", "client|list"],
        why: "ids, addresses and ages of connections are the server's own",
        same: same_kind,
    },
    Exception { commands: &["hello"], why: "it says the version of Redis and the connection's id", same: same_hello },
    Exception { commands: &["info"], why: "it is about the server itself", same: same_kind },
    Exception {
        commands: &[
            "client|help",
            "command|help",
            "config|help",
            "latency|help",
            "memory|help",
            "module|help",
            "object|help",
            "pubsub|help",
            "slowlog|help",
        ],
        why: "prose for people",
        same: same_kind,
    },
    Exception {
        commands: &["command", "command|count", "command|docs", "command|list"],
        why: "Redis has more commands, and other words for what they do",
        same: same_kind,
    },
    Exception {
        commands: &["command|info"],
        why: "flags, categories and tips say how Redis works inside; name, arity and positions of keys are the same",
        same: same_command_info,
    },
    Exception {
        commands: &["dump"],
        why: "the payload is the server's own; it is restored into the server it came from",
        same: |redis, aspine, _| redis.kind() == aspine.kind() && redis.is_null() == aspine.is_null(),
    },
    Exception {
        commands: &["memory|usage"],
        why: "an item takes as many bytes as the server's own layout needs; here one whose time has passed takes none",
        same: |redis, aspine, _| redis.as_number().is_some() && (aspine.as_number().is_some() || aspine.is_null()),
    },
    Exception {
        commands: &["object|refcount", "object|idletime"],
        why: "Redis shares one object among all keys whose value is the same small integer, and its last access with it",
        same: |redis, aspine, _| redis.as_number().is_some() && aspine.as_number().is_some(),
    },
    Exception {
        commands: &["object|encoding"],
        why: "Redis tells how the value came to be: raw if it has grown, no int if INCRBYFLOAT wrote it; here it goes by the value",
        same: same_kind,
    },
    Exception {
        commands: &["latency|doctor", "latency|graph", "latency|histogram", "latency|history", "latency|latest"],
        why: "it is about how fast the server was",
        same: same_kind,
    },
    Exception {
        commands: &["slowlog|get", "slowlog|len"],
        why: "it is about how slow the server was",
        same: same_kind,
    },
    Exception {
        commands: &["memory|doctor", "memory|malloc-stats", "memory|stats"],
        why: "it is about the server's own memory; allocators that have nothing to say are answered for by a plain string",
        same: |redis, aspine, _| same_kind(redis, aspine, 0) || redis.kind() == b'=' && aspine.kind() == b'$',
    },
];

/// Whether two replies to a command are the same as far as they must be.
pub(crate) fn same(words: &Line, redis: &Reply, aspine: &Reply, slack_ms: i64) -> bool {
    if redis == aspine || redis.is_error() || aspine.is_error() {
        return redis == aspine;
    }
    let exception =
        EXCEPTIONS.iter().find(|exception| name_of(words).is_some_and(|name| exception.commands.contains(&name)));
    exception.is_some_and(|exception| (exception.same)(redis, aspine, slack_ms))
}

fn same_kind(redis: &Reply, aspine: &Reply, _slack_ms: i64) -> bool {
    redis.kind() == aspine.kind() && redis.is_null() == aspine.is_null()
}

/// Numbers at most so far apart. What is no time (-1, -2) is equal already.
fn close(redis: &Reply, aspine: &Reply, apart: i64) -> bool {
    match (redis.as_number(), aspine.as_number()) {
        (Some(one), Some(two)) => one >= 0 && two >= 0 && one.abs_diff(two) <= apart.unsigned_abs(),
        _ => false,
    }
}

fn sorted(reply: &Reply) -> Vec<&Reply> {
    let mut elements: Vec<&Reply> = reply.elements().iter().collect();
    elements.sort_unstable();
    elements
}

/// One step of a scan: a cursor and an array.
fn same_scan(redis: &Reply, aspine: &Reply) -> bool {
    let shape = |reply: &Reply| match reply.elements() {
        [cursor, keys] => {
            cursor.as_text().is_some_and(|text| text.iter().all(u8::is_ascii_digit)) && keys.kind() == b'*'
        }
        _ => false,
    };
    shape(redis) && shape(aspine)
}

/// All fields in their order, and all values but two.
fn same_hello(redis: &Reply, aspine: &Reply, _slack_ms: i64) -> bool {
    let own = |field: &Reply| [Some(b"version".as_slice()), Some(b"id")].contains(&field.as_text());
    let (one, two) = (redis.elements(), aspine.elements());
    redis.kind() == aspine.kind()
        && one.len() == two.len()
        && one
            .chunks(2)
            .zip(two.chunks(2))
            .all(|(one, two)| one[0] == two[0] && (one[1] == two[1] || own(&one[0]) && one[1].kind() == two[1].kind()))
}

fn same_command_info(redis: &Reply, aspine: &Reply, _slack_ms: i64) -> bool {
    let (one, two) = (redis.elements(), aspine.elements());
    let known = |reply: &Reply| [0, 1, 3, 4, 5].map(|at| reply.elements().get(at).cloned());
    redis.kind() == aspine.kind()
        // Without names it lists all commands.
        && (one.len() > 100
            || one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one == two || known(one) == known(two)))
}

#[test]
fn an_exception_still_tells_wrong_from_right() {
    let read = |bytes: &[u8]| Reply::read(bytes).unwrap().unwrap().0;
    let check = |name: &str, one: &[u8], two: &[u8]| same(&vec![name.into()], &read(one), &read(two), 50);
    assert!(check("keys", b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", b"*2\r\n$1\r\nb\r\n$1\r\na\r\n"));
    assert!(!check("keys", b"*2\r\n$1\r\na\r\n$1\r\na\r\n", b"*2\r\n$1\r\nb\r\n$1\r\na\r\n"));
    assert!(check("pttl", b":1000\r\n", b":950\r\n") && !check("pttl", b":1000\r\n", b":949\r\n"));
    assert!(!check("ttl", b":-1\r\n", b":0\r\n") && !check("ttl", b":-2\r\n", b":-1\r\n"));
    assert!(!check("ttl", b":9\r\n", b"-ERR x\r\n") && !check("get", b"$1\r\na\r\n", b"$1\r\nb\r\n"));
    assert!(!check("randomkey", b"$-1\r\n", b"$1\r\na\r\n") && check("randomkey", b"$1\r\nb\r\n", b"$1\r\na\r\n"));
    assert!(!check("scan", b"*2\r\n$1\r\n0\r\n*0\r\n", b"*0\r\n"));
    assert!(check("hello", b"%1\r\n$2\r\nid\r\n:5\r\n", b"%1\r\n$2\r\nid\r\n:6\r\n"));
    assert!(!check("hello", b"%1\r\n$2\r\nid\r\n:5\r\n", b"*2\r\n$2\r\nid\r\n:5\r\n"));
}

#[test]
fn every_exception_is_explained_and_of_a_command() {
    for exception in EXCEPTIONS {
        assert!(!exception.why.is_empty());
        for name in exception.commands {
            assert!(crate::generators::GENERATORS.iter().any(|generator| generator.name == *name), "{name}");
        }
    }
}
