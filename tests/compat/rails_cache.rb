# Rails' cache store (ActiveSupport's RedisCacheStore) on redis-rb, by /0 and by /1. Arguments: port, auth key or nothing.

require "active_support"
require "active_support/cache"
require "active_support/cache/redis_cache_store"
require "active_support/core_ext/numeric/time"
require "active_support/notifications"

def check(actual, expected, what)
  raise "#{what}: #{actual.inspect} instead of #{expected.inspect}" unless actual == expected
end

# The store hides errors from its users: one that caches nothing looks like one that has just been emptied.
ERRORS = []
NOTE = ->(method:, returning:, exception:) { ERRORS << exception.message }

PORT, PASSWORD = Integer(ARGV[0]), ARGV[1]

def store(database, **options)
  url = "redis://127.0.0.1:#{PORT}/#{database}"
  ActiveSupport::Cache::RedisCacheStore.new(url: url, password: PASSWORD, error_handler: NOTE, read_timeout: 60, **options)
end

def basics(cache, redis)
  value = { "name" => "alice", roles: [1, 2, 3], binary: "\x00\r\n\xff".b }
  check cache.read("absent"), nil, "read of nothing"
  check cache.write("user:1", value, expires_in: 1.minute), "OK", "write"
  check cache.read("user:1"), value, "read"
  check redis.ttl("user:1").between?(1, 60), true, "its TTL"
  check cache.exist?("user:1"), true, "exist?"
  check cache.write("long", "x" * 100_000), "OK", "write of what is compressed"
  check cache.read("long"), "x" * 100_000, "read of it"
  check cache.write("user:1", "other", unless_exist: true), false, "write unless it exists"
  check cache.write("once", "v", unless_exist: true, expires_in: 60), true, "write of what is new"
  check cache.fetch("computed", expires_in: 60) { "first" }, "first", "fetch"
  check cache.fetch("computed", expires_in: 60) { "second" }, "first", "fetch again"
  check cache.write_multi({ "a" => 1, "b" => 2 }), "OK", "write_multi"
  cache.write_multi({ "c" => 3, "d" => 4 }, expires_in: 60)
  check cache.read_multi("a", "b", "c", "d", "absent"), { "a" => 1, "b" => 2, "c" => 3, "d" => 4 }, "read_multi"
  check cache.fetch_multi("a", "e") { |name| name * 2 }, { "a" => 1, "e" => "ee" }, "fetch_multi"
  check cache.delete("a"), 1, "delete"
  check cache.delete_multi(%w[b c absent]), 2, "delete_multi"
  check cache.increment("count", 1, expires_in: 60), 1, "increment"
  check cache.increment("count", 41), 42, "increment by"
  check cache.decrement("count", 2), 40, "decrement"
  check cache.read("count", raw: true), "40", "a count"
  check redis.ttl("count").between?(1, 60), true, "a count's TTL"
end

def expiry(cache, redis)
  cache.write("brief", "v", expires_in: 60)
  redis.pexpire("brief", 0)
  check cache.read("brief"), nil, "an item that expired"
  check cache.fetch("brief", expires_in: 60) { "again" }, "again", "fetch of it"
  check cache.fetch("brief", expires_in: 60, race_condition_ttl: 5, force: true) { "forced" }, "forced", "a forced fetch"
  check redis.ttl("brief").between?(61, 360), true, "TTL of what may be served stale"
end

def patterns(cache)
  cache.clear
  500.times { |number| cache.write("user:#{number}:name", number) }
  cache.write("kept", "v")
  cache.delete_matched("user:*:name")
  check cache.read("user:1:name"), nil, "what matched"
  check cache.read("kept"), "v", "what did not"
end

def namespaces(cache)
  named = store(1, namespace: "named")
  named.write("of", "the namespace")
  cache.write("of", "none")
  check named.read("of"), "the namespace", "read by namespace"
  named.clear
  check named.read("of"), nil, "read after its clear"
  check cache.read("of"), "none", "what is out of it"
end

def databases(zero, one)
  [zero, one].each(&:clear)
  zero.write_multi({ "of" => "zero", "more" => "v" })
  one.write("of", "one", expires_in: 60)
  check [zero.read("of"), one.read("of")], %w[zero one], "the same name in each"
  check one.read("more"), nil, "a name of the other"
  one.clear
  check one.read("of"), nil, "after a clear"
  check zero.read_multi("of", "more"), { "of" => "zero", "more" => "v" }, "the other after it"
  check [zero.redis.dbsize, one.redis.dbsize], [2, 0], "items of each"
  one.write("of", "one")
  zero.clear
  check one.read("of"), "one", "after a clear of the other"
end

def too_high
  check store(16).write("of", "none"), false, "a write to database 16"
  check ERRORS.slice!(0..), ["ERR DB index is out of range"], "its error"
end

zero, one = store(0), store(1)
zero.redis.flushall
basics(one, one.redis)
expiry(one, one.redis)
patterns(one)
namespaces(one)
databases(zero, one)
too_high
check ERRORS, [], "errors"
