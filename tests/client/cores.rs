//! Core ports: each key goes to its core, and a restart with other cores is detected.

use std::time::Duration;

use aspine::Client;
use aspine::client::{Error, Options};

use crate::support::server::{Server, cores, free_port, wait_until};

/// The number of operations that crossed cores so far.
async fn forwarded(client: &Client) -> u64 {
    client.info().await.unwrap().parsed("forwarded").unwrap()
}

async fn use_it(client: &Client) {
    let keys: Vec<String> = (0..200).map(|at| format!("key:{at}")).collect();
    for (at, key) in keys.iter().enumerate() {
        client.set(key, at, Duration::from_secs(60)).await.unwrap();
        assert_eq!(client.get::<usize>(key).await.unwrap(), Some(at));
        assert!(client.exists(key).await.unwrap() && client.ttl(key).await.unwrap().left().is_some());
        assert_eq!(client.command(["STRLEN", key]).await.unwrap().as_integer(), Some(at.to_string().len() as i64));
    }
    let got = client.mget::<usize, _>(&keys).into_vec().await.unwrap();
    assert_eq!(got.into_iter().map(Option::unwrap).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
    let mut pipeline = client.pipeline();
    for key in &keys {
        pipeline.incr(key, 1).get(key);
    }
    for (at, replies) in pipeline.run().await.unwrap().chunks(2).enumerate() {
        let [sum, value] = replies else { panic!("two each") };
        assert_eq!(sum.as_ref().unwrap().as_integer(), Some(at as i64 + 1));
        assert_eq!(value.as_ref().unwrap().to::<usize>().unwrap(), Some(at + 1));
    }
}

#[tokio::test]
async fn no_operation_is_forwarded() {
    for connections in [1, 2] {
        let server = Server::start(cores(2), &["--core-ports", "0", "--max-size", "0"]);
        let options = Options::new(server.addr.to_string()).connections_per_core(connections);
        let client = Client::connect(options).await.unwrap();
        use_it(&client).await;
        assert_eq!(forwarded(&client).await, 0);
        // What concerns all cores is answered for all of them.
        assert_eq!(client.list::<String>("*").await.unwrap().len(), 200);
        assert_eq!(client.command(["DBSIZE"]).await.unwrap().as_integer(), Some(200));
    }
}

/// A port followed by `count` free ones.
fn free_ports(count: u16) -> u16 {
    loop {
        let base = free_port();
        if (base..base + count).all(|port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return base;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_cores_after_a_restart_are_noticed() {
    let many = cores(2);
    let port = free_ports(3);
    let (port, base) = (port.to_string(), (port + 1).to_string());
    let with = ["--port", &port, "--core-ports", &base, "--max-size", "0"];
    let without = ["--port", &port, "--max-size", "0"];
    let mut server = Server::start(many, &with);
    let client = Client::connect(format!("127.0.0.1:{port}")).await.unwrap();
    use_it(&client).await;
    for (count, flags) in
        [(1, &with[..]), (many, &with[..]), (many, &without[..]), (1, &without[..]), (many, &with[..])]
    {
        // Under load: every answer is right or none.
        let load = {
            let client = client.clone();
            tokio::spawn(async move {
                loop {
                    for at in 0..200u64 {
                        let key = format!("load:{at}");
                        let outcome = match client.set(&key, at, None).await {
                            Ok(()) => client
                                .get::<u64>(&key)
                                .await
                                .map(|value| assert!(value.is_none_or(|value| value == at))),
                            Err(error) => Err(error),
                        };
                        if let Err(error) = outcome {
                            assert!(matches!(error, Error::Connection { .. } | Error::Timeout { .. }), "{error}");
                        }
                    }
                }
            })
        };
        assert!(server.stop().success());
        server = Server::start(count, flags);
        while client.set("again", 1, None).await.is_err() {}
        // Its connections: the one port's and each core's, and the probe's.
        let wanted = 2 + if flags.len() > 4 { count as u64 } else { 0 };
        let mut probe = server.connect();
        wait_until("each core is connected to", || probe.info_number("connected_clients") == wanted);
        load.abort();
        assert!(load.await.unwrap_err().is_cancelled(), "the load has failed");
        use_it(&client).await;
        if flags.len() > 4 {
            // The one port's connections to core 0 have carried what came before the others were there.
            let before = forwarded(&client).await;
            use_it(&client).await;
            assert_eq!(forwarded(&client).await, before);
        }
    }
}
