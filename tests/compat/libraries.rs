//! Libraries: what is run with its defaults against Aspine, and in which version, as docs/clients.md has it.

use std::path::Path;

use crate::exporters::MISSING;

/// A client or a tool of others.
struct Library {
    language: &'static str,
    name: &'static str,
    version: Version,
    /// What is run with it.
    does: &'static str,
    /// What it can do that fails here, and what that needs.
    refused: &'static str,
    /// The tests, as `module::function`.
    tests: &'static [&'static str],
}

/// The version of a library that is run.
enum Version {
    /// The one that a file names, behind such a text.
    Pinned(&'static str, &'static str),
    /// The one of a package of Debian 12.
    Debian(&'static str),
}

use Version::{Debian, Pinned};

const REQUIREMENTS: &str = "tests/compat/requirements.txt";
const PACKAGE_JSON: &str = "tests/compat/package.json";

const LIBRARIES: &[Library] = &[
    Library {
        language: "Python",
        name: "redis-py",
        version: Pinned(REQUIREMENTS, "redis=="),
        does: "strings, expiry, pipelines, scans, transactions, messages, databases; on asyncio; its client-side cache; its cluster \
               client on core ports",
        refused: "",
        tests: &[
            "scripts::redis_py",
            "scripts::redis_py_on_asyncio",
            "scripts::the_cache_of_redis_py",
            "clusters::redis_py",
        ],
    },
    Library {
        language: "Python",
        name: "aiocache",
        version: Pinned(REQUIREMENTS, "aiocache=="),
        does: "values, times to live, counts, decorators; two databases, a flush of one",
        refused: "RedLock's release and OptimisticLock (EVAL)",
        tests: &["caches::aiocache_and_flask_caching"],
    },
    Library {
        language: "Python",
        name: "cashews",
        version: Pinned(REQUIREMENTS, "cashews=="),
        does: "values, times to live, counts, decorators, early refreshes, Bloom filters, patterns; two databases, a flush of one",
        refused: "the release of a lock, counts with a time to live and rate limits (EVALSHA), tags (SADD)",
        tests: &["caches::cashews"],
    },
    Library {
        language: "Python",
        name: "Django",
        version: Pinned(REQUIREMENTS, "Django=="),
        does: "its cache, sessions in a cache; two databases, a flush of one",
        refused: "",
        tests: &["caches::django"],
    },
    Library {
        language: "Python",
        name: "django-redis",
        version: Pinned(REQUIREMENTS, "django-redis=="),
        does: "Django's cache and sessions, patterns, times to live; two databases, a flush of one",
        refused: "the release of a lock (EVALSHA), sets and hashes; `incr` falls back to GET and SET, which loses counts made at the same time",
        tests: &["caches::django"],
    },
    Library {
        language: "Python",
        name: "Flask-Caching",
        version: Pinned(REQUIREMENTS, "Flask-Caching=="),
        does: "views, memoized functions, values, counts; two databases, a flush of one",
        refused: "",
        tests: &["caches::aiocache_and_flask_caching"],
    },
    Library {
        language: "Python",
        name: "Valkey GLIDE",
        version: Pinned(REQUIREMENTS, "valkey-glide=="),
        does: "RESP2 and RESP3 on asyncio: strings, expiry, batches, scans; two databases, a flush of one",
        refused: "scripts, all types beside strings",
        tests: &["caches::glide_for_python"],
    },
    Library {
        language: "Python",
        name: "prometheus_client",
        version: Pinned(REQUIREMENTS, "prometheus_client=="),
        does: "reads the page of metrics",
        refused: "",
        tests: &["scripts::the_parser_of_prometheus"],
    },
    Library {
        language: "Node.js",
        name: "ioredis",
        version: Pinned(PACKAGE_JSON, "\"ioredis\": \""),
        does: "strings, expiry, pipelines, scans, transactions, messages, databases; its cluster client on core ports",
        refused: "",
        tests: &["scripts::ioredis", "clusters::ioredis"],
    },
    Library {
        language: "Node.js",
        name: "node-redis",
        version: Pinned(PACKAGE_JSON, "\"redis\": \""),
        does: "strings, expiry, pipelines, scans, transactions, messages, databases",
        refused: "",
        tests: &["scripts::node_redis"],
    },
    Library {
        language: "Node.js",
        name: "Valkey GLIDE",
        version: Pinned(PACKAGE_JSON, "\"@valkey/valkey-glide\": \""),
        does: "RESP2 and RESP3: strings, expiry, batches, scans; two databases, a flush of one",
        refused: "scripts, all types beside strings",
        tests: &["caches::glide_for_node"],
    },
    Library {
        language: "Node.js",
        name: "keyv on @keyv/redis",
        version: Pinned(PACKAGE_JSON, "\"@keyv/redis\": \""),
        does: "values, times to live, namespaces, iteration; two databases, a flush of one",
        refused: "",
        tests: &["caches::keyv"],
    },
    Library {
        language: "Node.js",
        name: "express-session on connect-redis",
        version: Pinned(PACKAGE_JSON, "\"connect-redis\": \""),
        does: "sessions of web pages and their end; two databases, a flush of one",
        refused: "",
        tests: &["caches::sessions_of_express"],
    },
    Library {
        language: "PHP",
        name: "Laravel's cache and session",
        version: Debian("8.83"),
        does: "by phpredis and by predis: values, times to live, counts, locks, sessions; two databases, a flush of one",
        refused: "`Cache::add` and the release of a lock (EVAL), tags (SADD). By phpredis this is silent: `add` says false",
        tests: &["caches::laravel"],
    },
    Library {
        language: "PHP",
        name: "phpredis",
        version: Debian("5.3"),
        does: "PHP's own sessions; two databases, a flush of one",
        refused: "the locks of sessions are taken, but not given back (EVAL): leave `redis.session.locking_enabled` off",
        tests: &["caches::sessions_of_phpredis"],
    },
    Library {
        language: "Ruby",
        name: "Rails' RedisCacheStore on redis-rb",
        version: Debian("6.1"),
        does: "values, times to live, counts, patterns, namespaces; two databases, a flush of one",
        refused: "",
        tests: &["caches::rails"],
    },
    Library {
        language: "Rust",
        name: "redis-rs",
        version: Pinned("Cargo.lock", "name = \"redis\"\nversion = \""),
        does: "blocking, multiplexed on tokio, connection manager: strings, expiry, pipelines, scans, transactions, messages, pushes \
               of RESP3, invalidations; its cluster client on core ports",
        refused: "",
        tests: &[
            "redis_rs::blocking",
            "redis_rs::messages_blocking",
            "redis_rs::pushes_of_resp3_beside_commands",
            "redis_rs::multiplexed_on_tokio",
            "redis_rs_tracking::stale_keys_are_pushed",
            "clusters::redis_rs_blocking",
            "clusters::redis_rs_on_tokio",
        ],
    },
    Library {
        language: "Rust",
        name: "fred",
        version: Pinned("Cargo.lock", "name = \"fred\"\nversion = \""),
        does: "RESP2 and RESP3 on tokio: strings, expiry, pipelines, scans, transactions",
        refused: "",
        tests: &["fred::on_tokio"],
    },
    Library {
        language: "Go",
        name: "redis_exporter",
        version: Debian("1.45"),
        does: "its series beside those of redis-server, checks of keys, the list of clients",
        refused: "",
        tests: &["exporters::redis_exporter"],
    },
    Library {
        language: "C",
        name: "collectd's redis plugin",
        version: Debian("5.12"),
        does: "its values beside those of redis-server, a query of its own",
        refused: "",
        tests: &["exporters::collectd"],
    },
    Library {
        language: "C",
        name: "redis-cli",
        version: Debian("7.0"),
        does: "sets, gets, scans, INFO, by RESP2 and RESP3 and by the Unix socket; its hints at a terminal",
        refused: "",
        tests: &[
            "tools::redis_cli_sets_and_gets",
            "hints::redis_cli_hints_the_syntax_as_of_redis",
            "hints::redis_cli_hints_what_no_redis_of_its_time_had",
        ],
    },
    Library {
        language: "C",
        name: "redis-benchmark",
        version: Debian("7.0"),
        does: "SET, GET and MSET, pipelined",
        refused: "",
        tests: &["tools::redis_benchmark_shows_no_error"],
    },
];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

impl Library {
    /// As the documentation has it.
    fn version(&self) -> String {
        let (path, before) = match self.version {
            Debian(version) => return format!("Debian's {version}"),
            Pinned(path, before) => (path, before),
        };
        let text = read(path);
        let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{path} has no {before}"));
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).collect()
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    for library in LIBRARIES {
        for test in library.tests {
            let (module, function) = test.split_once("::").unwrap();
            let source = read(&format!("tests/compat/{module}.rs"));
            assert!(source.contains(&format!("#[test]\nfn {function}() {{")), "{test}");
        }
    }
}

/// Checks that what stands between two marks of docs/clients.md is as expected, or makes it so.
#[track_caller]
fn check_page(mark: &str, expected: &str) {
    let marks = [format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->")];
    let page = read("docs/clients.md");
    let (head, rest) = page.split_once(&marks[0]).unwrap();
    let (listed, tail) = rest.split_once(&marks[1]).unwrap();
    if std::env::var_os("ASPINE_BLESS").is_some() && listed != expected {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clients.md");
        std::fs::write(path, [head, &marks[0], expected, &marks[1], tail].concat()).unwrap();
        return;
    }
    assert!(listed == expected, "run `ASPINE_BLESS=1 cargo test --test compat the_documentation -- --test-threads 1`");
}

/// The documentation has the versions that are run, and nothing that is not.
#[test]
fn the_documentation_lists_what_is_run() {
    let row = |library: &Library| {
        let Library { language, name, does, refused, .. } = library;
        format!("| {language} | {name} | {} | {does} | {refused} |\n", library.version())
    };
    let rows: String = LIBRARIES.iter().map(row).collect();
    let head = "| language | client | version | what is run with it | what fails here, for it needs scripts or other types |\n\
                |---|---|---|---|---|\n";
    check_page("libraries", &format!("{head}{rows}"));
}

/// Each series that an exporter makes of redis-server alone is told of, beside the reason for which its field is missing.
#[test]
fn the_documentation_lists_the_series_that_are_missing() {
    let names: Vec<String> = MISSING.iter().map(|(series, _)| format!("`{series}`")).collect();
    check_page("series", &format!("{}.\n", names.join(", ")));
    let page = read("docs/clients.md");
    let (_, fields) = page.split_once("<!-- fields -->").unwrap();
    for (series, field) in MISSING {
        assert!(fields.contains(&format!("`{field}`")), "{series}: nothing is said of {field}");
    }
}
