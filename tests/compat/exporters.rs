//! What watches a Redis for others: redis_exporter and collectd's plugin, each beside redis-server. A series that is made of
//! redis-server and not of Aspine is one of docs/clients.md, of a field that can't have a true value here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::generator::Other;
use crate::support::conn::Conn;
use crate::support::server::{Dir, Setup, wait_until};
use crate::{KEY, left_out};

/// The series that redis_exporter does not make of Aspine, and the field of INFO that each is made of.
pub(crate) const MISSING: &[(&str, &str)] = &[
    ("redis_allocator_active_bytes", "allocator_active"),
    ("redis_allocator_allocated_bytes", "allocator_allocated"),
    ("redis_allocator_frag_bytes", "allocator_frag_bytes"),
    ("redis_allocator_frag_ratio", "allocator_frag_ratio"),
    ("redis_allocator_resident_bytes", "allocator_resident"),
    ("redis_allocator_rss_bytes", "allocator_rss_bytes"),
    ("redis_allocator_rss_ratio", "allocator_rss_ratio"),
    ("redis_aof_last_cow_size_bytes", "aof_last_cow_size"),
    ("redis_client_recent_max_input_buffer_bytes", "client_recent_max_input_buffer"),
    ("redis_client_recent_max_output_buffer_bytes", "client_recent_max_output_buffer"),
    ("redis_cpu_sys_main_thread_seconds_total", "used_cpu_sys_main_thread"),
    ("redis_cpu_user_main_thread_seconds_total", "used_cpu_user_main_thread"),
    ("redis_dump_payload_sanitizations", "dump_payload_sanitizations"),
    ("redis_io_threaded_reads_processed", "io_threaded_reads_processed"),
    ("redis_io_threaded_writes_processed", "io_threaded_writes_processed"),
    ("redis_lazyfree_pending_objects", "lazyfree_pending_objects"),
    ("redis_mem_clients_normal", "mem_clients_normal"),
    ("redis_module_fork_in_progress", "module_fork_in_progress"),
    ("redis_module_fork_last_cow_size", "module_fork_last_cow_size"),
    ("redis_rdb_last_cow_size_bytes", "rdb_last_cow_size"),
    ("redis_total_reads_processed", "total_reads_processed"),
    ("redis_total_writes_processed", "total_writes_processed"),
];

/// Runs `test` on redis-server, if there is one, and on a server of two cores; both with the auth key and a gigabyte.
/// Database 0 has a key with a deadline, database 1 has two without; 2 GETs have hit and 3 have missed.
fn on_both<T>(test: impl Fn(SocketAddr) -> Option<T>) -> (Option<T>, Option<T>) {
    let test = |addr| {
        let mut conn = Conn::tcp(addr);
        for line in ["AUTH the-key", "SET number 5 EX 1000", "SELECT 1", "SET user:1 alice", "SET user:2 bob"] {
            assert_eq!(conn.call(&line.split(' ').collect::<Vec<_>>()), "+OK\r\n", "{line}");
        }
        for key in ["user:1", "user:2", "user:3", "user:4", "user:5"] {
            conn.call(&["GET", key]);
        }
        test(addr)
    };
    let flags = |port: &str| {
        ["--port", port, "--save", "", "--requirepass", KEY, "--maxmemory", "1gb"].map(str::to_owned).to_vec()
    };
    let redis = Other::start("redis-server", "redis-server", flags);
    let theirs = redis.and_then(|redis| test(SocketAddr::from(([127, 0, 0, 1], redis.port))));
    let server = Setup::new(2, &["--max-memory", "1gb", "--authkey", KEY]).start();
    (theirs, test(server.addr))
}

/// Series by name and labels, as a page of Prometheus has them.
type Page = BTreeMap<String, String>;

/// What redis_exporter shows of a server.
fn exported(server: SocketAddr) -> Option<Page> {
    let program = "prometheus-redis-exporter";
    let exporter = Other::start(program, program, |port| {
        let (addr, listen) = (format!("redis://{server}"), format!("127.0.0.1:{port}"));
        let checks = ["-check-single-keys", "db0=number", "-check-keys", "db1=user:*", "-count-keys", "db1=user:*"];
        let flags =
            ["-redis.addr", &addr, "-redis.password", KEY, "-web.listen-address", &listen, "-export-client-list"];
        [&flags[..], &checks[..]].concat().into_iter().map(str::to_owned).collect()
    })?;
    let mut stream = TcpStream::connect(("127.0.0.1", exporter.port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{head}");
    let series = body.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    Some(series.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The names of the series, each with those of its labels: `redis_db_keys{db=}`.
fn shapes(page: &Page) -> BTreeSet<String> {
    let shape = |series: &String| {
        let parts: Vec<&str> = series.split('"').step_by(2).collect();
        parts.concat()
    };
    // What the exporter tells of itself. Which commands and errors there were is no shape.
    page.keys().map(shape).filter(|name| name.starts_with("redis_")).collect()
}

/// What holds for either server.
fn check_values(page: &Page) {
    let value = |series: &str| page.get(series).unwrap_or_else(|| panic!("{series} is missing")).as_str();
    for (series, expected) in [
        ("redis_up", "1"),
        ("redis_exporter_last_scrape_error{err=\"\"}", "0"),
        ("redis_db_keys{db=\"db0\"}", "1"),
        ("redis_db_keys{db=\"db1\"}", "2"),
        ("redis_db_keys_expiring{db=\"db0\"}", "1"),
        ("redis_db_keys_expiring{db=\"db1\"}", "0"),
        ("redis_keyspace_misses_total", "3"),
        ("redis_commands_total{cmd=\"set\"}", "3"),
        ("redis_memory_max_bytes", "1.073741824e+09"),
        ("redis_connected_slaves", "0"),
        ("redis_evicted_keys_total", "0"),
        ("redis_keys_count{db=\"db1\",key=\"user:*\"}", "2"),
        ("redis_key_size{db=\"db1\",key=\"user:1\"}", "5"),
        ("redis_key_value{db=\"db0\",key=\"number\"}", "5"),
        ("redis_key_value_as_string{db=\"db1\",key=\"user:2\",val=\"bob\"}", "1"),
    ] {
        assert_eq!(value(series), expected, "{series}");
    }
    let number = |series: &str| value(series).parse::<f64>().unwrap();
    // The exporter's own GET of what it checks hits, too.
    assert!(number("redis_keyspace_hits_total") >= 2.0);
    assert!(number("redis_memory_used_bytes") > 0.0 && number("redis_memory_used_rss_bytes") > 0.0);
    assert!(number("redis_commands_processed_total") >= 8.0 && number("redis_connections_received_total") >= 2.0);
    assert!(number("redis_net_input_bytes_total") > 100.0 && number("redis_net_output_bytes_total") > 50.0);
    assert!(number("redis_cpu_user_seconds_total") >= 0.0 && number("redis_cpu_sys_seconds_total") >= 0.0);
}

#[test]
fn redis_exporter() {
    let (theirs, ours) = on_both(exported);
    let Some(ours) = ours else { return };
    check_values(&ours);
    let Some(theirs) = theirs else { return };
    check_values(&theirs);
    let (theirs, ours) = (shapes(&theirs), shapes(&ours));
    assert!(theirs.len() > 120, "{}", theirs.len());
    let missing: Vec<_> = theirs.difference(&ours).map(String::as_str).collect();
    let expected: Vec<_> = MISSING.iter().map(|(series, _)| *series).collect();
    assert_eq!(missing, expected, "give it its true value in INFO, or take it off MISSING");
}

/// A collectd that runs until the end of the test.
struct Collectd(Child);

impl Drop for Collectd {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One thread writes, so that a value is written after those that were read before it.
fn configuration(dir: &Path, server: SocketAddr) -> String {
    let (dir, port) = (dir.to_str().unwrap(), server.port());
    format!(
        "Hostname \"here\"\nFQDNLookup false\nBaseDir \"{dir}\"\nPIDFile \"{dir}/pid\"\nInterval 1\nWriteThreads 1\n\
         LoadPlugin logfile\nLoadPlugin csv\nLoadPlugin redis\n\
         <Plugin logfile>\nLogLevel info\nFile \"{dir}/log\"\n</Plugin>\n\
         <Plugin csv>\nDataDir \"{dir}/values\"\nStoreRates false\n</Plugin>\n\
         <Plugin redis>\n<Node \"it\">\nHost \"127.0.0.1\"\nPort \"{port}\"\nPassword \"{KEY}\"\nTimeout 60000\n\
         <Query \"GET number\">\nType \"gauge\"\nInstance \"number\"\n</Query>\n</Node>\n</Plugin>\n"
    )
}

/// The values that collectd reads of a server first, by the name of the file that it writes them to.
fn collected(server: SocketAddr) -> Option<BTreeMap<String, String>> {
    let dir = Dir::new();
    let file = dir.path().join("collectd.conf");
    fs::write(&file, configuration(dir.path(), server)).unwrap();
    let mut cmd = Command::new("collectd");
    let Ok(child) = cmd.arg("-f").arg("-C").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).spawn() else {
        left_out("collectd", "apt-get install --no-install-recommends collectd-core libhiredis0.14");
        return None;
    };
    let mut collectd = Collectd(child);
    let values = dir.path().join("values/here/redis-it");
    let names = || fs::read_dir(&values).into_iter().flatten().map(|entry| entry.unwrap());
    let log = || fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    // Without libhiredis the plugin does not load, and collectd goes on without it.
    wait_until("values of collectd", || {
        assert_eq!(collectd.0.try_wait().unwrap(), None, "{}", log());
        assert!(!log().contains("failed"), "libhiredis0.14 is needed: {}", log());
        names().any(|entry| {
            let lines = fs::read_to_string(entry.path()).unwrap();
            entry.file_name().to_str().unwrap().starts_with("gauge-number") && lines.lines().count() > 1
        })
    });
    let named = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        let end = name.len() - "-2000-01-01".len();
        let lines = fs::read_to_string(entry.path()).unwrap();
        // The names of the columns, then a line a second: the time, and the values.
        let first = lines.lines().nth(1).unwrap_or_else(|| panic!("{name}: {lines}"));
        (name[..end].to_owned(), first.split_once(',').unwrap().1.to_owned())
    };
    Some(names().map(named).collect())
}

#[test]
fn collectd() {
    let (theirs, ours) = on_both(collected);
    let expected = [
        ("blocked_clients", "0.000000"),
        ("cache_result-misses", "3"),
        ("current_connections-slaves", "0.000000"),
        ("evicted_keys", "0"),
        ("gauge-number", "5.000000"),
        ("pubsub-channels", "0.000000"),
        ("records-0", "1.000000"),
        ("records-1", "2.000000"),
        ("volatile_changes", "3.000000"),
    ];
    for values in [&theirs, &ours].into_iter().flatten() {
        for (name, value) in expected {
            assert_eq!(values.get(name).map(String::as_str), Some(value), "{name} of {values:?}");
        }
        let number = |name: &str| values[name].parse::<f64>().unwrap();
        assert!(number("memory") > 0.0 && number("total_operations") >= 8.0 && number("total_bytes-input") > 100.0);
    }
    if let (Some(theirs), Some(ours)) = (theirs, ours) {
        let names = |values: BTreeMap<String, String>| values.into_keys().collect::<Vec<_>>();
        assert_eq!(names(theirs), names(ours));
    }
}
