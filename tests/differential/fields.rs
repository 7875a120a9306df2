//! The fields of INFO that redis-server has and Aspine has not, since nothing true could stand there.

use std::collections::BTreeMap;

use crate::reply::Reply;
use crate::servers::{Address, Aspine, Link, Redis};

/// Fields, and why they are missing. With them go the series that redis_exporter makes of them.
pub(crate) const MISSING: &[(&[&str], &str)] = &[
    (
        &[
            "allocator_active",
            "allocator_allocated",
            "allocator_frag_bytes",
            "allocator_frag_ratio",
            "allocator_resident",
            "allocator_rss_bytes",
            "allocator_rss_ratio",
            "rss_overhead_bytes",
            "rss_overhead_ratio",
        ],
        "they are jemalloc's own numbers; the allocator here keeps none. `used_memory`, `used_memory_rss` and \
         `mem_fragmentation_ratio` are there",
    ),
    (
        &[
            "aof_last_cow_size",
            "aof_rewrites",
            "aof_rewrites_consecutive_failures",
            "current_cow_peak",
            "current_cow_size",
            "current_cow_size_age",
            "current_fork_perc",
            "module_fork_in_progress",
            "module_fork_last_cow_size",
            "rdb_last_cow_size",
        ],
        "nothing forks, and there is no append only file; a snapshot's progress is in `current_save_keys_processed`",
    ),
    (
        &["lazyfree_pending_objects", "lazyfreed_objects", "reply_buffer_expands", "reply_buffer_shrinks"],
        "memory is freed in slices by the core that owns it, and buffers are given back to a pool: there is no such event",
    ),
    (
        &["current_eviction_exceeded_time", "expire_cycle_cpu_milliseconds", "total_eviction_exceeded_time"],
        "expiry and eviction go in slices between commands, bounded by work and not by time",
    ),
    (
        &[
            "io_threaded_reads_processed",
            "io_threaded_writes_processed",
            "total_reads_processed",
            "total_writes_processed",
            "used_cpu_sys_main_thread",
            "used_cpu_user_main_thread",
        ],
        "there is no main thread and there are no I/O threads: each core reads, runs and writes. `used_cpu_sys` and \
         `used_cpu_user` are of all cores",
    ),
    (
        &["used_memory_lua_human", "used_memory_scripts_human", "used_memory_vm_total_human"],
        "there are no scripts; the fields in bytes say 0",
    ),
    (
        &["atomicvar_api", "dump_payload_sanitizations", "gcc_version", "lru_clock"],
        "they are about how redis-server was built, or about parts of it that are not here",
    ),
    (
        &["client_recent_max_input_buffer", "client_recent_max_output_buffer", "mem_clients_normal"],
        "the buffers of all clients are not added up while commands run; CLIENT LIST has each client's",
    ),
];

/// The names of the fields that a server's INFO has.
fn fields(address: &Address) -> BTreeMap<String, String> {
    let mut link = Link::open(address).unwrap();
    let call = |link: &mut Link, line: &str| -> Reply {
        link.call(&line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>()).unwrap()
    };
    call(&mut link, "SET k v EX 100");
    call(&mut link, "GET none");
    let info = call(&mut link, "INFO everything");
    let text = String::from_utf8_lossy(info.as_text().unwrap()).into_owned();
    let counted = |name: &str| name.starts_with("cmdstat_") || name.starts_with("latency_percentiles");
    let pairs = text.lines().filter_map(|line| line.split_once(':')).filter(|(name, _)| !counted(name));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn every_field_of_info_is_there_or_missing_for_a_reason() {
    let Some(redis) = Redis::start() else { return };
    let (theirs, ours) = (fields(&redis.address()), fields(&Aspine::start(1).address()));
    assert!(theirs.len() > 100 && ours.len() > 100);
    let missing: Vec<&str> = MISSING.iter().flat_map(|(names, _)| names.iter().copied()).collect();
    for name in theirs.keys().filter(|name| !ours.contains_key(*name)) {
        assert!(
            missing.contains(&name.as_str()),
            "{name}: give it its true value, or say in MISSING why there is none"
        );
    }
    for name in missing {
        assert!(theirs.contains_key(name), "{name}: redis-server has no such field");
        assert!(!ours.contains_key(name), "{name} is there; take it off MISSING");
    }
}
