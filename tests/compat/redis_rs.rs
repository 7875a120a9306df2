//! redis-rs: blocking by TCP and Unix socket in RESP2 and RESP3, multiplexed on tokio, and its connection manager.

use std::collections::HashSet;

use redis::{
    AsyncCommands, AsyncIter, Client, Commands, ConnectionLike, IntoConnectionInfo, ProtocolVersion, RedisResult,
    SetExpiry, SetOptions,
};

use crate::support::server::Server;
use crate::{KEY, on_every_server, runtime};

/// The session of a blocking connection.
fn exercise(mut con: redis::Connection) -> RedisResult<()> {
    assert!(con.check_connection());
    redis::cmd("FLUSHALL").exec(&mut con)?;
    // Strings.
    con.set::<_, _, ()>("name", "value")?;
    assert_eq!(con.get::<_, String>("name")?, "value");
    assert_eq!(con.get::<_, Option<String>>("absent")?, None);
    con.set::<_, _, ()>("number", 42)?;
    assert_eq!(con.get::<_, i64>("number")?, 42);
    let binary: Vec<u8> = (0..=255).collect();
    con.set::<_, _, ()>(&binary, &binary)?;
    assert_eq!(con.get::<_, Vec<u8>>(&binary)?, binary);
    assert!(!con.set_nx::<_, _, bool>("name", "other")?);
    assert_eq!(con.get_del::<_, Option<String>>("name")?, Some("value".into()));
    assert!(!con.exists::<_, bool>("name")?);
    // Expiry.
    con.set_ex::<_, _, ()>("brief", "v", 1000)?;
    assert!((1..=1000).contains(&con.ttl::<_, i64>("brief")?));
    assert!(con.persist::<_, bool>("brief")?);
    assert_eq!(con.ttl::<_, i64>("brief")?, -1);
    assert!(con.expire::<_, bool>("brief", 500)?);
    let options = SetOptions::default().get(true).with_expiration(SetExpiry::PX(100_000));
    assert_eq!(con.set_options::<_, _, Option<String>>("brief", "w", options)?, Some("v".into()));
    assert!((1..=100_000).contains(&con.pttl::<_, i64>("brief")?));
    // Many keys at once.
    let pairs: Vec<(String, usize)> = (0..500).map(|number| (format!("many:{number}"), number)).collect();
    con.mset::<_, _, ()>(&pairs)?;
    let keys: Vec<&String> = pairs.iter().map(|(key, _)| key).collect();
    assert_eq!(con.mget::<_, Vec<usize>>(&keys)?, (0..500).collect::<Vec<_>>());
    assert_eq!(con.mget::<_, Vec<Option<usize>>>(&["many:1", "absent", "many:499"])?, [Some(1), None, Some(499)]);
    // Walks.
    let found: HashSet<String> = con.scan_match::<_, String>("many:*")?.collect::<RedisResult<_>>()?;
    assert_eq!(found, keys.iter().map(|key| key.to_string()).collect());
    let listed: HashSet<String> = con.keys("many:*")?;
    assert_eq!(listed, found);
    assert_eq!(con.del::<_, usize>(&keys)?, 500);
    // A pipeline.
    let mut pipe = redis::pipe();
    for number in 0..1000 {
        pipe.set(format!("pipe:{number}"), number).ignore().get(format!("pipe:{number}"));
    }
    assert_eq!(pipe.query::<Vec<usize>>(&mut con)?, (0..1000).collect::<Vec<_>>());
    // An error is an error and leaves the connection usable.
    let error = redis::cmd("LPUSH").arg("list").arg(1).exec(&mut con).unwrap_err();
    assert!(error.to_string().contains("unknown command"), "{error}");
    let info: String = redis::cmd("INFO").query(&mut con)?;
    assert!(info.contains("redis_version:8.4"));
    con.ping::<()>()
}

/// The session of an asynchronous connection. Its clones share the one connection to the server.
async fn exercise_async(mut con: impl AsyncCommands + Clone + 'static) -> RedisResult<()> {
    redis::cmd("FLUSHALL").exec_async(&mut con).await?;
    con.set::<_, _, ()>("name", "value").await?;
    assert_eq!(con.get::<_, String>("name").await?, "value");
    con.set_ex::<_, _, ()>("brief", "v", 1000).await?;
    assert!((1..=1000).contains(&con.ttl::<_, i64>("brief").await?));
    assert!(con.persist::<_, bool>("brief").await?);
    let mut pipe = redis::pipe();
    for number in 0..1000 {
        pipe.set(format!("pipe:{number}"), number).ignore();
    }
    pipe.query_async::<()>(&mut con).await?;
    let ask = |number: usize| {
        let mut con = con.clone();
        tokio::spawn(async move { con.get::<_, usize>(format!("pipe:{number}")).await })
    };
    let asked: Vec<_> = (0..100).map(ask).collect();
    for (number, answer) in asked.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap()?, number);
    }
    let mut walk: AsyncIter<'_, String> = con.scan_match("pipe:*").await?;
    let mut found = HashSet::new();
    while let Some(key) = walk.next_item().await {
        found.insert(key?);
    }
    assert_eq!(found.len(), 1000);
    Ok(())
}

/// Whole, watched, and given up because a watched key has changed.
fn transactions(con: &mut redis::Connection, other: &mut redis::Connection) -> RedisResult<()> {
    redis::cmd("FLUSHALL").exec(con)?;
    let replies: (i64, i64) = redis::pipe().atomic().set("a", 2).ignore().expire("a", 100).get("a").query(con)?;
    assert_eq!(replies, (1, 2));
    let (doubled,): (i64,) = redis::transaction(con, &["a"], |con, pipe| {
        let value: i64 = con.get("a")?;
        pipe.set("a", value * 2).ignore().get("a").query(con)
    })?;
    assert_eq!(doubled, 4);
    redis::cmd("WATCH").arg("a").exec(con)?;
    other.set::<_, _, ()>("a", "changed")?;
    let replies: Option<()> = redis::pipe().atomic().set("a", "lost").query(con)?;
    assert_eq!((replies, con.get::<_, String>("a")?), (None, "changed".to_owned()));
    Ok(())
}

async fn transactions_async(mut con: impl AsyncCommands) -> RedisResult<()> {
    con.del::<_, ()>("a").await?;
    let mut pipe = redis::pipe();
    pipe.atomic().set("a", 2).ignore().expire("a", 100).get("a");
    assert_eq!(pipe.query_async::<(i64, i64)>(&mut con).await?, (1, 2));
    Ok(())
}

/// A client for each way to connect: by TCP and Unix socket, in RESP2 and RESP3.
fn clients(server: &Server, key: Option<&str>) -> Vec<(String, Client)> {
    let mut clients = Vec::new();
    for url in [format!("redis://{}/", server.addr), format!("unix://{}", server.unix().display())] {
        for protocol in [ProtocolVersion::RESP2, ProtocolVersion::RESP3] {
            let info = url.as_str().into_connection_info().unwrap();
            let mut settings = info.redis_settings().clone().set_protocol(protocol);
            if let Some(key) = key {
                settings = settings.set_password(key);
            }
            let client = Client::open(info.set_redis_settings(settings)).unwrap();
            clients.push((format!("{url} {protocol:?}"), client));
        }
    }
    clients
}

#[test]
fn blocking() {
    on_every_server(|server, key| {
        for (name, client) in clients(server, key) {
            let con = client.get_connection().unwrap_or_else(|error| panic!("{name}: {error}"));
            exercise(con).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (mut con, mut other) = (client.get_connection().unwrap(), client.get_connection().unwrap());
            transactions(&mut con, &mut other).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    });
}

#[test]
fn messages_blocking() {
    on_every_server(|server, key| {
        for (name, client) in clients(server, key) {
            let run = || -> RedisResult<()> {
                let (mut con, mut publisher) = (client.get_connection()?, client.get_connection()?);
                let mut pubsub = con.as_pubsub();
                pubsub.subscribe("news")?;
                pubsub.psubscribe("new*")?;
                assert_eq!(publisher.publish::<_, _, i64>("news", "one")?, 2);
                for pattern in [false, true] {
                    let message = pubsub.get_message()?;
                    assert_eq!((message.get_channel_name(), message.from_pattern()), ("news", pattern));
                    assert_eq!(message.get_payload::<String>()?, "one");
                }
                pubsub.unsubscribe("news")?;
                pubsub.punsubscribe("new*")?;
                assert_eq!(publisher.publish::<_, _, i64>("news", "two")?, 0);
                Ok(())
            };
            run().unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    });
}

#[test]
fn pushes_of_resp3_beside_commands() {
    let server = Server::start(2, &[]);
    let run = async {
        let client = Client::open(format!("redis://{}/?protocol=resp3", server.addr))?;
        let (sender, mut pushes) = tokio::sync::mpsc::unbounded_channel();
        let config = redis::AsyncConnectionConfig::new().set_push_sender(sender);
        let mut con = client.get_multiplexed_async_connection_with_config(&config).await?;
        con.subscribe("news").await?;
        con.set::<_, _, ()>("k", "v").await?;
        assert_eq!(con.publish::<_, _, i64>("news", "one").await?, 1, "the connection runs any command");
        assert_eq!(con.get::<_, String>("k").await?, "v");
        let mut kinds = Vec::new();
        while kinds.last() != Some(&redis::PushKind::Message) {
            kinds.push(pushes.recv().await.expect("a push").kind);
        }
        assert_eq!(kinds, [redis::PushKind::Subscribe, redis::PushKind::Message]);
        con.unsubscribe("news").await
    };
    runtime().block_on(run).unwrap_or_else(|error: redis::RedisError| panic!("{error}"));
}

#[test]
fn multiplexed_on_tokio() {
    on_every_server(|server, key| {
        for (name, client) in clients(server, key) {
            let run = async {
                exercise_async(client.get_multiplexed_async_connection().await?).await?;
                exercise_async(client.get_connection_manager().await?).await?;
                transactions_async(client.get_multiplexed_async_connection().await?).await
            };
            runtime().block_on(run).unwrap_or_else(|error: redis::RedisError| panic!("{name}: {error}"));
        }
    });
}

#[test]
fn a_wrong_key_is_told_as_one() {
    let server = Server::start(1, &["--authkey", KEY]);
    let url = format!("redis://:wrong@{}/", server.addr);
    let error = Client::open(url).unwrap().get_connection().err().expect("refused");
    assert_eq!(error.kind(), redis::ErrorKind::AuthenticationFailed, "{error}");
}
