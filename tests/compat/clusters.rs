//! Cluster clients, to which each core is a node: redis-py's RedisCluster, ioredis's Cluster, and redis-rs's, blocking
//! and on tokio. What they route by the slots of keys reaches its core directly: nothing is forwarded.

use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::{AsyncCommands, Commands, ProtocolVersion, RedisResult};

use crate::support::server::Server;
use crate::{on_servers, runtime, scripts};

const KEYS: usize = 500;

/// Of servers whose cores have ports of their own.
const FLAGS: [&str; 2] = ["--core-ports", "0"];

fn on_every_cluster(test: impl Fn(&Server, Option<&str>)) {
    on_servers(&FLAGS, test);
}

fn builder(server: &Server, key: Option<&str>) -> ClusterClientBuilder {
    let builder = ClusterClientBuilder::new([format!("redis://127.0.0.1:{}/", server.addr.port())]);
    match key {
        Some(key) => builder.password(key),
        None => builder,
    }
}

/// Operations that have crossed cores so far.
fn forwarded(server: &Server, key: Option<&str>) -> u64 {
    let mut conn = server.connect();
    if let Some(key) = key {
        assert_eq!(conn.call(&["AUTH", key]), "+OK\r\n");
    }
    conn.info_number("forwarded")
}

fn name(number: usize) -> String {
    format!("key:{number}")
}

/// The session of a blocking client.
fn exercise(client: &ClusterClient) -> RedisResult<()> {
    let mut con = client.get_connection()?;
    for number in 0..KEYS {
        con.set::<_, _, ()>(name(number), number)?;
        assert_eq!(con.get::<_, usize>(name(number))?, number);
    }
    // It splits these itself, by slot.
    let names: Vec<_> = (0..KEYS).map(name).collect();
    assert_eq!(con.mget::<_, Vec<usize>>(&names)?, (0..KEYS).collect::<Vec<_>>());
    let mut pipe = redis::cluster::cluster_pipe();
    for number in 0..KEYS {
        pipe.incr(name(number), 1).ignore().get(name(number));
    }
    assert_eq!(pipe.query::<Vec<usize>>(&mut con)?, (1..=KEYS).collect::<Vec<_>>());
    // It adds up what the nodes say.
    assert_eq!(redis::cmd("DBSIZE").query::<usize>(&mut con)?, KEYS);
    let mut found: Vec<String> = redis::cmd("KEYS").arg("key:*").query(&mut con)?;
    found.sort();
    found.dedup();
    assert_eq!(found.len(), KEYS);
    assert_eq!(con.del::<_, usize>(&names)?, KEYS);
    assert_eq!(redis::cmd("DBSIZE").query::<usize>(&mut con)?, 0);
    Ok(())
}

#[test]
fn redis_rs_blocking() {
    on_every_cluster(|server, key| {
        for protocol in [ProtocolVersion::RESP2, ProtocolVersion::RESP3] {
            exercise(&builder(server, key).use_protocol(protocol).build().unwrap()).unwrap();
        }
        assert_eq!(forwarded(server, key), 0);
    });
}

#[test]
fn redis_rs_on_tokio() {
    on_every_cluster(|server, key| {
        let client = builder(server, key).build().unwrap();
        let done: RedisResult<()> = runtime().block_on(async {
            let mut con = client.get_async_connection().await?;
            let names: Vec<_> = (0..KEYS).map(name).collect();
            for (number, name) in names.iter().enumerate() {
                con.set::<_, _, ()>(name, number).await?;
            }
            assert_eq!(con.mget::<_, Vec<usize>>(&names).await?, (0..KEYS).collect::<Vec<_>>());
            assert_eq!(con.del::<_, usize>(&names).await?, KEYS);
            Ok(())
        });
        done.unwrap();
        assert_eq!(forwarded(server, key), 0);
    });
}

#[test]
fn redis_py() {
    scripts::run_python("redis_py_cluster.py", &FLAGS);
}

#[test]
fn ioredis() {
    scripts::run_node("ioredis_cluster.mjs", &FLAGS);
}
