"""The page of metrics, read by Prometheus's own parser, beside INFO as redis-py reads it.

Arguments: the server's port, the admin endpoint's port.
"""

import sys
import urllib.request

import redis
from prometheus_client.parser import text_string_to_metric_families

PORT, ADMIN = int(sys.argv[1]), int(sys.argv[2])
client = redis.Redis(port=PORT)


def page():
    """Families by name."""
    with urllib.request.urlopen(f"http://127.0.0.1:{ADMIN}/metrics", timeout=60) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", response.headers
        text = response.read().decode()
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family comes once"
    for family in families:
        assert family.name.startswith(("aspine_", "process_")), family.name
        assert family.documentation, family.name
        assert family.type in ("counter", "gauge", "histogram"), family
        assert not family.name.endswith(("_ms", "_us", "_ns", "_kb", "_milliseconds")), "base units"
        series = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
        assert len(series) == len(set(series)), family.name
    return {family.name: family for family in families}


def total(families, name, **labels):
    family = families[name]
    has = labels.items()
    chosen = [sample for sample in family.samples if has <= sample.labels.items() and not sample.name.endswith("_created")]
    return sum(sample.value for sample in chosen)


def histograms(families):
    """Buckets are cumulative, end with +Inf, and that is the count."""
    found = 0
    for family in families.values():
        if family.type != "histogram":
            continue
        series = {}
        for sample in family.samples:
            rest = tuple(sorted((key, value) for key, value in sample.labels.items() if key != "le"))
            series.setdefault(rest, {}).setdefault(sample.name.removeprefix(family.name), []).append(sample)
        for parts in series.values():
            bounds = [float(sample.labels["le"]) for sample in parts["_bucket"]]
            counts = [sample.value for sample in parts["_bucket"]]
            assert bounds == sorted(bounds) and bounds[-1] == float("inf"), bounds
            assert counts == sorted(counts), counts
            assert counts[-1] == parts["_count"][0].value
            assert parts["_sum"][0].value >= 0
            assert counts[-1] == 0 or parts["_sum"][0].value > 0
            found += 1
    assert found >= 2, found


def monotone(before, after):
    for name, family in before.items():
        if family.type == "gauge":
            continue
        later = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in after[name].samples}
        for sample in family.samples:
            assert later[(sample.name, tuple(sorted(sample.labels.items())))] >= sample.value, sample


last = page()
histograms(last)
for round in range(20):
    with client.pipeline(transaction=False) as pipe:
        for key in range(100):
            pipe.set(f"key:{round}:{key}", "value", px=100_000)
            pipe.get(f"key:{round}:{key * 2}")
        pipe.execute()
    now = page()
    histograms(now)
    monotone(last, now)
    last = now

info = client.info("all")
stats = info["cmdstat_get"]["calls"]
samples = last["aspine_command_duration_seconds"].samples
count = next(s.value for s in samples if s.name.endswith("_count") and s.labels["command"] == "get")
assert count == stats == 2000, (count, stats)
for name, field in [
    ("aspine_keyspace_hits", "keyspace_hits"),
    ("aspine_keyspace_misses", "keyspace_misses"),
    ("aspine_evicted_keys", "evicted_keys"),
    ("aspine_admitted_keys", "admitted_keys"),
    ("aspine_refused_keys", "refused_keys"),
    ("aspine_ghost_hits", "ghost_hits"),
    ("aspine_expired_keys", "expired_keys"),
    ("aspine_connections", "connected_clients"),
    ("aspine_connections_accepted", "total_connections_received"),
    ("aspine_memory_used_bytes", "memory_usage"),
    ("aspine_memory_budget_bytes", "maxmemory"),
    ("aspine_pubsub_channels", "pubsub_channels"),
    ("aspine_snapshots", "rdb_saves"),
]:
    assert total(last, name) == info[field], (name, total(last, name), info[field])
cores = [sample.labels["core"] for sample in last["aspine_core_up"].samples]
assert cores == [str(core) for core in range(info["cores"])], cores
for core in cores:
    row = info[f"core{core}"]
    assert total(last, "aspine_keys", core=core) == row["keys"]
    assert total(last, "aspine_forwarded_operations", core=core) <= row["forwarded"]
