//! Subscribers of the real binary: who gets what, who does not read, who vanishes.

use std::thread;

use crate::support::conn::{Conn, bulk, command};
use crate::support::server::{Server, wait_until};

fn subscriber(server: &Server, name: &str, resp3: bool, channel: &str) -> Conn {
    let mut conn = server.connect();
    if resp3 {
        conn.call(&["HELLO", "3"]);
    }
    assert_eq!(conn.call(&["CLIENT", "SETNAME", name]), "+OK\r\n");
    let head = if resp3 { '>' } else { '*' };
    let confirmation = format!("{head}3\r\n{}{}:1\r\n", bulk("subscribe"), bulk(channel));
    assert_eq!(conn.call(&["SUBSCRIBE", channel]), confirmation);
    conn
}

fn message(resp3: bool, channel: &str, text: &str) -> String {
    let head = if resp3 { '>' } else { '*' };
    format!("{head}3\r\n{}{}{}", bulk("message"), bulk(channel), bulk(text))
}

#[test]
fn many_subscribers_of_many_cores_get_everything_in_order() {
    for cores in [1, 2] {
        let server = Server::start(cores, &[]);
        let channels = ["a", "b", "c"];
        let mut subscribers: Vec<(bool, &str, Conn)> = Vec::new();
        for at in 0..30 {
            let (resp3, channel) = (at % 2 == 0, channels[at % 3]);
            subscribers.push((resp3, channel, subscriber(&server, "s", resp3, channel)));
        }
        let publishers: Vec<_> = channels
            .iter()
            .map(|channel| {
                let (mut conn, channel) = (server.connect(), *channel);
                thread::spawn(move || {
                    for number in 0..500 {
                        assert_eq!(conn.number(&["PUBLISH", channel, &number.to_string()]), 10, "ten subscribe");
                    }
                })
            })
            .collect();
        for (resp3, channel, conn) in &mut subscribers {
            for number in 0..500 {
                assert_eq!(conn.reply(), message(*resp3, channel, &number.to_string()));
            }
        }
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        let mut conn = server.connect();
        assert_eq!(conn.info_number("pubsub_channels"), 3);
        let listed = conn.text(&["CLIENT", "LIST", "TYPE", "pubsub"]);
        assert_eq!(listed.lines().filter(|line| line.contains(" flags=P ") && line.contains(" sub=1 ")).count(), 30);
        assert_eq!(conn.number(&["CLIENT", "KILL", "TYPE", "pubsub"]), 30);
        wait_until("nobody subscribes", || conn.info_number("pubsub_channels") == 0);
        assert_eq!(conn.number(&["PUBLISH", "a", "x"]), 0);
    }
}

#[test]
fn a_subscriber_that_does_not_read_is_cut_off_and_delays_nobody() {
    for cores in [1, 2] {
        let server = Server::start(cores, &["--client-output-limit", "1mb 0 0"]);
        let mut stuck = subscriber(&server, "stuck", false, "news");
        let mut reader = subscriber(&server, "reader", true, "news");
        let mut publisher = server.connect();
        let text = "x".repeat(10_000);
        let publish = command(&["PUBLISH", "news", &text]);
        // As much as the kernel takes for it besides.
        let mut published = 0;
        while publisher.info_number("client_output_buffer_limit_disconnections") == 0 {
            assert!(published < 10_000, "100 MB were kept for a client that does not read");
            for _ in 0..20 {
                publisher.send(&publish);
                let reached = publisher.reply();
                assert!(reached == ":2\r\n" || reached == ":1\r\n", "{reached}");
                assert_eq!(reader.reply(), message(true, "news", &text));
            }
            published += 20;
        }
        assert!(published * text.len() > 1 << 20, "it was cut off after {published} messages");
        server.wait_for_log("name=stuck closed: ");
        let got = stuck.rest();
        assert!(got.len() < published * (text.len() + 40), "it did not get everything");
        wait_until("one is left", || publisher.number(&["PUBLISH", "news", "end"]) == 1);
    }
}

#[test]
fn a_soft_limit_gives_a_slow_subscriber_time() {
    let server = Server::start(1, &["--client-output-limit", "0 100kb 1"]);
    let mut slow = subscriber(&server, "slow", false, "news");
    let mut publisher = server.connect();
    let text = "x".repeat(100_000);
    for _ in 0..200 {
        assert_eq!(publisher.number(&["PUBLISH", "news", &text]), 1);
    }
    assert!(publisher.info_number("client_output_buffer_limit_disconnections") == 0, "no hard limit, no cut");
    for _ in 0..200 {
        assert_eq!(slow.reply(), message(false, "news", &text));
    }
    assert_eq!(slow.call(&["PING"]), format!("*2\r\n{}{}", bulk("pong"), bulk("")));
    // Not read for longer than the second, it is cut off although nothing more is published.
    for _ in 0..200 {
        publisher.send(&command(&["PUBLISH", "news", &text]));
        let _ = publisher.reply();
    }
    server.wait_for_log("name=slow closed: ");
    assert_eq!(publisher.info_number("client_output_buffer_limit_disconnections"), 1);
}

#[test]
fn subscribers_that_vanish_leave_nothing_behind() {
    for cores in [1, 2] {
        let server = Server::start(cores, &[]);
        let mut publisher = server.connect();
        for round in 0..20 {
            let mut conn = subscriber(&server, "brief", round % 2 == 0, "news");
            let names: Vec<String> = (0..600).map(|name| format!("n:{name}")).collect();
            let words: Vec<&str> = std::iter::once("SUBSCRIBE").chain(names.iter().map(String::as_str)).collect();
            conn.send(&command(&words));
            conn.send(&command(&["PSUBSCRIBE", "n*"]));
            if round % 3 == 0 {
                let _ = conn.reply();
            }
            conn.reset();
            publisher.call(&["PUBLISH", "news", "x"]);
        }
        wait_until("nobody subscribes", || {
            publisher.info_number("pubsub_channels") == 0 && publisher.info_number("pubsub_patterns") == 0
        });
        assert_eq!(publisher.number(&["PUBLISH", "n:1", "x"]), 0);
    }
}

#[test]
fn keys_that_expire_or_are_evicted_are_told_of() {
    for cores in [1, 2] {
        let server = Server::start(cores, &["--max-size", "100"]);
        let mut expired = subscriber(&server, "e", true, "__keyevent@0__:expired");
        let mut evicted = subscriber(&server, "e", false, "__keyevent@0__:evicted");
        let mut conn = server.connect();
        assert_eq!(conn.call(&["SET", "brief", "v", "PX", "20"]), "+OK\r\n");
        assert_eq!(expired.reply(), message(true, "__keyevent@0__:expired", "brief"));
        for key in 0..300 {
            assert_eq!(conn.call(&["SET", &format!("k:{key}"), "v"]), "+OK\r\n");
        }
        let told = evicted.reply();
        assert!(told.contains("k:"), "{told}");
        assert_eq!(conn.call(&["CONFIG", "SET", "notify-keyspace-events", "Ex"]), "+OK\r\n");
        assert_eq!(conn.call(&["SET", "brief", "v", "PX", "20"]), "+OK\r\n");
        assert_eq!(expired.reply(), message(true, "__keyevent@0__:expired", "brief"));
    }
}

#[test]
fn client_reply_silences_no_message() {
    for cores in [1, 2] {
        let server = Server::start(cores, &[]);
        let mut writer = server.connect();
        for (resp3, mode) in [(false, "OFF"), (false, "SKIP"), (true, "OFF"), (true, "SKIP")] {
            let mut conn = server.connect();
            if resp3 {
                conn.call(&["HELLO", "3"]);
                conn.call(&["CLIENT", "TRACKING", "ON"]);
                conn.call(&["GET", "k"]);
            }
            conn.send(&command(&["CLIENT", "REPLY", mode]));
            conn.send(&command(&["SUBSCRIBE", "news"]));
            // The confirmation is no reply either.
            let head = if resp3 { '>' } else { '*' };
            assert_eq!(conn.reply(), format!("{head}3\r\n{}{}:1\r\n", bulk("subscribe"), bulk("news")));
            assert_eq!(writer.number(&["PUBLISH", "news", "one"]), 1);
            assert_eq!(conn.reply(), message(resp3, "news", "one"));
            if resp3 {
                // What it does itself, and wants no reply to.
                conn.send(&[command(&["CLIENT", "REPLY", mode]), command(&["SET", "k", "v"])].concat());
                assert_eq!(conn.reply(), format!(">2\r\n{}*1\r\n{}", bulk("invalidate"), bulk("k")));
                conn.send(&[command(&["CLIENT", "REPLY", mode]), command(&["PUBLISH", "news", "two"])].concat());
                assert_eq!(conn.reply(), message(resp3, "news", "two"));
            }
        }
    }
}
