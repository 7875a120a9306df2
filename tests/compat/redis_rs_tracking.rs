//! redis-rs: pushes that call keys stale, beside ordinary replies of the same connection.

use redis::{AsyncCommands, Client, PushKind, RedisResult, Value};

use crate::runtime;
use crate::support::server::Server;

#[test]
fn stale_keys_are_pushed() {
    for cores in [1, 2] {
        let server = Server::start(cores, &[]);
        let run = async {
            let client = Client::open(format!("redis://{}/?protocol=resp3", server.addr))?;
            let (sender, mut pushes) = tokio::sync::mpsc::unbounded_channel();
            let config = redis::AsyncConnectionConfig::new().set_push_sender(sender);
            let mut near = client.get_multiplexed_async_connection_with_config(&config).await?;
            let mut other = client.get_multiplexed_async_connection().await?;
            redis::cmd("CLIENT").arg("TRACKING").arg("ON").exec_async(&mut near).await?;
            let mut told = Vec::new();
            for number in 0..20 {
                let key = format!("key:{number}");
                other.set::<_, _, ()>(&key, "old").await?;
                assert_eq!(near.get::<_, String>(&key).await?, "old");
                other.set::<_, _, ()>(&key, "new").await?;
                let push = pushes.recv().await.expect("a push");
                assert_eq!(push.kind, PushKind::Invalidate);
                assert_eq!(push.data, [Value::Array(vec![Value::BulkString(key.clone().into_bytes())])]);
                assert_eq!(near.get::<_, String>(&key).await?, "new");
                told.push(key);
            }
            other.del::<_, ()>(&told).await?;
            for _ in &told {
                assert_eq!(pushes.recv().await.expect("a push").kind, PushKind::Invalidate);
            }
            redis::cmd("FLUSHALL").exec_async(&mut other).await?;
            assert_eq!(pushes.recv().await.expect("a push").data, [Value::Nil]);
            RedisResult::Ok(())
        };
        runtime().block_on(run).unwrap_or_else(|error| panic!("{error}"));
    }
}
