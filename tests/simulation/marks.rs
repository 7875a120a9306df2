//! Marks: how often the rare paths were reached. A simulation that never gets there proves nothing about them.

macro_rules! marks {
    ($($name:ident: $what:literal,)*) => {
        /// Counters of rare paths.
        #[derive(Clone, Debug, Default)]
        pub struct Marks {
            $(#[doc = $what] pub $name: u64,)*
        }

        impl Marks {
            /// Every mark by name.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }

            /// Adds another run's.
            pub fn add(&mut self, other: &Marks) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

marks! {
    waited_behind_core: "A reply that was there waited behind one of another core.",
    output_full: "A session was stopped by unread output.",
    output_resumed: "It went on when the client read.",
    read_ahead: "Requests were received while replies waited unread.",
    left_with_tickets: "A client left while other cores worked for it.",
    place_reused: "A later client took the place of one that left like that.",
    gathered_three: "A reply was put together from three cores or more.",
    barrier_waited: "A command for the whole keyspace came while other cores worked for its session.",
    gift: "Budget went from one core to another.",
    evicted: "An item was evicted.",
    timed_evicted: "An item was evicted where only those with a deadline may be.",
    refused: "A write was refused for the bound.",
    expired_by_wheel: "The wheel removed an expired item.",
    expired_by_access: "An access found an expired item.",
    sealed_by_size: "A batch left before its turn ended, for its size.",
    keys_in_slices: "A KEYS took several slices on a core.",
    killed_by_other_core: "A client was killed by one of another core.",
    partial_send: "A socket took only a part of a reply.",
    scan_crossed: "A SCAN went from one core to the next.",
    protocol_error: "Garbage ended a session.",
    muted: "A reply was muted.",
    resp3_null: "A null in RESP3.",
    clock_back: "The clock went back.",
    stalled: "A client was cut off since it neither read nor wrote.",
    drained: "A server was drained with work under way.",
    eof_with_work: "A client that was answered had already said that it sends no more.",
    link_deep: "Four batches or more waited for one core.",
    auth_delayed: "A wrong key's refusal was kept back.",
    reconfigured: "CONFIG SET changed the budget while clients worked.",
    twins_read: "Two keys of one shard were read at once.",
    link_stood: "A link between two cores stood still.",
    core_stood: "A core stood still.",
    moved: "A transfer.",
    watch_failed: "A transfer whose accounts had changed.",
    gave_up: "A transaction gave up waiting for its shards.",
    died_inside: "A client died inside a transaction.",
    token_moved: "A RENAME over two cores.",
    audits: "A look at all accounts.",
    message_received: "A message.",
    message_by_pattern: "A message by a pattern.",
    key_event: "A key event.",
    own_message: "A message to its publisher.",
    unsubscribed: "An UNSUBSCRIBE.",
    subscriber_vanished: "A subscriber vanished.",
    copy_stale: "A copy in a near cache went stale.",
    cache_cleared: "FLUSHALL cleared a near cache.",
    own_change_kept: "A client under NOLOOP kept its own change.",
    table_small: "A small table of tracked keys was in use.",
    tracker_vanished: "A client with a near cache vanished.",
    stale_from_other_core: "An invalidation came from another core.",
    read_in_exec: "A client that tracks read in EXEC.",
    caching_in_exec: "CLIENT CACHING stood between MULTI and EXEC.",
    copy_checked: "A copy in a near cache was checked.",
    stale_by_redirect: "A copy went stale by REDIRECT.",
    kept_by_prefix: "A copy was kept by its prefix.",
    kept_by_optout: "A copy was kept by OPTOUT.",
    ear_vanished: "A client redirected to vanished.",
    redirect_broken: "A client heard of a broken redirection.",
    saved: "A snapshot was saved.",
    save_failed: "A snapshot failed.",
    pauses: "Clients were paused, or let go on.",
    save_refused: "A save was asked for while another was under way.",
    changed_first: "An item was written to a snapshot before it changed.",
    flushed_walking: "FLUSHALL came during the walk of a snapshot.",
    expired_in_file: "An item that had expired was not loaded.",
    crashed_midway: "A server crashed while a snapshot was written.",
    loaded_by_other_cores: "A snapshot was loaded by another number of cores.",
    slot_of_other_core: "A node was asked for a slot of another core.",
    slot_cut_short: "A list of a slot's keys ended before the walk did.",
    changed_meanwhile: "A key came or went while a walk was under way.",
    node_asked_in_exec: "A node was asked for its keys in a transaction.",
    flushed_one: "FLUSHDB of one database among several.",
    swapped: "A SWAPDB.",
    watched: "A command was shown to a client that watches.",
    watcher_vanished: "A client that watches vanished.",
    rested: "Everything came to rest in the middle of a run.",
}
