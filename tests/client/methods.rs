//! The asynchronous client: every method, every error.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aspine::Client;
use aspine::client::{Bincode, Error, Fate, Fault, Json, Options, Ttl, Value};
use aspine::resp::ReplyError;
use serde::{Deserialize, Serialize};

use crate::blocking::server_of;
use crate::support::server::{Server, Setup, cores, free_port, wait_until};

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct User {
    name: String,
    visits: u64,
}

#[tokio::test]
async fn every_method_does_what_it_says() {
    for wanted in [1, 2] {
        let server = Server::start(wanted, &["--max-size", "0"]);
        let options = Options::new(server.addr.to_string()).name("me").connections_per_core(wanted);
        let client = Client::connect(&options).await.unwrap();
        client.set("text", "alice", None).await.unwrap();
        client.set("number", 41, MINUTE).await.unwrap();
        client.set(b"bytes\0", [0u8, 255], None).await.unwrap();
        assert_eq!(client.get::<String>("text").await.unwrap().as_deref(), Some("alice"));
        assert_eq!(client.get::<u8>("number").await.unwrap(), Some(41));
        assert_eq!(client.get::<Vec<u8>>(b"bytes\0").await.unwrap(), Some(vec![0, 255]));
        assert_eq!(client.get::<String>("absent").await.unwrap(), None);
        assert_eq!(client.ttl("text").await.unwrap(), Ttl::Forever);
        assert_eq!(client.ttl("absent").await.unwrap(), Ttl::Missing);
        assert!(client.ttl("number").await.unwrap().left().is_some_and(|left| left <= MINUTE && left > MINUTE / 2));
        assert!(client.expire("text", MINUTE).await.unwrap() && !client.expire("absent", MINUTE).await.unwrap());
        assert!(client.ttl("text").await.unwrap().left().is_some());
        assert!(!client.set_nx("text", "bob", None).await.unwrap());
        assert!(client.set_nx("lock", 1, MINUTE).await.unwrap());
        assert_eq!((client.incr("number", 1).await.unwrap(), client.incr("new", -3).await.unwrap()), (42, -3));
        assert!(client.exists("lock").await.unwrap() && client.delete("lock").await.unwrap());
        assert!(!client.exists("lock").await.unwrap() && !client.delete("lock").await.unwrap());
        assert!(client.expire("new", Duration::ZERO).await.unwrap() && !client.exists("new").await.unwrap());
        client.mset((0..2000).map(|at| (format!("many:{at}"), at)), MINUTE).await.unwrap();
        client.mset(Vec::<(&str, &str)>::new(), None).await.unwrap();
        let mut values = client.mget::<u32, _>(["many:7", "absent", "text", "many:8"]);
        assert_eq!(values.next().await.unwrap().unwrap(), Some(7));
        assert_eq!(values.next().await.unwrap().unwrap(), None);
        let error = values.next().await.unwrap().unwrap_err();
        assert!(error.to_string().starts_with("the value of 'text' is not a u32"), "{error}");
        assert_eq!(values.next().await.unwrap().unwrap(), Some(8), "the others are there");
        assert!(values.next().await.is_none());
        let all: Vec<u32> = (0..2000).collect();
        let keys = all.iter().map(|at| format!("many:{at}"));
        let got = client.mget::<u32, _>(keys).into_vec().await.unwrap();
        assert_eq!(got.into_iter().map(Option::unwrap).collect::<Vec<_>>(), all);
        assert_eq!(client.mget::<u32, &str>([]).into_vec().await.unwrap(), []);
        assert!(client.ttl("many:1999").await.unwrap().left().is_some());
        let mut listed: Vec<String> = client.list("many:19??").await.unwrap();
        listed.sort();
        assert_eq!((listed.len(), listed[0].as_str(), listed[99].as_str()), (100, "many:1900", "many:1999"));
        let info = client.info().await.unwrap();
        assert_eq!((info.keys, info.aspine_version.as_str()), (2003, env!("CARGO_PKG_VERSION")));
        assert_eq!((info.cores as usize, info.get("arch_bits")), (cores(wanted), Some("64")));
        let named = client.command(["CLIENT", "GETNAME"]).await.unwrap();
        assert_eq!(named.to::<String>().unwrap().as_deref(), Some("me"));
        client.save(Some("a.aspine")).await.unwrap();
        client.clear().await.unwrap();
        assert_eq!(client.command(["DBSIZE"]).await.unwrap(), Value::Integer(0));
        client.load(Some("a.aspine"), false).await.unwrap();
        assert_eq!(client.get::<u32>("many:5").await.unwrap(), Some(5));
        let error = client.load(Some("none.aspine"), true).await.unwrap_err();
        assert!(matches!(error, Error::Server(_)), "{error:?}");
    }
}

#[tokio::test]
async fn values_of_any_type_are_stored_in_wrappers() {
    let server = Server::start(1, &[]);
    let client = Client::connect(server.addr.to_string()).await.unwrap();
    let alice = User { name: "alice".into(), visits: 7 };
    client.set("bincode", Bincode(&alice), None).await.unwrap();
    client.set("json", Json(&alice), None).await.unwrap();
    client.set("bytes", [0xff], None).await.unwrap();
    assert_eq!(client.get::<Bincode<User>>("bincode").await.unwrap().unwrap().0, alice);
    assert_eq!(client.get::<Json<User>>("json").await.unwrap().unwrap().0, alice);
    assert_eq!(client.get::<String>("json").await.unwrap().unwrap(), r#"{"name":"alice","visits":7}"#);
    client.mset([("a", Bincode(1u64)), ("b", Bincode(300))], None).await.unwrap();
    assert_eq!(client.mget(["a", "b"]).into_vec().await.unwrap(), [Some(Bincode(1u64)), Some(Bincode(300))]);
    for error in [
        client.get::<Bincode<String>>("json").await.unwrap_err(),
        client.get::<Bincode<u8>>("bincode").await.unwrap_err(),
        client.get::<Json<User>>("bincode").await.map(drop).unwrap_err(),
        client.get::<String>("bytes").await.unwrap_err(),
    ] {
        assert!(matches!(&error, Error::Decode { key, .. } if !key.is_empty()), "{error:?}");
        assert!(std::error::Error::source(&error).is_some() && error.fate().is_none(), "{error:?}");
    }
    // JSON has texts as keys alone.
    let error = client.set("k", Json(BTreeMap::from([(vec![1], 2)])), None).await.unwrap_err();
    assert!(matches!(error, Error::Encode { .. }) && error.fate() == Some(Fate::NotSent), "{error:?}");
    for (text, wanted) in [("1", Some(true)), ("false", Some(false)), ("maybe", None)] {
        client.set("flag", text, None).await.unwrap();
        assert_eq!(client.get::<bool>("flag").await.ok().flatten(), wanted);
    }
    client.set("float", 1.5f64, None).await.unwrap();
    assert_eq!(client.get::<f64>("float").await.unwrap(), Some(1.5));
    client.set("flag", true, None).await.unwrap();
    assert_eq!(client.get::<u128>("flag").await.unwrap(), Some(1));
}

#[tokio::test]
async fn errors_say_whose_they_are() {
    let server = Setup::new(1, &["--authkey", "right"]).unix().start();
    let address = server.addr.to_string();
    for wrong in [Options::new(&address), Options::new(&address).authkey("wrong")] {
        let error = Client::connect(wrong).await.unwrap_err();
        assert!(matches!(&error, Error::Auth(_)), "{error:?}");
    }
    let options = Options::new(server.unix().to_str().unwrap()).authkey("right").user("default");
    let client = Client::connect(options).await.unwrap();
    client.set("k", "text", None).await.unwrap();
    let error = client.get::<u64>("k").await.unwrap_err();
    assert!(error.to_string().starts_with("the value of 'k' is not a u64: "), "{error}");
    let error = client.incr("k", 1).await.unwrap_err();
    assert_eq!((error.code(), error.fate()), (Some("ERR"), None), "{error}");
    let error = client.command(["NOSUCH"]).await.unwrap_err();
    assert!(matches!(&error, Error::Server(text) if text.contains("unknown command")), "{error}");
    assert_eq!(client.get::<String>("k").await.unwrap().as_deref(), Some("text"));

    let error = Client::connect(format!("127.0.0.1:{}", free_port())).await.unwrap_err();
    assert!(matches!(&error, Error::Connection { fate: Fate::NotSent, .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
    let error = Client::connect("127.0.0.1:port").await.unwrap_err();
    assert!(error.to_string().contains("the port is not a number"), "{error}");
    let error = Client::connect("/no/such/socket").await.unwrap_err();
    assert!(matches!(error, Error::Connection { .. }), "{error:?}");
}

#[tokio::test]
async fn broken_protocol_is_told_and_ends_the_connection() {
    let hello = b"%0\r\n-ERR unknown command 'ASPINE.CORES'\r\n";
    let cases: [(&[u8], Fault); 3] = [
        (b"-ERR unknown command 'HELLO'\r\n-ERR unknown command\r\n", Fault::Version),
        (b"-NOPROTO unsupported protocol version\r\n-ERR unknown command\r\n", Fault::Version),
        (b"+OK\r\n+OK\r\n", Fault::Type),
    ];
    for (answer, wanted) in cases {
        let error = Client::connect(server_of(vec![vec![answer].leak()])).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { fault, .. } if fault == wanted), "{error:?}");
    }
    let error = Client::connect(server_of(vec![&[b"HTTP/1.1 400\r\n"]])).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::Malformed(_), .. }), "{error:?}");

    // What is no reply, what nobody has asked for, and what another command has: two cost the connection, the next one
    // is good.
    for (bad, wanted) in [
        (b"what\r\n".as_slice(), Fault::Malformed(ReplyError::UnknownType(b'w'))),
        (b":1\r\n", Fault::Type),
        (b"$1\r\n1\r\n$1\r\n2\r\n", Fault::Unasked),
    ] {
        let good = vec![hello.as_slice(), b"$1\r\n3\r\n"].leak();
        let client = Client::connect(server_of(vec![vec![hello, bad, b"$1\r\n3\r\n"].leak(), good])).await.unwrap();
        match client.get::<u8>("k").await {
            Err(Error::Protocol { fault, .. }) => assert_eq!(fault, wanted),
            // The fault came after the reply.
            other => assert!(wanted == Fault::Unasked && matches!(other, Ok(Some(1))), "{other:?}"),
        }
        assert_eq!(client.get::<u8>("k").await.unwrap(), Some(3), "after {wanted:?}");
    }
}

#[tokio::test]
async fn pipelines_and_transactions_keep_their_order() {
    for wanted in [1, 2] {
        let server = Server::start(wanted, &[]);
        let client = Client::connect(server.addr.to_string()).await.unwrap();
        let mut pipeline = client.pipeline();
        pipeline.set("a", 1, MINUTE).unwrap().incr("b", 5).get("a").command(["INCR", "a"]).command(["NOSUCH"]);
        pipeline.delete("a").expire("b", MINUTE).get("a");
        assert_eq!((pipeline.len(), pipeline.is_empty()), (8, false));
        let replies = pipeline.run().await.unwrap();
        assert_eq!(replies[0].as_ref().unwrap().as_bytes().unwrap(), "OK");
        assert_eq!(*replies[1].as_ref().unwrap(), Value::Integer(5));
        assert_eq!(replies[2].as_ref().unwrap().to::<u8>().unwrap(), Some(1));
        assert_eq!(*replies[3].as_ref().unwrap(), Value::Integer(2));
        assert!(matches!(&replies[4], Err(Error::Server(_))), "{replies:?}");
        assert_eq!(
            (replies[5].as_ref().unwrap(), replies[6].as_ref().unwrap()),
            (&Value::Integer(1), &Value::Integer(1))
        );
        assert!(replies[7].as_ref().unwrap().is_null());
        assert!(client.pipeline().run().await.unwrap().is_empty());

        let mut transfer = client.transaction();
        transfer.incr("from", -10).incr("to", 10);
        assert_eq!(transfer.run().await.unwrap().len(), 2);
        client.set("text", "x", None).await.unwrap();
        let mut failing = client.transaction();
        failing.incr("from", -1).incr("text", 1);
        let replies = failing.run().await.unwrap();
        assert!(replies[0].is_ok() && matches!(&replies[1], Err(Error::Server(_))), "{replies:?}");
        let mut refused = client.transaction();
        refused.incr("from", -1).command(["NOSUCH"]);
        let error = refused.run().await.unwrap_err();
        assert!(error.to_string().contains("NOSUCH"), "{error}");
        assert_eq!(client.mget::<i64, _>(["from", "to"]).into_vec().await.unwrap(), [Some(-11), Some(10)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_compare_and_set_one_is_first() {
    let server = Server::start(2, &[]);
    let client = Client::connect(server.addr.to_string()).await.unwrap();
    assert!(!client.compare_and_set("k", "a", "b", None).await.unwrap(), "it is absent");
    client.set("k", "a", None).await.unwrap();
    assert!(client.compare_and_set("k", "a", "b", MINUTE).await.unwrap());
    assert!(!client.compare_and_set("k", "a", "c", None).await.unwrap());
    assert_eq!(client.get::<String>("k").await.unwrap().as_deref(), Some("b"));
    assert!(client.ttl("k").await.unwrap().left().is_some());
    // Sixteen tasks count to 160 by it: no step is lost or taken twice.
    client.set("count", 0, None).await.unwrap();
    let counting = (0..16).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            let mut steps = 0;
            while steps < 10 {
                let now: u64 = client.get("count").await.unwrap().unwrap();
                steps += u64::from(client.compare_and_set("count", now, now + 1, None).await.unwrap());
            }
        })
    });
    for task in counting.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(client.get::<u64>("count").await.unwrap(), Some(160));

    let mut watch = client.watch(["k", "count"]).await.unwrap();
    assert_eq!(watch.get::<u64>("count").await.unwrap(), Some(160));
    client.incr("count", 1).await.unwrap();
    let mut store = client.transaction();
    store.set("k", "never", None).unwrap();
    assert!(watch.commit(store.clone()).await.unwrap().is_none());
    let watch = client.watch(["k"]).await.unwrap();
    assert_eq!(watch.commit(store).await.unwrap().unwrap().len(), 1);
    client.watch(["k"]).await.unwrap().release().await.unwrap();
    drop(client.watch(["k"]).await.unwrap());
    assert_eq!(client.get::<String>("k").await.unwrap().as_deref(), Some("never"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn events_and_messages_come_as_streams() {
    for wanted in [1, 2] {
        let server = Server::start(wanted, &[]);
        let client = Client::connect(server.addr.to_string()).await.unwrap();
        let before = SystemTime::now();
        let mut events = client.subscribe("user:1").await.unwrap();
        let mut again = client.subscribe("user:1").await.unwrap();
        let mut users = client.subscribe_keys("user:*").await.unwrap();
        client.set("user:1", 1, None).await.unwrap();
        client.set("user:2", 1, None).await.unwrap();
        client.delete("user:1").await.unwrap();
        for stream in [&mut events, &mut again] {
            for wanted in ["set", "del"] {
                let event = stream.next().await.unwrap().unwrap();
                assert_eq!((&*event.key, event.event.as_str()), (&b"user:1"[..], wanted));
                assert!(event.timestamp >= before && event.timestamp <= SystemTime::now());
            }
        }
        // Keys of several cores have no order among each other.
        let mut heard = Vec::new();
        for _ in 0..3 {
            let event = users.next().await.unwrap().unwrap();
            heard.push(format!("{} {}", String::from_utf8_lossy(&event.key), event.event));
        }
        heard.sort();
        assert_eq!(heard, ["user:1 del", "user:1 set", "user:2 set"]);

        let mut news = client.subscribe_channel("news").await.unwrap();
        let mut all = client.subscribe_pattern("n*").await.unwrap();
        assert_eq!(client.publish("news", "hello").await.unwrap(), 2);
        let message = news.next().await.unwrap().unwrap();
        assert_eq!((&*message.channel, &*message.payload, message.pattern), (&b"news"[..], &b"hello"[..], None));
        let message = all.next().await.unwrap().unwrap();
        assert_eq!((&*message.channel, message.pattern.as_deref()), (&b"news"[..], Some(&b"n*"[..])));
        // The last that leaves ends it at the server.
        drop((news, all, users, events));
        client.set("user:1", 2, None).await.unwrap();
        assert_eq!(again.next().await.unwrap().unwrap().event, "set");
        drop(again);
        let mut probe = server.connect();
        let fields = ["pubsub_channels", "pubsub_patterns"];
        wait_until("nobody subscribes", || fields.iter().all(|field| probe.info_number(field) == 0));
        assert_eq!(client.publish("news", "x").await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stream_keeps_the_client_and_a_client_its_connections() {
    let server = Server::start(1, &[]);
    let client = Client::connect(server.addr.to_string()).await.unwrap();
    let mut events = client.subscribe("k").await.unwrap();
    let other = client.clone();
    drop(client);
    other.set("k", 1, None).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().event, "set");
    drop((other, events));
    let mut probe = server.connect();
    wait_until("only the probe is connected", || probe.info_number("connected_clients") == 1);
}
