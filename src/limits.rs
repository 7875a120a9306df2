//! Limits: every number of the project, with its unit, its reason, and what happens at it. Nothing else is here.
//!
//! Relations between limits are asserted at compile time, next to the limits.

// ---- resp: requests ----

/// Bytes of one argument of a request: 512 MiB, Redis's `proto-max-bulk-len`. Past it: "invalid bulk length", closed.
pub const BULK_BYTES_MAX: u32 = 512 * 1024 * 1024;

/// Arguments of one request: 2^20, what Redis took before 7.0 (now 2^31), and 8 MiB of spans at most.
/// Past it: "invalid multibulk length", closed.
pub const COMMAND_ARGS_MAX: u32 = 1024 * 1024;

/// Bytes of one request, framing included: 1 GiB, Redis's `client-query-buffer-limit`; spans are u32.
/// Past it, as soon as it is announced: "too big command", closed.
pub const COMMAND_BYTES_MAX: u32 = 1024 * 1024 * 1024;

/// Bytes of one inline request, or of a count or length line, before its line end: 64 KiB, Redis's
/// `PROTO_INLINE_MAX_SIZE`. Past it: "too big inline request" (or the like), closed.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;

/// Arguments of a request before authentication: 10, as Redis; room for `HELLO 3 AUTH user key SETNAME name`.
/// Past it: "unauthenticated multibulk length", closed.
pub const UNAUTHENTICATED_ARGS_MAX: u32 = 10;

/// Bytes of one argument before authentication: 16 KiB, as Redis. Past it: "unauthenticated bulk length", closed.
pub const UNAUTHENTICATED_BULK_BYTES_MAX: u32 = 16 * 1024;

/// Spans (8 bytes each) a parser keeps from one request to the next: 1024, 8 KiB a connection, enough for an MSET of
/// 500 keys without allocating. A larger list is given back when the next request begins.
pub const PARSER_SPANS_KEPT_MAX: usize = 1024;

/// Bytes of inline text a parser keeps from one request to the next: 1 KiB, a long line for a human.
/// More is given back when the next request begins.
pub const PARSER_SCRATCH_BYTES_KEPT_MAX: usize = 1024;

const _: () = assert!(BULK_BYTES_MAX < COMMAND_BYTES_MAX, "a request must have room for its largest argument");
const _: () = assert!(UNAUTHENTICATED_BULK_BYTES_MAX <= BULK_BYTES_MAX);
const _: () = assert!(UNAUTHENTICATED_ARGS_MAX <= COMMAND_ARGS_MAX);
const _: () = assert!(PARSER_SCRATCH_BYTES_KEPT_MAX <= INLINE_BYTES_MAX);

// ---- resp: replies, as a client reads them ----

/// Bytes of one string in a reply: the largest value, and the four bytes `txt:` of a verbatim string.
/// Past it: the reply is not understood, `ReplyError::TooLong`.
pub const REPLY_BULK_BYTES_MAX: usize = BULK_BYTES_MAX as usize + 4;

/// Bytes of one line of a reply (a simple string, an error, a number or a length) before its line end: 64 KiB.
/// Errors quote at most a few hundred bytes. Past it: `ReplyError::TooLong`.
pub const REPLY_LINE_BYTES_MAX: usize = 64 * 1024;

/// Elements of one aggregate in a reply: 2^31 - 1, as Redis; a KEYS may have as many. Nothing is allocated
/// before they are there. Past it: `ReplyError::TooLong`.
pub const REPLY_ITEMS_MAX: i64 = i32::MAX as i64;

/// Aggregates inside aggregates in a reply: 32; Redis's deepest (COMMAND DOCS) has fewer than ten. Bounds the stack.
/// Past it: `ReplyError::TooDeep`.
pub const REPLY_DEPTH_MAX: usize = 32;

// ---- shard ----

/// Keys that the growth of an index may hash again in one turn (some 0.2 µs each with cold caches), before whatever
/// else there is to run on the shard waits for the next turn. One command may pass it, by a segment or so a key.
pub const TURN_REHASHED_MAX: u64 = 2048;

/// Keys whose memory is loaded together before a pipeline's commands run: more than the misses a core can have in
/// flight, few enough that the first are still in the L1 cache when the last arrive. Beyond it: the next so many.
pub const WARM_KEYS_MAX: usize = 16;

/// Bytes of a shard's items up to which nothing is loaded ahead: they stay in the L2 cache, where a command has them sooner
/// than by asking twice.
pub const WARM_SHARD_BYTES_MIN: u64 = 256 * 1024;

/// Bytes of the longest key: 16 MiB; nobody's keys are longer.
/// Past it: `Shard::insert` answers `Full` (the command layer should refuse such a key earlier, with its own text).
pub const KEY_BYTES_MAX: usize = (1 << 24) - 1;

/// Bits of a key's length in its slab entry. From 64 KiB on the length stands before the key, in four bytes.
pub const KEY_INLINE_LENGTH_BITS: u32 = 16;

/// Databases: Redis's default number of them. Past it: `--databases` is refused.
pub const DATABASES: u32 = 16;

/// Spaces of keys that a slab entry can tell apart: one a database, and as many that were flushed and still have items.
/// Past it: a flush waits for one of these to be swept.
pub const SPACES: u32 = 2 * DATABASES;

/// Items of a flushed space that are removed between two looks for more of them.
pub const SWEEP_BATCH: usize = 64;

/// Positions of other databases' items that a scan passes by for a step: reading them in their order is cheap.
pub const SCAN_PASSED_PER_STEP: u32 = 16;

/// Types of values that a slab entry can tell apart.
pub const VALUE_TYPES_MAX: u32 = 4;

/// Bits of an item's access clock, in seconds: what a slab entry has to spare. Past them (97 days): it begins anew.
pub const ACCESS_CLOCK_BITS: u32 = 23;

/// Seconds by which the clock may be set back without an effect on idle times: 18 hours, more than any time zone.
/// Past it: what was accessed before then looks idle for months.
pub const ACCESS_CLOCK_BACK_S: u64 = (1 << 16) - 1;

/// Seconds of the longest idle time that is told: 96 days. Past it: the item looks just accessed. RESTORE's are cut.
pub const IDLE_S_MAX: u64 = (1 << ACCESS_CLOCK_BITS) - 1 - ACCESS_CLOCK_BACK_S;

/// Bits of an address in user space on x86-64 and arm64: Linux maps nothing higher unless asked to by address. A slab
/// entry keeps something else in the rest. Past it: the process stops, before anything is stored there.
pub const ADDRESS_BITS: u32 = 48;

/// Bytes of the longest value: Redis's own string limit, so that a client meets no other one here.
/// Past it: `Shard::insert` answers `Full` (the parser refuses such a bulk string earlier).
pub const VALUE_BYTES_MAX: usize = 512 << 20;

/// Entries of one slab page (24 bytes each, so 48 KiB): large enough that the page list of 20M items stays in
/// the L2 cache, small enough that a new page costs one insert some 10 µs, and that mimalloc packs pages tightly
/// even with huge pages (4096 entries cost shards of 250k to 500k items 8 to 17 bytes each). At its end: another.
pub const SLAB_PAGE_ENTRIES: usize = 2048;

/// Entries one shard can address: a `u32` each, the last one meaning "none".
/// At the limit: a new key is refused with `Full`; overwriting goes on.
pub const SLAB_ENTRIES_MAX: u32 = u32::MAX;

/// Bytes of key and value from which an item always carries its timer word, so that EXPIRE never copies it.
/// Below it the first EXPIRE of an item reallocates at most this many bytes; above it the word is under 0.1 %.
pub const TIMER_WORD_ITEM_BYTES: usize = 4096;

/// Buckets of a full-grown index segment: 10 KiB of table, and at most 1792 keys rehashed by one insert (some
/// 100 µs with cold caches, measured). At 7/8 full: that one segment splits.
pub const SEGMENT_BUCKETS_MAX: usize = 2048;

/// Entries a segment can hold before its table is full: hashbrown's 7/8 of the buckets.
pub const SEGMENT_ENTRIES_MAX: usize = SEGMENT_BUCKETS_MAX / 8 * 7;

/// Entries from which a full table is split rather than cleaned of the marks that removals leave in it: with
/// fewer than a sixth of such marks, cleaning would soon be due again.
pub const SEGMENT_SPLIT_ENTRIES_MIN: usize = 1500;

/// Segments of one page of their list (40 bytes each, so 2.5 KiB, which every shard has). At its end: another
/// page is allocated.
pub const SEGMENT_PAGE_TABLES: usize = 64;

/// Bytes of the table of LCS: 128M cells, some 11,000 by 11,000 bytes, a third of a second. Past it: LCS is refused.
pub const LCS_TABLE_BYTES_MAX: usize = 512 << 20;

/// Directory cells of an empty index: a power of two, 32 bytes. Grows by doubling (a copy of 4 bytes a cell).
pub const DIRECTORY_CELLS_MIN: usize = 8;

/// Directory cells a segment must cover to be split two to three; with fewer the directory doubles first.
pub const SPLIT_CELLS_MIN: u32 = 5;

/// Directory cells per segment, on average, beyond which the directory no longer doubles (usual: 4 to 16). Only
/// a broken hash gets here. At the limit: the crowded segment's table grows past `SEGMENT_BUCKETS_MAX` instead.
pub const DIRECTORY_CELLS_PER_SEGMENT_MAX: usize = 64;

/// Bits of a deadline that one level of the timing wheel resolves: 64 slots, one machine word of occupancy.
pub const WHEEL_SLOT_BITS: u32 = 6;

/// Levels of the timing wheel: at one millisecond a tick, enough for every `u64`, so no deadline is clamped.
pub const WHEEL_LEVELS: usize = 11;

/// Nodes of one page of the timing wheel (24 bytes each, so 24 KiB): only shards with TTLs pay for it.
/// At its end: another page is allocated.
pub const WHEEL_PAGE_NODES: usize = 1024;

/// Items one insert may evict: keeps an insert under some 100 µs when the budget shrank or a large value came.
/// At the limit: the insert succeeds, and what is still over the budget is a debt that `Shard::work` pays off.
pub const EVICTIONS_PER_INSERT_MAX: u32 = 128;

/// Percent of the budget that items on probation may have under S3-FIFO: a tenth, as its authors found best, and so do we.
pub const PROBATION_PERCENT: u128 = 10;

/// Accesses after which an item on probation stays; an item that costs `PROBATION_LARGE_FACTOR` times the mean or more
/// needs `PROBATION_ACCESSES_LARGE`, one below the mean divided by `PROBATION_SMALL_DIVISOR` none: it takes little room
/// from others. Found on a trace with sizes (5, 3 and 3 points of hit ratio at 1, 5 and 10 % of its bytes), and on others
/// with sizes drawn.
pub const PROBATION_ACCESSES: u8 = 2;
/// See `PROBATION_ACCESSES`.
pub const PROBATION_ACCESSES_LARGE: u8 = 3;
/// See `PROBATION_ACCESSES`.
pub const PROBATION_LARGE_FACTOR: u64 = 2;
/// See `PROBATION_ACCESSES`.
pub const PROBATION_SMALL_DIVISOR: u64 = 2;

/// An item that costs so many times the mean pays two accesses for another round through the main queue, not one.
pub const MAIN_LARGE_FACTOR: u64 = 2;
/// An item that costs so many times the mean pays three accesses for another round.
pub const MAIN_LARGER_FACTOR: u64 = 8;

/// An item that costs so many times the mean does not enter the main queue for its ghost's sake.
pub const GHOST_SIZE_FACTOR_MAX: u64 = 4;

/// Bits of an entry that count accesses: the most that S3-FIFO counts is 3.
pub const FREQUENCY_BITS: u32 = 2;
/// Accesses that are counted; further ones are not.
pub const FREQUENCY_MAX: u8 = (1 << FREQUENCY_BITS) - 1;

/// Items that move before a victim is found. At it: what is at the end of its queue goes, however often it was accessed.
/// Under S3-FIFO a victim is found after one or two moves, on average over all traces; this bounds an insertion.
pub const POLICY_MOVES_PER_VICTIM_MAX: u32 = 128;

/// Ghosts for a hundred items: nine of ten, as S3-FIFO's authors have it, and 1.8 bytes an item.
pub const GHOSTS_PERCENT: usize = 90;

/// Fingerprints of one bucket of ghosts: 16 bytes, a quarter of a cache line. At it: the oldest goes.
pub const GHOST_WAYS: usize = 8;

/// Percent by which the table of ghosts may be too small or too large for the items that are there. Past it: another.
pub const GHOST_RESIZE_PERCENT: usize = 25;

/// Items of a shard that are in the sample by which it estimates the hit ratio of other budgets, about: the estimate is
/// within a point or two of the truth. With more items the share of them that is sampled is smaller.
pub const ESTIMATE_ITEMS: u64 = 256;

/// Binary digits by which the sample is smaller than all keys, at least: one key in 16. A shard of fewer than 4096 items
/// has a less exact estimate, rather than one that every command pays for: with one key in four, a SET that evicts took a
/// sixth longer.
pub const ESTIMATE_RATE_SHIFT_MIN: u32 = 4;

/// Items of the larger cache in miniature. Past it, since items have become smaller or the budget larger: the estimate
/// begins anew with a smaller sample.
pub const ESTIMATE_ITEMS_KEPT_MAX: u64 = 8 * ESTIMATE_ITEMS;

/// Milliseconds before its deadline from which an item that is not in demand goes before others, whatever their order.
pub const EVICT_EXPIRING_MS: u64 = 1000;

/// Accesses from which an item is in demand until its deadline.
pub const EVICT_EXPIRING_ACCESSES: u8 = 2;

const _: () = assert!(PROBATION_ACCESSES_LARGE <= FREQUENCY_MAX, "more is never counted");
const _: () = assert!(PROBATION_PERCENT < 100 && GHOST_WAYS > 0);

/// Steps of the timing wheel an insert may take to make room under `Eviction::None` before it is refused.
/// At the limit: `Full`, although expired items may remain; `Shard::work` removes them.
pub const EXPIRY_STEPS_PER_INSERT_MAX: u32 = 128;

/// Random positions `Shard::random_key` probes. At the limit: it takes a key from an end of the recency list.
pub const RANDOM_KEY_PROBES_MAX: u32 = 32;

/// Items of the recency list `Shard::random_key` looks at. At the limit: no key, if all of them were expired.
pub const RANDOM_KEY_WALK_MAX: u32 = 64;

/// Bytes of a freed item that count as one more step of `Shard::work`: returning memory to the kernel costs by
/// the page, and 16 pages take about as long as freeing one small item with cold caches.
pub const FREE_STEP_BYTES: usize = 64 << 10;

/// Bytes the account charges each item for its place in the index: tables at 5 bytes a bucket, from 1/3 to 7/8
/// full, plus the allocator's rounding of them. Measured over a million items.
pub const ITEM_INDEX_BYTES: u64 = 9;

/// Bytes the account charges each item for its slab entry; `shard/entry.rs` asserts that it is the real size.
pub const ITEM_ENTRY_BYTES: u64 = 24;

/// Bytes the account charges an item with a TTL for its wheel node; `shard/wheel.rs` asserts the real size.
pub const ITEM_TIMER_BYTES: u64 = 24;

/// Bytes from which the account takes allocations to be rounded to whole memory pages, not to size classes:
/// beyond it allocators may reserve more, but pages never written cost nothing.
pub const ALLOCATION_PAGED_BYTES: usize = 16 << 10;

/// Tables that a shard's tracked keys are spread over, so that none rehashes more than some thousand keys at once: 4096
/// each at the default bound. 8 KiB a shard, once a client tracks. Past it: they grow further.
pub const TRACKING_TABLES: usize = 256;

/// Keys of the whole process that tracking clients may hold without anybody being forgotten, as in Redis. At it: a read
/// of another key makes the copies of some key stale.
pub const TRACKED_KEYS_MAX_DEFAULT: u64 = 1_000_000;

/// Pairs of a key and a client that are remembered for each key of that bound, on average: a thousand clients that
/// share 16,000 keys. Past it: as past the bound of keys.
pub const TRACKED_CLIENTS_PER_KEY: u64 = 16;

/// Remembered keys of one core at least, whatever the bound of the process is: so many more there may be.
pub const TRACKED_KEYS_OF_A_CORE_MIN: u64 = 1;

/// Keys one read may forget to make room: one for itself, one for a bound that has shrunk. What is over the bound then is
/// paid by `Shard::work`.
pub const TRACKED_EVICTIONS_PER_READ: u32 = 2;

const _: () = assert!(SLAB_PAGE_ENTRIES.is_power_of_two());
const _: () = assert!(TRACKING_TABLES.is_power_of_two());
const _: () = assert!(SEGMENT_PAGE_TABLES.is_power_of_two());
const _: () = assert!(WHEEL_PAGE_NODES.is_power_of_two());
const _: () = assert!(DIRECTORY_CELLS_MIN.is_power_of_two());
const _: () = assert!(DIRECTORY_CELLS_MIN >= SPLIT_CELLS_MIN as usize);
const _: () = assert!(SEGMENT_SPLIT_ENTRIES_MIN < SEGMENT_ENTRIES_MAX);
const _: () = assert!(WHEEL_LEVELS as u32 * WHEEL_SLOT_BITS >= u64::BITS);
const _: () = assert!(KEY_BYTES_MAX + VALUE_BYTES_MAX + 4 < isize::MAX as usize);
const _: () = assert!(VALUE_BYTES_MAX <= u32::MAX as usize);

// ---- command line and host checks -------------------------------------------------------------

/// TCP port when `--port` is absent: not Redis's, so that both run on one machine. 0 lets the kernel
/// pick.
pub const PORT_DEFAULT: u16 = 5116;

/// Items the whole server keeps when neither `--max-size` nor `--max-memory` is given: a first run
/// on a laptop can't fill its memory. At it: an item goes as `--eviction` says, or, with
/// `none`, writes fail.
pub const ITEMS_MAX_DEFAULT: u64 = 1000;

/// Bytes of waiting replies that CLIENT LIST counts as `obl`, the rest as `omem`: the size of Redis's fixed buffer of a client.
pub const FIXED_OUTPUT_BYTES: usize = 16 * 1024;

/// Bytes of `--max-memory` a core at least: some hundred small items. Less is taken for a size whose unit was forgotten: the
/// start is refused.
pub const CORE_MEMORY_BYTES_MIN: u64 = 16 * 1024;

/// Clients connected at once when `--maxclients` is absent, as in Redis. Past it a connection gets
/// Redis's error text and is closed. Lowered at start, with a warning, where the descriptor limit
/// is smaller.
pub const MAXCLIENTS_DEFAULT: u32 = 10_000;

/// Seconds a client may be idle before it is closed when `--timeout` is absent. 0 is never, as in
/// Redis.
pub const IDLE_TIMEOUT_S_DEFAULT: u64 = 0;

/// Seconds of silence after which the kernel asks a peer whether it is still there, when `--tcp-keepalive` is absent: 300,
/// Redis's. Three questions, a third of it apart; without an answer the connection ends. 0: nobody is asked.
pub const TCP_KEEPALIVE_S_DEFAULT: u64 = 300;

/// Largest `--tcp-keepalive`, seconds: what Linux takes, nine hours. Past it: a usage error.
pub const TCP_KEEPALIVE_S_MAX: u64 = 32_767;

/// Questions of keepalive without an answer after which a connection ends: 3, as Redis.
pub const TCP_KEEPALIVE_PROBES: u32 = 3;

/// Milliseconds for which what was sent may at least stay without an acknowledgement, or a peer's window closed: two minutes,
/// twice what a client may leave replies unread for. Where keepalive asks for longer, as long as that, since the kernel then
/// ends a silent connection by this time too; without it the kernel would try for a quarter of an hour. Past it: the
/// connection ends.
pub const TCP_USER_TIMEOUT_MS_MIN: u32 = 120_000;

/// Largest `--timeout`, seconds (136 years): in milliseconds it still adds to any clock reading
/// without overflow. Past it: a usage error.
pub const IDLE_TIMEOUT_S_MAX: u64 = u32::MAX as u64;

/// Largest `--spin`, microseconds (one second). Longer is a busy loop under another name. Past it: a usage error.
pub const SPIN_US_MAX: u64 = 1_000_000;

/// Microseconds for which a core that spins by its own decision looks for more before it naps: twice a lone client's
/// turn on a slow virtual machine. At it: the core naps.
pub const SPIN_AUTO_US: u64 = 50;

/// Microseconds after which a core judges anew whether spinning pays. Long enough for a hundred requests of a lone client,
/// short enough that a trial in vain harms nobody. At it: the core reads its CPU time.
pub const SPIN_WINDOW_US: u64 = 5000;

/// Naps in a window from which spinning may pay: one in 250 us. Below: no trial.
pub const SPIN_NAPS_MIN: u32 = 20;

/// Commands in a window from which their cost says something. Below: the core naps.
pub const SPIN_WORK_MIN: u64 = 20;

/// What a command may cost a core that spins, in percent of what it costs when it naps. Past it: the core naps.
pub const SPIN_COST_PERCENT_MAX: u64 = 105;

/// Microseconds between two looks of a core that spins from which somebody else had its CPU: many times what an interrupt
/// takes. At it: the window counts as bad.
pub const SPIN_GAP_US: u64 = 200;

/// Bad windows at which a core stops spinning: each counts two, each good one takes one off.
pub const SPIN_BAD_MAX: u32 = 4;

/// Windows of spinning after which napping is measured again: a third of a second. At it: the core naps for two windows.
pub const SPIN_TERM_WINDOWS: u32 = 64;

/// Windows of napping after a trial in vain: first 40 ms, doubled by each that follows, up to 2.5 s. At it: another trial.
pub const SPIN_PAUSE_WINDOWS_MIN: u32 = 8;

/// The longest pause between trials, in windows.
pub const SPIN_PAUSE_WINDOWS_MAX: u32 = 512;

/// CPUs the affinity mask can name: the largest `NR_CPUS` Linux is built with. A higher number in
/// `--cpus` is a usage error, so that `0-99999999999` is refused before it is listed.
pub const CPUS_MAX: usize = 8192;

/// Bytes of an auth key, as in Redis. Every compare costs this much, whatever the key. Longer:
/// refuse to start.
pub const AUTHKEY_BYTES_MAX: usize = 512;

/// Bytes of a Unix socket's path: `sun_path` has 108 and the last is NUL. Longer: refuse to start.
pub const UNIX_PATH_BYTES_MAX: usize = 107;

/// Bytes of a configuration file that are read: 1 MiB, for some thirty settings. What is beyond is not seen.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// The pid file of a daemon that runs as root, and the file of another user's in `$XDG_RUNTIME_DIR`.
pub const PID_FILE_DEFAULT: &str = "/run/aspine/aspine.pid";

/// The name of the pid file in `$XDG_RUNTIME_DIR`. Without the variable a daemon needs `--pid-file`.
pub const PID_FILE_NAME: &str = "aspine.pid";

/// Log lines that wait for the log's thread; a core never waits for the log. 8192 lines of 100
/// bytes are under 1 MiB. When full: further lines are dropped, counted, and the count is logged
/// once there is room.
pub const LOG_QUEUE_LINES_MAX: usize = 8192;

/// Oldest kernel whose io_uring has what glommio asks for. Older: refuse to start.
pub const KERNEL_MIN: (u32, u32) = (5, 8);

/// Oldest kernel whose io_uring a core can have for its own. Older: the cores use epoll.
pub const KERNEL_OWN_RING_MIN: (u32, u32) = (6, 1);

/// io_uring instances glommio creates per core: main, latency and poll.
pub const RINGS_PER_CORE: u64 = 3;

/// Submission entries of each ring, glommio's default. When full, glommio submits and goes on.
pub const RING_DEPTH: u64 = 128;

/// Bytes of glommio's `io_memory` per core, its smallest. We read and write sockets and buffered
/// files, which do not use it; each of a core's rings registers it and so charges it to
/// RLIMIT_MEMLOCK.
pub const IO_MEMORY_BYTES: u64 = 64 * 1024;

/// Bytes of soft RLIMIT_MEMLOCK below which glommio refuses to build an executor, whoever runs it.
pub const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;

/// Bytes of a host name, DNS's. Past it: the command line is refused.
pub const HOST_NAME_BYTES_MAX: usize = 253;

/// Descriptors of the process that no client gets, as in Redis: standard streams, log file,
/// signals, snapshots.
pub const FDS_RESERVED: u64 = 32;

/// Descriptors of one core that no client gets: its rings, eventfds, listeners (TCP, Unix, core
/// port), epoll, and as many again to spare.
pub const FDS_PER_CORE: u64 = 16;

/// Commands whose times one core turns into buckets in one turn, for a page of metrics. Each takes a few microseconds: so a turn
/// stays well below a slice.
pub const METRICS_STEP_COMMANDS: usize = 8;

/// Percent of `--max-memory` that resident memory may be above it, in the reckoning of `aspine doctor`: freed items whose pages
/// the allocator keeps for the next. An estimate on the safe side, which only chooses between a warning and none.
pub const MEMORY_OVERHEAD_PERCENT: u64 = 15;

/// Bytes of resident memory besides items: histograms, buffers of some thousand clients, the program. Likewise.
pub const MEMORY_BESIDES_BYTES: u64 = 64 * 1024 * 1024;

/// CPUs of a machine that is small to `aspine doctor`: that the cores take all of them is no warning then.
pub const SMALL_MACHINE_CPUS: usize = 2;

const _: () = assert!(FDS_PER_CORE >= 2 * (RINGS_PER_CORE + 5), "rings, two eventfds, three listeners, twice over");
const _: () = assert!(IO_MEMORY_BYTES >= 64 * 1024, "glommio raises less to 64 KiB");
const _: () =
    assert!(RINGS_PER_CORE * IO_MEMORY_BYTES <= MEMLOCK_BYTES_MIN, "one core fits what glommio demands anyway");
const _: () = assert!(MAXCLIENTS_DEFAULT > 0, "a server without clients serves no one");
const _: () = assert!(TCP_KEEPALIVE_S_DEFAULT <= TCP_KEEPALIVE_S_MAX);
const _: () = assert!(2 * TCP_KEEPALIVE_S_MAX * 1000 <= u32::MAX as u64, "all questions fit a user timeout");
const _: () = assert!(
    TCP_USER_TIMEOUT_MS_MIN as u64 > CLIENT_STALL_MS_MAX,
    "a client that does not read is cut off by us, counted and logged"
);
const _: () = assert!(IDLE_TIMEOUT_S_MAX < u64::MAX / 1000, "seconds become milliseconds without overflow");

// ---- persist ----

/// Bytes to which everything in a snapshot is aligned: what direct I/O asks for on any disk that is sold.
pub const SNAPSHOT_ALIGN_BYTES: usize = 4096;

/// Bytes of a full block of a snapshot: large enough that a disk is busy with it, small enough that a core fills it in
/// some hundred µs and that a few of them are no memory to speak of. At it: the next block.
pub const SNAPSHOT_BLOCK_BYTES: usize = 1024 * 1024;

/// Bytes of a snapshot's name: half of what file systems take. Past it: refused.
pub const SNAPSHOT_NAME_BYTES_MAX: usize = 128;

/// The file of a snapshot that nobody names.
pub const SNAPSHOT_NAME_DEFAULT: &str = "dump.aspine";

/// Blocks of its walk that a core has under way, and that it fills meanwhile: enough that the disk never waits. At it: the
/// walk waits.
pub const SNAPSHOT_BLOCKS_AHEAD: usize = 4;

/// Blocks under way of a core, those included that had to be filled since their items changed: twice the longest value.
/// Past it the disk is too slow for what changes, and the snapshot is given up, rather than the memory.
pub const SNAPSHOT_BLOCKS_PENDING_MAX: usize = 2 * VALUE_BYTES_MAX / SNAPSHOT_BLOCK_BYTES;

/// Items that a walk looks at in one turn: some 40 µs with cold caches, which is what a command may wait for it.
pub const SNAPSHOT_STEP_ITEMS: usize = 128;

/// Bytes that a walk copies in one turn: some 20 µs.
pub const SNAPSHOT_STEP_BYTES: usize = 64 * 1024;

/// Bytes of records that a core is sent at once while a snapshot is loaded. One record may pass it alone.
pub const LOAD_CHUNK_BYTES: usize = 256 * 1024;

/// Chunks of records that wait for a core. At it: reading waits.
pub const LOAD_CHUNKS_AHEAD: usize = 4;

/// Seconds between snapshots that nobody asks for, unless told otherwise: a crash loses no more than that.
pub const SNAPSHOT_INTERVAL_S_DEFAULT: u64 = 60;

/// Milliseconds without work after which the thread of the files gives unused memory back to the kernel: long enough that what
/// is used again at once stays, short enough that nobody wonders where the memory is. While a snapshot is written: later.
pub const UNUSED_PAGES_KEPT_MS: u64 = 1000;

/// Where snapshots are unless told otherwise, in the directory in which the server is started.
pub const DATA_DIR_DEFAULT: &str = "aspine-data";

/// Milliseconds between two looks at the progress of a snapshot that somebody waits for at a terminal.
pub const PROGRESS_MS: u64 = 200;

const _: () =
    assert!(SNAPSHOT_BLOCK_BYTES.is_multiple_of(SNAPSHOT_ALIGN_BYTES), "full blocks have no zeros at their end");

// ---- command ----

/// Bytes of a glob pattern: 128 KiB, some 200 µs to compile; no name that is looked for is as long. Past it: the pattern
/// matches nothing.
pub const GLOB_PATTERN_BYTES_MAX: usize = 128 * 1024;

/// Classes (`[a-c]`) of one glob pattern, of more than one byte each, not counting one that is the same as the one before:
/// 256, 8 KiB. Past it: the pattern matches nothing.
pub const GLOB_CLASSES_MAX: usize = 256;

/// Bytes that are skipped in search of one byte for the price of one byte that is compared.
pub const GLOB_STEP_SKIPPED_BYTES: usize = 64;

/// Bytes that one match of a pattern with a key compares at most, some 300 µs: enough to find a word in the longest key.
/// Past it: the key counts as one that does not match.
pub const GLOB_STEPS_MAX: u64 = 300_000;

/// The same for a pattern of PSUBSCRIBE and a channel, since a message is compared with all of them at once: some 4 µs.
/// What people subscribe to takes ten or twenty.
pub const GLOB_CHANNEL_STEPS_MAX: u64 = 4096;

/// Bytes that a slice of KEYS or PUBSUB CHANNELS, between two looks at the clock, or a SCAN compares and copies: some 20 µs and 200 µs. The
/// key that passes it is the last. A SCAN then gives its cursor earlier.
pub const SLICE_MATCH_STEPS: u64 = 16 * 1024;
/// See `SLICE_MATCH_STEPS`.
pub const SCAN_MATCH_STEPS_MAX: u64 = 160 * 1024;

/// Bytes that SCAN and messages compare with patterns in one turn, some 200 µs, before whatever else there is to run on the
/// shard waits for the next turn. One command may pass it.
pub const TURN_MATCH_STEPS_MAX: u64 = SCAN_MATCH_STEPS_MAX;

const _: () = assert!(GLOB_CLASSES_MAX <= 1 << u8::BITS, "a class has a number of one byte");
const _: () = assert!(GLOB_STEPS_MAX > (KEY_BYTES_MAX / GLOB_STEP_SKIPPED_BYTES) as u64, "the longest key is searched");
const _: () = assert!(GLOB_PATTERN_BYTES_MAX as u64 <= GLOB_STEPS_MAX, "a key of its own is found");

/// Entries one SCAN walks when it gives no COUNT: Redis's 10.
pub const SCAN_COUNT_DEFAULT: u32 = 10;

/// Entries one SCAN walks at most, whatever its COUNT: some 200 µs with cold caches. Past it: the client gets the
/// cursor earlier, as SCAN allows.
pub const SCAN_STEPS_MAX: u32 = 2000;

/// Bytes of the longest value that OBJECT ENCODING calls `embstr`: what Redis fits into 64 bytes with its object.
/// Past it: `raw`.
pub const EMBEDDED_STRING_BYTES_MAX: usize = 44;

/// Bytes from which a text is no number for INCRBYFLOAT: Redis's `MAX_LONG_DOUBLE_CHARS`; the longest sum has 4933
/// digits before its point. At it: "not a valid float".
pub const FLOAT_TEXT_BYTES_MAX: usize = 5 * 1024;

/// Decimal places INCRBYFLOAT rounds to, as in Redis: nearly all that 64 bits of mantissa can tell around 1.
pub const FLOAT_DECIMALS: usize = 17;

// ---- engine ----

/// Nanoseconds for which the server looks at the processor's counter at its start, to know its rate: with readings that are
/// some 50 ns apart from the clock's, to a ten-thousandth.
pub const STOPWATCH_CALIBRATION_NS: u64 = 1_000_000;

/// Looks at counter and clock of which the shortest counts, so that an interruption does not.
pub const STOPWATCH_SAMPLES: usize = 8;

/// Nanoseconds of a command that its histogram tells apart: a second, as in Redis. Longer ones count as that.
pub const COMMAND_NS_MAX: u64 = 1_000_000_000;

/// Microseconds from which on a command is in the slow log, at the start: Redis's 10 ms.
pub const SLOWLOG_US_DEFAULT: i64 = 10_000;

/// Entries of the slow log at the start, as in Redis. At it: the oldest leaves.
pub const SLOWLOG_LEN_DEFAULT: u64 = 128;

/// Words of a command line that the slow log keeps, as in Redis. Past it: the last says how many are missing.
pub const SLOWLOG_ARGS_MAX: usize = 32;

/// Bytes of a word that the slow log keeps, as in Redis. Past it: its end says how many are missing.
pub const SLOWLOG_ARG_BYTES_MAX: usize = 128;

/// Keys HOTKEYS GET tells of at most: Redis's 64.
pub const HOTKEYS_MAX: usize = 64;

/// Keys HOTKEYS GET tells of without a COUNT: Redis's 10.
pub const HOTKEYS_DEFAULT: usize = 10;
const _: () = assert!(HOTKEYS_DEFAULT <= HOTKEYS_MAX);

/// Seconds that HOTKEYS tracks at most with a DURATION, as in Redis.
pub const HOTKEYS_DURATION_S_MAX: i64 = 1_000_000;

/// Counters of a core for the CPU time of keys, and as many for their bytes, while HOTKEYS tracks. A key with more than one
/// part in so many is found for certain.
pub const HOTKEYS_COUNTERS: usize = 1024;
const _: () = assert!(HOTKEYS_COUNTERS >= 8 * HOTKEYS_MAX, "the keys that are told of are well apart from the rest");

/// Bytes of a key up to which HOTKEYS tracks it: with as many counters, 8 MiB a core and metric at most.
pub const HOTKEYS_KEY_BYTES_MAX: usize = 8192;

/// Entries SLOWLOG GET returns without a count: Redis's 10.
pub const SLOWLOG_GET_DEFAULT: i64 = 10;

/// Bytes of items below which MEMORY DOCTOR says nothing, as in Redis: the process itself is most of the memory then.
pub const MEMORY_DOCTOR_BYTES_MIN: u64 = 5 << 20;

/// Milliseconds between two samples of how fast counters grow, as in Redis.
pub const RATE_SAMPLE_MS: u64 = 100;

/// Samples that INFO's `instantaneous_` fields are the mean of, as in Redis.
pub const RATE_SAMPLES: usize = 16;

/// Samples of a latency event, each of another second: Redis's 160. At it: the oldest leaves.
pub const LATENCY_SAMPLES_MAX: usize = 160;

/// Slots of the key space: Redis Cluster's.
pub const SLOTS: u16 = 16384;

/// Bytes of replies one session may have unsent before no further command of it runs: keeps a deep pipeline busy,
/// and ten thousand stalled clients in some 10 GiB at the very worst. At it: its requests are read on unrun
/// (`READ_AHEAD_BYTES_MAX`) until the replies have left; after `CLIENT_STALL_MS_MAX` without progress it is cut off and
/// counted. One reply may pass it alone, and with several cores so may the replies of the commands that were under way
/// when it was reached (`SESSION_HELD_MAX`).
pub const SESSION_OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// Commands of one session that may wait for other cores. At its window the session waits until all have come back.
/// Nobody knows how long the replies will be, so a session's window begins at `SESSION_HELD_FIRST`, and goes with the
/// length of its replies so far from here down to `SESSION_HELD_MIN`: as many as make `SESSION_HELD_BYTES_MAX`.
pub const SESSION_HELD_MAX: usize = 256;

/// Commands of a new session that may wait for other cores.
pub const SESSION_HELD_FIRST: usize = 32;

/// Commands of a session with long replies that may wait for other cores.
pub const SESSION_HELD_MIN: usize = 4;

/// Bytes of replies that may wait behind commands at other cores. At it: as `SESSION_HELD_MAX`.
pub const SESSION_HELD_BYTES_MAX: usize = SESSION_OUTPUT_BYTES_MAX;

/// Bytes of requests of one session that may go to other cores before it waits until all have come back: a core that runs
/// none, since it publishes more than its peers take (`FANOUT_BYTES_MAX`), keeps no more than this for each of its peers'
/// clients. One request may pass it alone.
pub const SESSION_ASKED_BYTES_MAX: usize = SESSION_OUTPUT_BYTES_MAX;

/// Bytes of finished replies that are sent although later ones of the round still wait for another core. Below it one
/// send carries the whole round.
pub const SESSION_EARLY_SEND_BYTES: usize = 16 * 1024;

/// Channels and patterns one connection may subscribe to, some 100 bytes each. Past it: SUBSCRIBE is refused as a whole.
pub const SESSION_SUBSCRIPTIONS_MAX: usize = 1 << 20;

/// Bytes of their names. Past it: as `SESSION_SUBSCRIPTIONS_MAX`.
pub const SESSION_SUBSCRIPTION_BYTES_MAX: usize = 64 << 20;

/// Subscriptions of a connection that has ended that are taken back at once: some 50 µs. The rest follows in slices.
pub const UNSUBSCRIBE_STEP_NAMES: usize = 256;

/// Bytes of messages that may wait on one core for another to take them: many turns' worth, and little beside a
/// channel of batches. At it: the core that publishes runs no command of its clients, nor of other cores, until the
/// other has taken some, nor does it look for what has expired; publishers then are not read. One slice's key events and
/// one transaction may pass it.
pub const FANOUT_BYTES_MAX: usize = 16 << 20;

/// Bytes of output that may wait for a client that messages are pushed to, as in Redis. At it the client is cut off.
pub const OUTPUT_HARD_BYTES_DEFAULT: u64 = 32 << 20;

/// Bytes of output that may wait for such a client for no longer than `OUTPUT_SOFT_S_DEFAULT`, as in Redis.
pub const OUTPUT_SOFT_BYTES_DEFAULT: u64 = 8 << 20;

/// Patterns of one CONFIG GET, each of which is compared with the name of every setting. Past it: the command is refused.
pub const CONFIG_GET_PATTERNS_MAX: usize = 256;

/// Bytes of a command's arguments that MONITOR shows; past it, how many more there are: a value of hundreds of megabytes
/// is not copied for those who watch.
pub const MONITOR_ARGS_BYTES_MAX: usize = 32 * 1024;

/// Bytes of lines of MONITOR from which a core does not wait for its next tick to send them.
pub const MONITOR_BATCH_BYTES: usize = 64 * 1024;

/// Bytes of lines of MONITOR that one core has waiting for another to take them; past it they are lost, and counted. Of
/// lines that wait to be merged; past it they are not waited for older ones.
pub const MONITOR_LINES_BYTES_MAX: usize = 4 << 20;

/// Milliseconds for which a line of MONITOR waits for a core that may have an older one. A core says at each tick how far it
/// is, so only one that gets no CPU makes a line wait for longer than that, and then the order is worth the wait.
pub const MONITOR_WAIT_MS: u64 = 100 * TICK_MS;

/// Bytes that may wait for a client that watches, below what ends a subscriber. Past it lines are lost, and counted.
pub const MONITOR_OUTPUT_BYTES_MAX: usize = 4 << 20;

/// Bytes of lines that are put into the watchers' outputs at once.
pub const MONITOR_PUSH_BYTES: usize = 16 * 1024;

/// Seconds for which more than `OUTPUT_SOFT_BYTES_DEFAULT` may wait, as in Redis. Later the client is cut off.
pub const OUTPUT_SOFT_S_DEFAULT: u64 = 60;

/// Bytes that one send takes of a long reply, and after which a turn begins no further long reply: some 0.4 ms of the kernel's
/// work, 0.8 at most, which is what another client waits behind replies of megabytes. The rest is sent in the turns that follow. A reply of
/// 8 MiB took 13 % more CPU than whole, with 512 KiB 29 %, with 256 KiB 59 %: its reader is woken more often.
pub const OUTPUT_QUANTUM_BYTES: usize = 1024 * 1024;

/// Bytes to send past which a session waits for its turn among others that have as much (`OUTPUT_QUANTUM_BYTES`).
pub const OUTPUT_LONG_BYTES: usize = 16 * 1024;

/// Sessions to which a turn sends nothing but pushes, unless more wait (`PUSH_TURNS`): some 60 µs of the kernel's work. Then
/// the core looks for what was asked meanwhile; what is pushed by that leaves with the rest. From 1 publisher to 100
/// subscribers all at once took 5.1 µs of CPU a delivery, 32 at a time 3.8, 16 at a time 2.3; with a pipeline of 16 they took
/// 0.34, 0.26 and 0.18.
pub const PUSH_SENDS_MIN: usize = 16;

/// Turns in which a push to however many sessions has left to all of them, but for the last few.
pub const PUSH_TURNS: usize = 8;

/// Bytes of output below which a push (a message, an invalidation) is copied to each session that gets it; twice the
/// usual buffer still is one that is kept. At it the client lags, and pushes wait in memory that sessions share.
pub const PUSH_COPIED_BYTES_MAX: usize = BUFFER_KEPT_BYTES_MAX / 2;

/// Milliseconds a client may leave replies unread, or a request half sent, without any progress. Longer than any
/// retransmission that succeeds; at it the client is cut off, counted and logged.
pub const CLIENT_STALL_MS_MAX: u64 = 60_000;

/// Bytes of requests of one session that are read, and not run, while its client leaves replies unread: as many as one
/// request may have, since one that writes a whole pipeline before it reads must not wait for ever. Past it: its socket is
/// not read until replies have left. Before authentication nothing is read ahead.
pub const READ_AHEAD_BYTES_MAX: usize = COMMAND_BYTES_MAX as usize;

/// Bytes of a piece of them: a few hundred to two thousand requests, which are run at a time, in turn with other clients.
pub const READ_AHEAD_PIECE_BYTES: usize = 64 * 1024;

/// Bytes reserved at once for an announced argument, whatever its announced length: memory follows what has arrived.
pub const INPUT_RESERVE_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of an input or output buffer that is kept for reuse. Larger ones are given back to the allocator.
pub const BUFFER_KEPT_BYTES_MAX: usize = 64 * 1024;

/// Buffers a core keeps for reuse. Beyond it they are freed.
pub const BUFFERS_KEPT_MAX: usize = 256;

/// Buffers of letters that a core keeps for reuse: as many as it may fill in a few turns. Further ones are freed.
pub const LETTERS_KEPT_MAX: usize = 16;

/// Bytes of commands in one batch from which it is sealed before the turn ends, so that a flood of large values does
/// not wait as one.
pub const BATCH_BYTES_SEAL: usize = 256 * 1024;

/// Batches a channel between two cores holds. A turn makes one or two per peer, so it fills only when the peer is
/// hundreds of turns behind; then batches wait in the sender's outbox, bounded by what its sessions may have waiting.
pub const CHANNEL_BATCHES: usize = 512;

/// Bytes of the commands between MULTI and EXEC: 1 GiB, as of one request; their offsets are u32. Past it: the command
/// is refused, and so will be EXEC.
pub const MULTI_BYTES_MAX: usize = COMMAND_BYTES_MAX as usize;

/// Milliseconds a transaction waits for the shards it needs. At it: it gives up what it holds and is refused; nothing
/// of it has run.
pub const HOLD_WAIT_MS_MAX: u64 = 1_000;

/// Replies that name all cores, which a core keeps encoded: of four commands in two protocols for two hosts. Past it: the
/// oldest makes room, so that whoever connects to each of a machine's addresses in turn only has them encoded again.
pub const TOPOLOGIES_KEPT_MAX: usize = 16;

/// Steps of sliced work (expiry, eviction debt, freeing, KEYS) between two looks at the clock: some 20 µs.
pub const SLICE_STEPS: u32 = 128;

/// Microseconds of sliced work in one turn: a client notices no more than that of a mass expiry or a FLUSHALL.
pub const SLICE_US: u64 = 200;

/// Milliseconds between ticks: expiry in the background, budget exchange, stalled clients.
pub const TICK_MS: u64 = 10;

/// The newest version of Redis's RDB format whose strings are read: that of Redis 7.4 and 8.
pub const RDB_VERSION_MAX: u16 = 12;

/// The oldest version of a dump file that is read: that of Redis 2.6 to 3.0.
pub const RDB_VERSION_MIN: u16 = 6;

/// Items with a deadline that are compared where only such may be evicted; Redis compares 5 (`maxmemory-samples`).
pub const VOLATILE_SAMPLES: usize = 16;

/// Bytes of a dump file that are read at once.
pub const RDB_READ_BYTES: usize = 256 * 1024;

/// Bytes of commands that `aspine import` sends at once.
pub const IMPORT_WRITE_BYTES: usize = 64 * 1024;

/// Keys that `aspine import --from` has under way: asked for by one SCAN, and their values and times by one pipeline.
pub const IMPORT_KEYS: usize = 1000;

/// What LZF can make of a byte at most: three bytes stand for 264. More is promised by damaged payloads alone.
pub const LZF_RATIO_MAX: usize = 88;

/// Ticks a second of a busy core: Redis's `hz`.
pub const TICKS_PER_S: u64 = 1000 / TICK_MS;

/// Milliseconds between ticks of a core that had nothing to do since the last: an idle server takes no CPU to speak of.
pub const TICK_IDLE_MS: u64 = 100;

/// Milliseconds that count as passed between two ticks, at most, for idle clients, stalls and delays. So neither a step
/// of the clock nor a server that was stopped for a while cuts off clients that did nothing wrong, or makes a transaction
/// give up that has only just begun.
pub const TICK_COUNTED_MS_MAX: u64 = 250;

/// Sessions that one slice looks at on behalf of CLIENT LIST, CLIENT KILL, SIGTERM, delays that are over, and what is
/// told to all who track: some 50 µs. The rest follows in further slices.
pub const SESSIONS_STEP: usize = 256;

/// Things that one turn can have the log hear. Past it they are only counted.
pub const NOTICES_MAX: usize = 64;

/// Bytes of a command's name, and of all its arguments, that an error text quotes, as Redis does.
pub const ERROR_QUOTE_BYTES_MAX: usize = 128;

/// Sessions one tick looks at for idleness and stalls: ten thousand are through in some three seconds.
pub const TICK_SESSIONS_MAX: usize = 32;

/// Milliseconds by which the first wrong auth key delays its refusal; doubled by each further failure on this core.
pub const AUTH_DELAY_MS_FIRST: u64 = 20;

/// Milliseconds of that delay at most: 5 guesses a second and connection are slow enough for any decent key.
pub const AUTH_DELAY_MS_MAX: u64 = 2_000;

/// Failures of one session that are answered at once: people mistype.
pub const AUTH_FAILURES_FREE: u32 = 2;

/// Failed authentications of one session after which it is closed.
pub const AUTH_FAILURES_MAX: u32 = 16;

// ---- runtime ----

/// Bytes of one socket read: some 350 small SETs, so that a round over a deep pipeline stays below half a
/// millisecond; one buffer a core, whatever the number of connections.
pub const READ_BUFFER_BYTES: usize = 16 * 1024;

/// Microseconds of socket events in one turn. At it: the sockets that are left wait for the next turn, after batches,
/// sends and sliced work have had theirs.
pub const TURN_EVENTS_US: u64 = 500;

/// Microseconds that a core which gave way before a nap may be gone for nothing. Clients are done in less, and a time slice
/// is longer: with ticks of 4 ms, of 1,700 absences beside a busy neighbour 550 took 2 to 8 ms, beside a client at full
/// load 10 of 10,000. Past it: the absence costs credit.
pub const GIVE_WAY_US_MAX: u64 = 2000;

/// Microseconds of credit that a short absence earns: about what it saves, the nap and the wake-up.
pub const GIVE_WAY_GAIN_US: u64 = 20;

/// Microseconds of credit that a core keeps at most: one time slice, or two short ones. A neighbour who never rests costs a
/// core that had a good past this long once.
pub const GIVE_WAY_CREDIT_US_MAX: u64 = 4000;

/// Milliseconds for which a core without credit does not give way, at first: it loses a time slice at most once in so long.
pub const GIVE_WAY_PAUSE_MS: u64 = 100;

/// Milliseconds of the longest such pause, to which they double while nothing is earned.
pub const GIVE_WAY_PAUSE_MS_MAX: u64 = 800;

/// Ready sockets one turn handles. More wait for the next turn, after batches and ticks have had theirs.
pub const TURN_EVENTS_MAX: usize = 128;

/// Connections one turn accepts: a flood of connections does not starve those that are there.
pub const TURN_ACCEPTS_MAX: usize = 64;

/// Backlog of a listening socket, entries; the kernel lowers it to `net.core.somaxconn`.
pub const LISTEN_BACKLOG: i32 = 4096;

/// Requests that a core's own ring takes before it has to be entered: more than a turn makes, but for a message to very
/// many clients. At it: the ring is entered.
pub const RING_REQUESTS: u32 = 512;

/// Completions that a core's own ring holds. At it: the kernel keeps the rest until there is room.
pub const RING_COMPLETIONS: u32 = 4096;

/// Buffers of `READ_BUFFER_BYTES` that a core receives into: 1 MiB, which fits the cache (512 of them cost 100 ns a
/// request), and more than one entry of the ring fills. At it: clients are received from when some are given back.
pub const RING_BUFFERS: usize = 64;

/// Bytes that an argument lacks from which a core reads it straight into its session: a copy less, for two requests more.
/// Below: by way of the ring's buffers.
pub const RING_STRAIGHT_BYTES_MIN: usize = 32 * 1024;

/// Sockets in a ring's table of files, for 8 bytes each, whether there or not. Past it: requests name their descriptors, for
/// some 50 ns each.
pub const RING_FILES_MAX: u32 = 16_384;

/// Milliseconds without accepting after the process ran out of descriptors.
pub const ACCEPT_PAUSE_MS: u64 = 50;

/// Seconds after SIGTERM in which commands that were read are finished and replies delivered: `--drain-timeout` unless
/// given; within what container runtimes wait (10 s) before they kill. At it: what is left is cut off, and the server
/// still exits with 0.
pub const DRAIN_TIMEOUT_S_DEFAULT: u64 = 5;

/// Seconds `--drain-timeout` may say: a day; whoever waits longer means for ever, which no manager of services does.
/// Past it: refused.
pub const DRAIN_TIMEOUT_S_MAX: u64 = 86_400;

/// Seconds `aspine stop` waits for the server's end unless told otherwise: the drain, and the last snapshot of some
/// gigabytes. At it: an error, or with `--force` SIGKILL.
pub const STOP_TIMEOUT_S_DEFAULT: u64 = 60;

/// Seconds `aspine stop --timeout` may say: a day. Past it: refused.
pub const STOP_TIMEOUT_S_MAX: u64 = 86_400;

/// Seconds that `aspine ping`, `info`, `clear` and their like wait for a connection, and for an answer, unless told
/// otherwise: no server that is well takes a second. At it: an error with an exit code of its own.
pub const COMMAND_TIMEOUT_S_DEFAULT: u64 = 10;

/// Seconds `--timeout` of those, or `aspine info --watch=SECONDS`, may say: a day. Past it: refused.
pub const COMMAND_TIMEOUT_S_MAX: u64 = 86_400;

/// Seconds a killed process may take to be gone: the kernel gives back its memory, which takes a second for 10 GiB.
/// At it: an error.
pub const KILL_TIMEOUT_S: u64 = 60;

/// Bytes of a pid file: ten digits, more than any pid has, and a line end. A longer file is none, and left alone.
pub const PID_BYTES_MAX: u64 = 11;

/// Reads of one ended connection in one turn, to throw away what its client still sends: with the read buffer, as much
/// as a socket holds. At it: the next turn goes on.
pub const DRAIN_DISCARD_READS_MAX: usize = 16;

/// Seconds between two questions of the supervisor to the cores while the server starts or ends, and the longest between
/// two signs of life to a service manager that waits for them: far below what managers wait (90 s).
pub const NOTIFY_INTERVAL_S: u64 = 5;

/// Seconds that the main thread waits for a service manager whose queue is full; cores do not wait. At it: the message is
/// lost, and logged.
pub const NOTIFY_WAIT_S: u64 = 2;

/// Seconds more that a service manager is asked for each time, while a load or the last snapshot gets on: several
/// questions' worth, so that one slow block of a disk is no reason to kill.
pub const NOTIFY_EXTEND_S: u64 = 30;

/// Milliseconds between readings of the process's resident memory.
pub const RSS_INTERVAL_MS: u64 = 1_000;

/// Milliseconds without a tick after which a core may count as hung for the service manager, whose own time may be shorter
/// than that between two ticks of an idle core.
pub const PULSE_MS_MIN: u64 = 2 * TICK_IDLE_MS;

/// Milliseconds without a tick after which a core counts as dead for `/healthz`. Ticks come every `TICK_IDLE_MS` at most and
/// no turn is longer than a hold; a machine that swaps or was paused needs some patience. At it: 503.
pub const SILENT_MS_MAX: u64 = 5_000;

/// Connections to the admin endpoint at once. Whoever watches needs one for a moment; a hundred may come together. When
/// all are taken: the one longest without a request makes room, else the next wait in the kernel's queue.
pub const ADMIN_CONNECTIONS_MAX: usize = 128;

/// Descriptors of the admin endpoint: its connections, its socket, and one file of /proc at a time, with some to spare.
pub const ADMIN_FDS: u64 = ADMIN_CONNECTIONS_MAX as u64 + 8;

/// Bytes of a request's head. Prometheus and probes send 200 to 500, proxies add to that. At it: 431.
pub const ADMIN_HEAD_BYTES_MAX: usize = 8 * 1024;

/// Lines of a request's head. Probes send 5, browsers 20. At it: 431.
pub const ADMIN_HEADERS_MAX: usize = 64;

/// Bytes that may follow a request, a body that nobody reads, before the connection is closed on them.
pub const ADMIN_DISCARD_BYTES_MAX: usize = 64 * 1024;

/// Milliseconds from accepting a connection to its end, Prometheus's own patience with a page. At it: closed.
pub const ADMIN_DEADLINE_MS: u64 = 10_000;

/// Milliseconds a connection to the admin endpoint may take for its request before it has to make room, if others wait.
pub const ADMIN_GRACE_MS: u64 = 200;

/// Milliseconds to wait for the cores' counts, less than a probe's usual second. At it: the page goes without those missing.
pub const ADMIN_GATHER_MS_MAX: u64 = 500;

/// Milliseconds between two looks at all cores. One costs a core a few microseconds for each
/// command that was ever run, so watchers take about a percent of it at most.
pub const ADMIN_GATHER_PAUSE_MS: u64 = 20;

const _: () = assert!(TICK_IDLE_MS + HOLD_WAIT_MS_MAX < SILENT_MS_MAX, "a core that works is not silent");
const _: () = assert!(ADMIN_GRACE_MS < ADMIN_DEADLINE_MS);
const _: () = assert!(SESSION_EARLY_SEND_BYTES <= SESSION_OUTPUT_BYTES_MAX);
const _: () =
    assert!(PUSH_COPIED_BYTES_MAX < SESSION_OUTPUT_BYTES_MAX, "pushes alone do not keep a session from running");
const _: () = assert!(OUTPUT_LONG_BYTES <= OUTPUT_QUANTUM_BYTES);
const _: () = assert!(MONITOR_LINES_BYTES_MAX < FANOUT_BYTES_MAX, "lines alone do not keep a core from publishing");
const _: () = assert!(MONITOR_OUTPUT_BYTES_MAX as u64 <= OUTPUT_SOFT_BYTES_DEFAULT);
const _: () = assert!(READ_BUFFER_BYTES <= BUFFER_KEPT_BYTES_MAX, "a round's leftover fits a kept buffer");
const _: () = assert!(AUTH_DELAY_MS_FIRST <= AUTH_DELAY_MS_MAX);
const _: () = assert!(AUTH_FAILURES_FREE < AUTH_FAILURES_MAX);
const _: () = assert!(NOTIFY_INTERVAL_S < NOTIFY_EXTEND_S);
const _: () = assert!(DRAIN_TIMEOUT_S_DEFAULT <= DRAIN_TIMEOUT_S_MAX);
const _: () = assert!(TICK_MS < TICK_IDLE_MS && TICK_IDLE_MS < CLIENT_STALL_MS_MAX);
const _: () =
    assert!(2 * TICK_IDLE_MS <= TICK_COUNTED_MS_MAX, "the ticks of an idle core count in full, late ones too");
const _: () = assert!(4 * TICK_COUNTED_MS_MAX <= HOLD_WAIT_MS_MAX, "no single tick makes a transaction give up");

// ---- load generator ----

/// Digits of a key, as redis-benchmark writes them. More keys than they can number: a usage error.
pub const BENCH_KEY_DIGITS: usize = 12;

/// Keys of a workload: what `BENCH_KEY_DIGITS` can number. Past it: a usage error.
pub const BENCH_KEYS_MAX: u64 = 1_000_000_000_000;

/// Steepest `zipf:S`: at 10 the second key gets a thousandth already. Past it: a usage error.
pub const BENCH_ZIPF_EXPONENT_MAX: f64 = 10.0;

/// Largest share of a kind in a mix; the shares of all kinds together fit a u64 by far. Past it: a usage error.
pub const BENCH_MIX_WEIGHT_MAX: u32 = 1_000_000;

/// Keys of an `mget` or `mset` whose number is not given.
pub const BENCH_OPERATION_KEYS_DEFAULT: u16 = 10;

/// Keys of one `mget` or `mset`: what applications ask for at most, and a request of 20 KiB. Past it: a usage error.
pub const BENCH_OPERATION_KEYS_MAX: u16 = 1000;

/// Seconds of the longest time to live, ten years; memcached takes no more than 30 days, and longer ones are unix times
/// to it. Past it: a usage error.
pub const BENCH_TTL_S_MAX: u64 = 10 * 365 * 86_400;

/// Places in the pool of random bytes where a value may begin: a few pages, which the cache holds, and so many that a
/// value of the wrong key is taken for the right one in one case of four thousand.
pub const BENCH_VALUE_POOL_STARTS: usize = 4096;

/// Seconds that an `expire` of a mix gives a key when there is no `--ttl`: longer than any run.
pub const BENCH_EXPIRE_S_DEFAULT: u64 = 3600;

/// Bytes of what a server said that a message quotes.
pub const BENCH_EXCERPT_BYTES_MAX: usize = 120;

/// Nanoseconds of the longest latency a histogram tells: an hour. Longer ones count as that.
pub const BENCH_LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// Bytes of one receive of the generator: the replies to a deep pipeline of small values, or a piece of a large one.
pub const BENCH_READ_BYTES: usize = 64 * 1024;

/// Bytes a generator's socket may have unsent before no further request is encoded for it, so that a pipeline of large
/// values does not stand in memory whole. At it: the rest of the pipeline follows as the kernel takes it.
pub const BENCH_UNSENT_BYTES_MAX: usize = 256 * 1024;

/// Ready sockets a lane of the generator takes at once. More are next in turn.
pub const BENCH_EVENTS_MAX: usize = 256;

/// Nanoseconds after which a lane of the generator looks for silent sockets and for the flag that says stop.
pub const BENCH_TICK_NS: u64 = 100_000_000;

/// Nanoseconds after the end in which an open loop may still send what was due before: a second. At it: what is left is
/// reported as unsent.
pub const BENCH_BACKLOG_NS_MAX: u64 = 1_000_000_000;

/// Nanoseconds that replies may take after ctrl-C. At it: the report is printed without them.
pub const BENCH_STOP_NS_MAX: u64 = 500_000_000;

const _: () = assert!(BENCH_TICK_NS < 1_000_000_000, "it is the part of a timeout below a second");

/// Operations under way per connection while keys are stored before a run, at least: fast, and still small requests.
pub const BENCH_LOAD_PIPELINE_MIN: u32 = 64;

/// Nanoseconds between the word to begin and the begin: enough for every lane to hear it.
pub const BENCH_START_NS: u64 = 2_000_000;

/// Nanoseconds between looks at the progress of a run.
pub const BENCH_WATCH_NS: u64 = 100_000_000;

/// Lines of a percentile file for each halving of what is left to 100 %, HdrHistogram's own number.
pub const BENCH_HGRM_TICKS: u32 = 5;

/// Nines of a picture's last percentile: 99.99999 %, for which ten million operations are just enough.
pub const BENCH_PLOT_NINES_MAX: u32 = 7;

/// Pixels of a picture, wide and high: what fits a page of a report.
pub const BENCH_PLOT_PIXELS: (u32, u32) = (960, 540);

/// Connections of a run when `--connections` is absent, as in redis-benchmark.
pub const BENCH_CONNECTIONS_DEFAULT: u32 = 50;

/// Most connections: what ports of one address there are to connect from. Past it: a usage error.
pub const BENCH_CONNECTIONS_MAX: u32 = 65_000;

/// Most operations of a pipeline: a megabyte of GETs. Past it: a usage error.
pub const BENCH_PIPELINE_MAX: u32 = 32_768;

/// Keys of a run when `--keys` is absent: more than any cache of the processor holds, and stored in a second.
pub const BENCH_KEYS_DEFAULT: u64 = 100_000;

/// Highest `--rate`, operations a second: beyond what any machine sends. Past it: a usage error.
pub const BENCH_RATE_MAX: u64 = 1_000_000_000;

/// Seconds of any time that is given to the generator: eleven days. Past it: a usage error.
pub const BENCH_SECONDS_MAX: f64 = 1e6;

/// Nanoseconds a run is measured when neither `--duration` nor `--requests` is given.
pub const BENCH_DURATION_NS_DEFAULT: u64 = 10_000_000_000;

/// Nanoseconds a run that is measured by time warms up if nothing else is said: connections and caches are warm by then.
pub const BENCH_WARMUP_NS_DEFAULT: u64 = 1_000_000_000;

/// Nanoseconds before an operation of an open loop is due in which its lane looks at the clock all the time: what a
/// sleeper may be late by on a virtual machine. Before: it sleeps.
pub const BENCH_SPIN_NS: u64 = 100_000;

/// Seconds of a time to live from which memcached takes it for a unix time: 30 days. Past it: refused.
pub const BENCH_MEMCACHED_TTL_S_MAX: u64 = 30 * 86_400;

/// Ports of `--core-ports`: a core each. Past it: a usage error.
pub const BENCH_CORE_PORTS_MAX: usize = 1024;

const _: () = assert!(BENCH_CORE_PORTS_MAX <= SLOTS as usize);

// ---- client ----

/// Milliseconds a client waits for a reply unless told otherwise: 5 s, as Aspine 2.0's did. Past it: `Error::Timeout`.
pub const CLIENT_TIMEOUT_MS_DEFAULT: u64 = 5_000;

/// Milliseconds a client waits for a connection and its greeting unless told otherwise: 5 s, more than two lost SYNs
/// cost. Past it: `Error::Connection`.
pub const CLIENT_CONNECT_TIMEOUT_MS_DEFAULT: u64 = 5_000;

/// Connections a client keeps to each core unless told otherwise: one, since all tasks that share it share its writes.
pub const CLIENT_CONNECTIONS_PER_CORE_DEFAULT: usize = 1;

/// Bytes a client makes room for before it reads: 16 KiB, some 200 replies of 64 bytes. Less comes as it is; for more
/// the buffer doubles.
pub const CLIENT_READ_BYTES: usize = 16 * 1024;

/// Bytes of a value from which it is handed on in the buffer it was received in: 16 KiB. Smaller ones are copied, so that
/// whoever keeps one does not keep the others that came with it.
pub const CLIENT_SHARED_VALUE_BYTES_MIN: usize = 16 * 1024;

/// Bytes of buffers a client keeps once they are empty: 256 KiB. Larger ones are given back.
pub const CLIENT_BUFFER_BYTES_KEPT_MAX: usize = 256 * 1024;

/// Times a client sends a read again whose connection broke: twice. A server that restarts breaks one, a bad network
/// more. After them: `Error::Connection`.
pub const CLIENT_REPEATS_MAX: u32 = 2;

/// Keys a client asks for in one step of a listing (SCAN's COUNT): 1000, some 100 µs of one core. It takes as many steps
/// as there are thousands of keys.
pub const CLIENT_SCAN_KEYS: i64 = 1000;

/// Ticks in which a client's timeout is counted: 16. One timer a connection counts for all requests on it, so a timeout
/// is kept to within a sixteenth.
pub const CLIENT_TIMEOUT_TICKS: u64 = 16;

/// Ticks without a byte from a server that owes replies, after which a client gives the connection up: two timeouts. What
/// is between may have forgotten the connection and say nothing. Past it: the connection is made anew.
pub const CLIENT_SILENT_TICKS_MAX: u64 = 2 * CLIENT_TIMEOUT_TICKS;

/// Bytes of requests that wait for one connection to take them: 4 MiB, some milliseconds of a fast network. At it: callers
/// wait for room until they are late. One request may pass it.
pub const CLIENT_UNSENT_BYTES_MAX: usize = 4 << 20;

/// Requests that wait for replies of one connection: 65,536, some 8 MB. At it: callers wait for room until they are late.
pub const CLIENT_OUTSTANDING_MAX: usize = 1 << 16;

/// Milliseconds a client waits before it connects again: 5, doubling, each drawn between half and all of it, up to one
/// second: a server that restarts is back in less, and a thousand clients of one that is away cost it 2000 SYN a second.
pub const CLIENT_BACKOFF_MS_MIN: u64 = 5;

/// Milliseconds a client waits before it connects again, at most: see above.
pub const CLIENT_BACKOFF_MS_MAX: u64 = 1000;

/// Messages one subscription of a client keeps for a reader that is slow: 4096. Past them: what comes is dropped and
/// counted, and the stream says so where they are missing.
pub const CLIENT_MESSAGES_KEPT_MAX: usize = 4096;

/// Connections of a client's own, for WATCH and SAVE, that it keeps for the next caller: 4. More are closed after use.
pub const CLIENT_EXCLUSIVE_KEPT_MAX: usize = 4;
