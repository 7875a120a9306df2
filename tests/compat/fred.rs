//! fred, on tokio, in RESP2 and RESP3: its own protocol code, and pipelines by default.

use std::collections::HashSet;
use std::pin::pin;

use ::fred::prelude::{
    Builder, Client, ClientLike, Config, Error, Expiration, FredResult, KeysInterface, ServerConfig, ServerInterface,
    SetOptions, TransactionInterface,
};
use ::fred::types::RespVersion;
use futures_lite::StreamExt;

use crate::support::server::Server;
use crate::{on_every_server, runtime};

async fn strings_and_expiry(client: &Client) -> FredResult<()> {
    client.set::<(), _, _>("name", "value", None, None, false).await?;
    assert_eq!(client.get::<Option<String>, _>("name").await?, Some("value".to_owned()));
    assert_eq!(client.get::<Option<String>, _>("absent").await?, None);
    let old: Option<String> = client.set("name", "other", None, Some(SetOptions::XX), true).await?;
    assert_eq!(old.as_deref(), Some("value"));
    client.mset(vec![("many:1", 1), ("many:2", 2)]).await?;
    let values: Vec<Option<i64>> = client.mget(vec!["many:1", "absent", "many:2"]).await?;
    assert_eq!(values, [Some(1), None, Some(2)]);
    assert_eq!(client.del::<i64, _>(vec!["many:1", "absent"]).await?, 1);
    client.set::<(), _, _>("brief", "v", Some(Expiration::EX(1000)), None, false).await?;
    assert!((1..=1000).contains(&client.ttl::<i64, _>("brief").await?));
    assert!(client.persist::<bool, _>("brief").await?);
    assert!(client.expire_at::<bool, _>("brief", 4_102_444_800, None).await?);
    assert_eq!(client.expire_time::<i64, _>("brief").await?, 4_102_444_800);
    Ok(())
}

async fn pipelines_and_scan(client: &Client) -> FredResult<()> {
    client.flushall::<()>(false).await?;
    let pipe = client.pipeline();
    for number in 0..1000 {
        pipe.set::<(), _, _>(format!("pipe:{number}"), number, None, None, false).await?;
    }
    let replies: Vec<String> = pipe.all().await?;
    assert_eq!(replies, vec!["OK"; 1000]);
    let mut walk = pin!(client.scan_buffered("pipe:*", Some(50), None));
    let mut found = HashSet::new();
    while let Some(key) = walk.next().await {
        found.insert(key?.into_string().expect("a text"));
    }
    assert_eq!(found.len(), 1000);
    assert_eq!(client.dbsize::<i64>().await?, 1000);
    assert!(client.info::<String>(None).await?.contains("redis_version:8."));
    Ok(())
}

async fn transactions(client: &Client) -> FredResult<()> {
    client.flushall::<()>(false).await?;
    let transaction = client.multi();
    transaction.set::<(), _, _>("a", 2, None, None, false).await?;
    transaction.expire::<(), _>("a", 100, None).await?;
    transaction.get::<(), _>("a").await?;
    let replies: (String, i64, i64) = transaction.exec(true).await?;
    assert_eq!(replies, ("OK".to_owned(), 1, 2));
    Ok(())
}

async fn exercise(server: &Server, key: Option<&str>, version: RespVersion) -> Result<(), Error> {
    let config = Config {
        server: ServerConfig::new_centralized(server.addr.ip().to_string(), server.addr.port()),
        password: key.map(str::to_owned),
        version,
        ..Config::default()
    };
    let client = Builder::from_config(config).build()?;
    client.init().await?;
    strings_and_expiry(&client).await?;
    pipelines_and_scan(&client).await?;
    transactions(&client).await?;
    client.quit().await
}

#[test]
fn on_tokio() {
    on_every_server(|server, key| {
        for version in [RespVersion::RESP2, RespVersion::RESP3] {
            let name = format!("{version:?}");
            runtime().block_on(exercise(server, key, version)).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    });
}
