//! The blocking client: every method, every error, and what it does when a connection breaks.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use aspine::blocking::Client;
use aspine::client::{Error, Fate, Fault, Options, Ttl, Value};

use crate::support::server::{Server, Setup, free_port};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_database_is_selected_at_connecting() {
    let server = Server::start(2, &["--databases", "2"]);
    let address = server.addr.to_string();
    let mut zero = Client::connect(&*address).unwrap();
    let mut one = Client::connect(Options::new(&address).database(1)).unwrap();
    zero.set("k", "zero", None).unwrap();
    assert_eq!(one.get::<String>("k").unwrap(), None);
    one.set("k", "one", None).unwrap();
    assert_eq!(zero.get::<String>("k").unwrap().as_deref(), Some("zero"));
    let refused = Client::connect(Options::new(&address).database(2)).unwrap_err();
    assert_eq!(refused.code(), Some("ERR"), "{refused}");
}

#[test]
fn every_method_does_what_it_says() {
    for cores in [1, 2] {
        let server = Server::start(cores, &["--max-size", "0"]);
        let mut client = Client::connect(Options::new(server.addr.to_string()).name("me")).unwrap();
        client.set("text", "alice", None).unwrap();
        client.set("number", 41, MINUTE).unwrap();
        client.set(b"bytes\0", vec![0u8, 255], None).unwrap();
        assert_eq!(client.get::<String>("text").unwrap().as_deref(), Some("alice"));
        assert_eq!(client.get::<u8>("number").unwrap(), Some(41));
        assert_eq!(client.get::<Vec<u8>>(b"bytes\0").unwrap(), Some(vec![0, 255]));
        assert_eq!(client.get::<String>("absent").unwrap(), None);
        assert_eq!(client.ttl("text").unwrap(), Ttl::Forever);
        assert_eq!(client.ttl("absent").unwrap(), Ttl::Missing);
        assert!(client.ttl("number").unwrap().left().is_some_and(|left| left <= MINUTE && left > MINUTE / 2));
        assert!(client.expire("text", MINUTE).unwrap() && !client.expire("absent", MINUTE).unwrap());
        assert!(client.ttl("text").unwrap().left().is_some());
        assert!(!client.set_nx("text", "bob", None).unwrap() && client.set_nx("lock", 1, MINUTE).unwrap());
        assert_eq!((client.incr("number", 1).unwrap(), client.incr("new", -3).unwrap()), (42, -3));
        assert!(client.exists("lock").unwrap() && client.delete("lock").unwrap());
        assert!(!client.exists("lock").unwrap() && !client.delete("lock").unwrap());
        client.mset((0..2000).map(|at| (format!("many:{at}"), at)), MINUTE).unwrap();
        client.mset(Vec::<(&str, &str)>::new(), None).unwrap();
        let keys = ["many:7", "absent", "many:1999"];
        assert_eq!(client.mget::<u32, _>(keys).unwrap(), [Some(7), None, Some(1999)]);
        assert_eq!(client.mget::<u32, &str>([]).unwrap(), []);
        assert!(client.ttl("many:1999").unwrap().left().is_some());
        let mut listed: Vec<String> = client.list("many:19??").unwrap();
        listed.sort();
        assert_eq!((listed.len(), listed[0].as_str(), listed[99].as_str()), (100, "many:1900", "many:1999"));
        assert_eq!(client.publish("nobody", "hears").unwrap(), 0);
        let info = client.info().unwrap();
        assert_eq!((info.keys, info.aspine_version.as_str()), (2004, env!("CARGO_PKG_VERSION")));
        assert_eq!(info.cores as usize, crate::support::server::cores(cores));
        let named = client.command(["CLIENT", "GETNAME"]).unwrap();
        assert_eq!(named.to::<String>().unwrap().as_deref(), Some("me"));
        client.save(Some("a.aspine")).unwrap();
        client.clear().unwrap();
        assert_eq!(client.info().unwrap().keys, 0);
        client.load(Some("a.aspine"), false).unwrap();
        assert_eq!(client.get::<u32>("many:5").unwrap(), Some(5));
        let replies = client.pipeline([vec!["GET", "many:6"], vec!["INCR", "text"], vec!["PING"]]).unwrap();
        assert_eq!(replies[0].as_ref().unwrap().to::<u32>().unwrap(), Some(6));
        assert!(matches!(&replies[1], Err(error) if error.code() == Some("ERR")), "{replies:?}");
        assert_eq!(replies[2].as_ref().unwrap().as_bytes().unwrap(), "PONG");
        assert_eq!(client.command_within(None, ["DBSIZE"]).unwrap(), Value::Integer(2004));
        let encoded = b"*2\r\n$3\r\nGET\r\n$6\r\nmany:7\r\n*1\r\n$6\r\nNOSUCH\r\n";
        let replies = client.exchange(encoded, 2, Some(MINUTE), true).unwrap();
        assert_eq!(replies[0].to::<u32>().unwrap(), Some(7));
        assert!(matches!(&replies[1], Value::Error(text) if text.starts_with(b"ERR")), "{replies:?}");
        assert_eq!(client.exchange(b"", 0, None, false).unwrap(), []);
    }
}

#[test]
fn large_values_come_whole() {
    let server = Server::start(1, &["--max-size", "0"]);
    let mut client = Client::connect(server.addr.to_string()).unwrap();
    for len in [0, 1, 4095, 16_383, 16_384, 70_000, 3_000_000] {
        let value: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        client.set("v", &value, None).unwrap();
        assert_eq!(client.get::<Vec<u8>>("v").unwrap(), Some(value.clone()), "{len} bytes");
        assert_eq!(client.mget::<Vec<u8>, _>(["v", "v", "w"]).unwrap(), [Some(value.clone()), Some(value), None]);
    }
}

#[test]
fn errors_say_whose_they_are() {
    let server = Setup::new(1, &["--authkey", "right"]).unix().start();
    let address = server.addr.to_string();
    for wrong in [Options::new(&address), Options::new(&address).authkey("wrong")] {
        let error = Client::connect(wrong).unwrap_err();
        assert!(matches!(error, Error::Auth(_)), "{error:?}");
    }
    let options = Options::new(server.unix().to_str().unwrap()).authkey("right").user("default");
    let mut client = Client::connect(options).unwrap();
    client.set("k", "text", None).unwrap();
    let error = client.get::<u64>("k").unwrap_err();
    assert!(error.to_string().starts_with("the value of 'k' is not a u64: "), "{error}");
    let error = client.incr("k", 1).unwrap_err();
    assert_eq!((error.code(), error.fate()), (Some("ERR"), None), "{error}");
    let error = client.command(["NOSUCH"]).unwrap_err();
    assert!(matches!(&error, Error::Server(text) if text.contains("unknown command")), "{error}");
    // None of them has cost the connection.
    assert_eq!(client.get::<String>("k").unwrap().as_deref(), Some("text"));

    let error = Client::connect(format!("127.0.0.1:{}", free_port())).unwrap_err();
    assert!(matches!(&error, Error::Connection { fate: Fate::NotSent, .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
    let error = Client::connect("127.0.0.1:port").unwrap_err();
    assert!(error.to_string().contains("the port is not a number"), "{error}");
    let error = Client::connect("/no/such/socket").unwrap_err();
    assert!(matches!(error, Error::Connection { .. }), "{error:?}");
}

#[test]
fn a_late_reply_is_nobodys() {
    let server = Server::start(1, &["--enable-debug-command", "local"]);
    let options = Options::new(server.addr.to_string()).timeout(Duration::from_millis(50));
    let mut client = Client::connect(options).unwrap();
    client.set("k", 1, None).unwrap();
    let error = client.command(["DEBUG", "SLEEP", "0.3"]).unwrap_err();
    assert!(matches!(error, Error::Timeout { fate: Fate::Unknown, .. }), "{error:?}");
    // On the connection before, the next reply would have been another's.
    let mut patient = Client::connect(Options::new(server.addr.to_string()).no_timeout()).unwrap();
    assert_eq!(patient.get::<u8>("k").unwrap(), Some(1));
    assert_eq!(client.get::<u8>("k").unwrap(), Some(1));
    // What is received piece by piece stays where it is.
    client.send(["DEBUG", "SLEEP", "0.2"]).unwrap();
    client.send(["GET", "k"]).unwrap();
    let mut waited = 0;
    let slept = loop {
        match client.receive(Some(Duration::from_millis(20))).unwrap() {
            Some(value) => break value,
            None => waited += 1,
        }
    };
    assert!(waited > 0 && slept.as_bytes().is_some_and(|text| text == "OK"), "{waited} {slept:?}");
    assert_eq!(client.receive(None).unwrap().unwrap().to::<u8>().unwrap(), Some(1));
}

#[test]
fn reads_are_repeated_and_writes_are_not() {
    let port = free_port().to_string();
    let mut server = Server::start(1, &["--port", &port]);
    let mut client = Client::connect(format!("127.0.0.1:{port}")).unwrap();
    client.set("k", 1, None).unwrap();
    assert!(server.stop().success());
    let error = client.set("k", 2, None).unwrap_err();
    assert!(matches!(error, Error::Connection { fate: Fate::NotSent, .. }), "{error:?}");
    let _server = Server::start(1, &["--port", &port]);
    assert_eq!(client.get::<u8>("k").unwrap(), None);
    client.set("k", 3, None).unwrap();
    let id = client.command(["CLIENT", "ID"]).unwrap().as_integer().unwrap().to_string();
    // It is closed while the client does not look; a read notices and a write looks first.
    let mut other = Client::connect(format!("127.0.0.1:{port}")).unwrap();
    other.command(["CLIENT", "KILL", "ID", &id]).unwrap();
    assert_eq!(client.get::<u8>("k").unwrap(), Some(3));
}

/// A scripted server: for each connection its answers to one read after the other.
pub(crate) fn server_of(connections: Vec<&'static [&'static [u8]]>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for answers in connections {
            let (mut socket, _) = listener.accept().unwrap();
            for answer in answers {
                let _ = socket.read(&mut [0; 1024]);
                let _ = socket.write_all(answer);
            }
            // Keeps it open until the client goes.
            while socket.read(&mut [0; 1024]).is_ok_and(|len| len > 0) {}
        }
    });
    address
}

#[test]
fn broken_protocol_is_told_and_ends_the_connection() {
    let hello = b"%0\r\n-ERR unknown command 'ASPINE.CORES'\r\n";
    let cases: [(&[u8], Fault); 3] = [
        (b"-ERR unknown command 'HELLO'\r\n-ERR unknown command\r\n", Fault::Version),
        (b"-NOPROTO unsupported protocol version\r\n-ERR unknown command\r\n", Fault::Version),
        (b"+OK\r\n+OK\r\n", Fault::Type),
    ];
    for (answer, wanted) in cases {
        let error = Client::connect(server_of(vec![vec![answer].leak()])).unwrap_err();
        assert!(matches!(error, Error::Protocol { fault, .. } if fault == wanted), "{error:?}");
    }
    let error = Client::connect(server_of(vec![&[b"HTTP/1.1 400\r\n"]])).unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::Malformed(_), .. }), "{error:?}");

    // A number is no string; then a reply nobody has asked for. The next connection is good.
    let bad = vec![hello.as_slice(), b":1\r\n", b"$1\r\n2\r\n:3\r\n"].leak();
    let good = vec![hello.as_slice(), b"$1\r\n7\r\n"].leak();
    let mut client = Client::connect(server_of(vec![bad, good])).unwrap();
    let error = client.get::<u8>("k").unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::Type, .. }), "{error:?}");
    assert_eq!(client.get::<u8>("k").unwrap(), Some(2));
    let error = client.get::<u8>("k").unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::Unasked | Fault::Type, .. }), "{error:?}");
}
