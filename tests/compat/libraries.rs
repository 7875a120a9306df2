//! Libraries: what is run with its defaults against Aspine, and in which version, as docs/clients.md has it.

use std::path::Path;

/// A client or a tool of others.
struct Library {
    language: &'static str,
    name: &'static str,
    /// The file that says which version is run, and how the name stands there; without, it is the machine's own.
    pinned: Option<(&'static str, &'static str)>,
    /// What is run with it.
    does: &'static str,
    /// The tests, as `module::function`.
    tests: &'static [&'static str],
}

const LIBRARIES: &[Library] = &[
    Library {
        language: "Python",
        name: "redis-py",
        pinned: Some(("tests/compat/requirements.txt", "redis==")),
        does: "strings, expiry, pipelines, scans, transactions, messages, databases; on asyncio; its client-side cache; its cluster \
               client on core ports",
        tests: &[
            "scripts::redis_py",
            "scripts::redis_py_on_asyncio",
            "scripts::the_cache_of_redis_py",
            "clusters::redis_py",
        ],
    },
    Library {
        language: "Python",
        name: "prometheus_client",
        pinned: Some(("tests/compat/requirements.txt", "prometheus_client==")),
        does: "reads the page of metrics",
        tests: &["scripts::the_parser_of_prometheus"],
    },
    Library {
        language: "Node.js",
        name: "ioredis",
        pinned: Some(("tests/compat/package.json", "\"ioredis\": \"")),
        does: "strings, expiry, pipelines, scans, transactions, messages, databases; its cluster client on core ports",
        tests: &["scripts::ioredis", "clusters::ioredis"],
    },
    Library {
        language: "Node.js",
        name: "node-redis",
        pinned: Some(("tests/compat/package.json", "\"redis\": \"")),
        does: "strings, expiry, pipelines, scans, transactions, messages",
        tests: &["scripts::node_redis"],
    },
    Library {
        language: "Rust",
        name: "redis-rs",
        pinned: Some(("Cargo.lock", "name = \"redis\"\nversion = \"")),
        does: "blocking, multiplexed on tokio, connection manager: strings, expiry, pipelines, scans, transactions, messages, pushes \
               of RESP3, invalidations; its cluster client on core ports",
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
        pinned: Some(("Cargo.lock", "name = \"fred\"\nversion = \"")),
        does: "RESP2 and RESP3 on tokio: strings, expiry, pipelines, scans, transactions",
        tests: &["fred::on_tokio"],
    },
    Library {
        language: "C",
        name: "redis-cli",
        pinned: None,
        does: "sets, gets, scans, INFO, by RESP2 and RESP3 and by the Unix socket",
        tests: &["tools::redis_cli_sets_and_gets"],
    },
    Library {
        language: "C",
        name: "redis-benchmark",
        pinned: None,
        does: "SET, GET and MSET, pipelined",
        tests: &["tools::redis_benchmark_shows_no_error"],
    },
];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

impl Library {
    /// The version that is pinned, or whose it is.
    fn version(&self) -> String {
        let Some((path, before)) = self.pinned else { return "Debian's 7.0".to_owned() };
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

/// The documentation has the versions that are run, and nothing that is not.
#[test]
fn the_documentation_lists_what_is_run() {
    const MARKS: [&str; 2] = ["<!-- libraries -->\n", "<!-- /libraries -->"];
    let page = read("docs/clients.md");
    let (head, rest) = page.split_once(MARKS[0]).unwrap();
    let (listed, tail) = rest.split_once(MARKS[1]).unwrap();
    let row = |library: &Library| {
        format!("| {} | {} | {} | {} |\n", library.language, library.name, library.version(), library.does)
    };
    let rows: String = LIBRARIES.iter().map(row).collect();
    let expected = format!("| language | client | version | what is run with it |\n|---|---|---|---|\n{rows}");
    if std::env::var_os("ASPINE_BLESS").is_some() && listed != expected {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clients.md");
        std::fs::write(path, [head, MARKS[0], &expected, MARKS[1], tail].concat()).unwrap();
        return;
    }
    assert!(listed == expected, "run `ASPINE_BLESS=1 cargo test --test compat the_documentation`");
}
