"""redis-py's RedisCluster with its defaults; each core is a node. Arguments: port, auth key or nothing.

What it routes by the slots of keys reaches its core directly, so nothing is forwarded.
"""

import sys

import redis
from redis.cluster import ClusterNode, RedisCluster

KEYS = [f"key:{number}" for number in range(500)]


def single_keys(cluster):
    for number, key in enumerate(KEYS):
        assert cluster.set(key, number) is True
        assert cluster.get(key) == b"%d" % number
        assert cluster.ttl(key) == -1
    assert cluster.incr("count") == 1 and cluster.exists("count") == 1 and cluster.getdel("count") == b"1"


def many_keys(cluster):
    assert all(cluster.mset_nonatomic({key: number for number, key in enumerate(KEYS)}))
    assert cluster.mget_nonatomic(KEYS) == [b"%d" % number for number in range(len(KEYS))]
    assert cluster.mget("{tag}a", "{tag}b") == [None, None]
    assert cluster.exists(*KEYS) == len(KEYS)
    assert cluster.delete(*KEYS[:100]) == 100


def pipelines(cluster):
    pipe = cluster.pipeline()
    for number, key in enumerate(KEYS):
        pipe.set(key, number).get(key)
    assert pipe.execute() == [reply for number in range(len(KEYS)) for reply in (True, b"%d" % number)]


def the_whole(cluster):
    """Every node is asked, and it adds up."""
    every = {"target_nodes": RedisCluster.PRIMARIES}
    assert cluster.dbsize(**every) == len(KEYS)
    assert sorted(cluster.keys("key:*", **every)) == sorted(key.encode() for key in KEYS)
    found = list(cluster.scan_iter(match="key:*", count=50))
    assert sorted(found) == sorted(key.encode() for key in KEYS)
    assert cluster.randomkey() is None or cluster.randomkey().startswith(b"key:")
    for key in KEYS[:20]:
        slot = cluster.keyslot(key)
        assert cluster.cluster_keyslot(key) == slot
        assert cluster.cluster_countkeysinslot(slot) == 1
        assert cluster.cluster_get_keys_in_slot(slot, 10) in ([key], [key.encode()])
        # It is told by others too.
        for node in cluster.get_nodes():
            assert cluster.execute_command("CLUSTER COUNTKEYSINSLOT", slot, target_nodes=node) == 1


def nodes(cluster, cores):
    assert len(cluster.get_primaries()) == cores and not cluster.get_replicas()
    assert cluster.cluster_info(target_nodes=cluster.get_random_node())["cluster_state"] == "ok"
    known = cluster.cluster_nodes()
    assert len(known) == cores and all(node["connected"] for node in known.values()), known
    assert all(cluster.ping(target_nodes=node) for node in cluster.get_nodes())
    for node in cluster.get_nodes():
        # Any node takes the keys of any: no MOVED, no CROSSSLOT.
        with redis.Redis(node.host, node.port, password=PASSWORD) as raw:
            assert raw.mset({key: 0 for key in KEYS[:50]}) is True
            assert raw.mget(KEYS[:50]) == [b"0"] * 50
            assert raw.pipeline().set("a", 1).set("b", 2).rename("a", "b").execute() == [True, True, True]
            assert raw.delete("b") == 1


def messages(cluster):
    for channel in ("news", "other", "third"):
        node = cluster.get_node_from_key(channel)
        pubsub = cluster.pubsub(node=node)
        pubsub.subscribe(channel)
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"
        assert cluster.publish(channel, "one") >= 0
        assert pubsub.get_message(timeout=5)["data"] == b"one"
        every = {"target_nodes": RedisCluster.PRIMARIES}
        assert dict(cluster.pubsub_numsub(channel, **every)) == {channel.encode(): 1}
        assert channel.encode() in cluster.pubsub_channels(**every)
        pubsub.close()
    pubsub = cluster.pubsub()
    pubsub.ssubscribe("shard-a", "shard-b")
    told = [pubsub.get_sharded_message(timeout=5) for _ in range(2)]
    assert [message["type"] for message in told] == ["ssubscribe"] * 2, told
    assert cluster.spublish("shard-a", "one") == 1 and cluster.spublish("shard-b", "two") == 1
    got = {}
    while len(got) < 2:
        message = pubsub.get_sharded_message(timeout=5)
        assert message is not None, got
        got[message["channel"]] = message["data"]
    assert got == {b"shard-a": b"one", b"shard-b": b"two"}, got
    pubsub.close()


def main():
    port = int(sys.argv[1])
    info = redis.Redis(port=port, password=PASSWORD)
    cores = info.info("aspine")["cores"]
    for protocol in (None, 2, 3):
        options = {} if protocol is None else {"protocol": protocol}
        info.flushall()
        info.config_resetstat()
        cluster = RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", port)], password=PASSWORD, **options)
        for part in (single_keys, many_keys, pipelines, the_whole):
            part(cluster)
        assert info.info("aspine")["forwarded"] == 0
        messages(cluster)
        nodes(cluster, cores)
        assert cores == 1 or info.info("aspine")["forwarded"] > 0, "the last part crosses cores on purpose"
        cluster.close()


PASSWORD = sys.argv[2] if len(sys.argv) > 2 else None
main()
