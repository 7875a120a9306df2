//! What the client keeps to while its connections break: no reply reaches another caller, no acknowledged write is lost,
//! what is dropped or late leaves nothing behind.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aspine::Client;
use aspine::client::{Error, Fate, Gap, Options};

use crate::proxy::{Faults, Proxy, Random};
use crate::support::server::{Server, free_port, wait_until};

/// The writes of one task to its own key: values are `task:number`, each written once.
struct Written {
    task: u64,
    /// The last acknowledged value.
    acknowledged: u64,
    /// Later values whose fate is unknown: any of them may be stored, or may still arrive.
    unknown: BTreeSet<u64>,
    next: u64,
}

/// The counts of all tasks.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: AtomicU64,
    unknown: AtomicU64,
    not_sent: AtomicU64,
    read: AtomicU64,
    dropped: AtomicU64,
}

impl Written {
    fn new(task: u64) -> Written {
        Written { task, acknowledged: 0, unknown: BTreeSet::new(), next: 1 }
    }

    fn key(&self) -> String {
        format!("key:{}", self.task)
    }

    fn check(&self, value: Option<&str>) {
        let number = match value {
            None => 0,
            Some(value) => {
                let (task, number) = value.split_once(':').unwrap_or_else(|| panic!("not a value of ours: {value}"));
                assert_eq!(task, self.task.to_string(), "another caller's reply");
                number.trim_end_matches('x').parse().unwrap()
            }
        };
        assert!(
            number == self.acknowledged || self.unknown.contains(&number),
            "task {} has {number}, acknowledged {}, unknown {:?}",
            self.task,
            self.acknowledged,
            self.unknown
        );
    }

    /// Writes once; some writes are dropped while they are under way.
    async fn write(&mut self, client: &Client, random: &mut Random, tally: &Tally) {
        let number = self.next;
        self.next += 1;
        let longest = if random.below(50) == 0 { 60_000 } else { 200 };
        let padding = "x".repeat(random.below(longest) as usize);
        let value = format!("{}:{number}{padding}", self.task);
        let write = client.set(self.key(), value, None);
        let outcome = if random.below(10) == 0 {
            let wait = Duration::from_micros(random.below(3000));
            tokio::time::timeout(wait, write).await.ok()
        } else {
            Some(write.await)
        };
        match outcome {
            Some(Ok(())) => {
                self.acknowledged = number;
                tally.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            None => {
                self.unknown.insert(number);
                tally.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Some(Err(error)) => match error.fate() {
                Some(Fate::NotSent) => {
                    tally.not_sent.fetch_add(1, Ordering::Relaxed);
                }
                Some(Fate::Unknown) => {
                    self.unknown.insert(number);
                    tally.unknown.fetch_add(1, Ordering::Relaxed);
                }
                None => panic!("{error}"),
            },
        }
    }

    async fn read(&mut self, client: &Client, random: &mut Random, tally: &Tally) {
        // With other keys around it, so that replies of several parts are cut too.
        let outcome = if random.below(4) == 0 {
            let keys = [self.key(), "absent".to_owned(), self.key()];
            client.mget::<String, _>(keys).into_vec().await.map(|values| {
                assert!(values[1].is_none());
                self.check(values[2].as_deref());
                values[0].clone()
            })
        } else if random.below(8) == 0 {
            let wait = Duration::from_micros(random.below(2000));
            match tokio::time::timeout(wait, client.get::<String>(self.key())).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    tally.dropped.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
        } else {
            client.get::<String>(self.key()).await
        };
        match outcome {
            Ok(value) => {
                self.check(value.as_deref());
                tally.read.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => assert!(error.fate().is_some(), "{error}"),
        }
    }
}

/// Runs `tasks` tasks that write and read, each its own key, until `done`.
async fn work(client: &Client, tasks: u64, done: &Arc<AtomicBool>, tally: &Arc<Tally>) -> Vec<Written> {
    let running = (0..tasks).map(|task| {
        let (client, done, tally) = (client.clone(), done.clone(), tally.clone());
        tokio::spawn(async move {
            let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (task + 1));
            let mut written = Written::new(task);
            while !done.load(Ordering::Relaxed) {
                written.write(&client, &mut random, &tally).await;
                written.read(&client, &mut random, &tally).await;
            }
            written
        })
    });
    let mut all = Vec::new();
    for task in running.collect::<Vec<_>>() {
        all.push(task.await.unwrap());
    }
    all
}

/// Waits until `enough`, then stops the workload.
fn stop_when(done: &Arc<AtomicBool>, enough: impl Fn() -> bool + Send + 'static) -> std::thread::JoinHandle<()> {
    let done = done.clone();
    std::thread::spawn(move || {
        wait_until("enough has happened", enough);
        done.store(true, Ordering::Relaxed);
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_reach_their_callers_and_acknowledged_writes_stay() {
    for (seed, connections) in [(1, 1), (2, 3)] {
        let server = Server::start(2, &["--max-size", "0"]);
        let faults = Faults {
            cut: 400.into(),
            half_close: 700.into(),
            delay: 40.into(),
            swallow: 2000.into(),
            ..Faults::default()
        };
        let proxy = Arc::new(Proxy::start(server.addr, seed, faults).await);
        let options = Options::new(proxy.addr.to_string())
            .timeout(Duration::from_millis(200))
            .connect_timeout(Duration::from_millis(200))
            .connections_per_core(connections);
        let client = loop {
            // The proxy may cut the greeting too.
            if let Ok(client) = Client::connect(&options).await {
                break client;
            }
        };
        let (done, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
        let (seen, faults) = (tally.clone(), proxy.clone());
        let stop = stop_when(&done, move || {
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            count(&seen.acknowledged) > 2000
                && count(&seen.read) > 2000
                && count(&seen.unknown) > 50
                && count(&seen.dropped) > 50
                && faults.faults().broken.load(Ordering::Relaxed) > 50
        });
        let written = work(&client, 24, &done, &tally).await;
        stop.join().unwrap();
        // Through a connection of its own, when what was on its way has arrived or gone.
        let direct = Client::connect(server.addr.to_string()).await.unwrap();
        for mine in &written {
            mine.check(direct.get::<String>(mine.key()).await.unwrap().as_deref());
        }
        // The connection is as good as new once the network is.
        for fault in [&proxy.faults().cut, &proxy.faults().half_close, &proxy.faults().swallow, &proxy.faults().delay] {
            fault.store(0, Ordering::Relaxed);
        }
        let mut tries = 0;
        while client.set("at last", seed, None).await.is_err() {
            tries += 1;
            assert!(tries < 100, "it does not recover");
        }
        assert_eq!(direct.get::<u64>("at last").await.unwrap(), Some(seed));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_requests_leave_nothing_behind() {
    let server = Server::start(1, &["--max-size", "0"]);
    let proxy = Proxy::start(server.addr, 3, Faults::default()).await;
    let (timeout, connect_timeout) = (Duration::from_millis(30), Duration::from_millis(200));
    let options = Options::new(proxy.addr.to_string()).timeout(timeout).connect_timeout(connect_timeout);
    let client = Client::connect(&options).await.unwrap();
    client.set("k", 1, None).await.unwrap();
    // From now on nothing comes through, whichever connection.
    proxy.faults().swallow.store(1, Ordering::Relaxed);
    let value = "x".repeat(8 * 1024);
    let mut rss = Vec::new();
    for round in 0..60 {
        let late = (0..512).map(|at| {
            let (client, value) = (client.clone(), value.clone());
            tokio::spawn(async move { client.set(format!("late:{at}"), value, None).await })
        });
        for task in late.collect::<Vec<_>>() {
            let error = task.await.unwrap().unwrap_err();
            assert!(matches!(error, Error::Timeout { .. } | Error::Connection { .. }), "{error:?}");
        }
        if round >= 10 {
            rss.push(rss_bytes());
        }
    }
    // Fifty rounds of 4 MiB each.
    let grown = rss.last().unwrap().saturating_sub(rss[0]);
    assert!(grown < 64 << 20, "{grown} bytes more after 200 MB of late requests");
    proxy.faults().swallow.store(0, Ordering::Relaxed);
    let mut tries = 0;
    while client.get::<u8>("k").await.ok().flatten() != Some(1) {
        tries += 1;
        assert!(tries < 100, "it does not recover");
    }
}

fn rss_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_future_costs_its_reply_and_nothing_else() {
    let server = Server::start(2, &["--max-size", "0"]);
    let client = Client::connect(server.addr.to_string()).await.unwrap();
    let keys: Vec<String> = (0..100).map(|at| format!("k:{at}")).collect();
    client.mset(keys.iter().map(|key| (key, key)), None).await.unwrap();
    let tasks = (0..16u64).map(|task| {
        let (client, keys) = (client.clone(), keys.clone());
        tokio::spawn(async move {
            let mut random = Random(task * 77 + 1);
            for _ in 0..1500 {
                let key = &keys[random.below(100) as usize];
                let wait = Duration::from_micros(random.below(300));
                tokio::select! {
                    biased;
                    value = client.get::<String>(key) => assert_eq!(value.unwrap().as_ref(), Some(key)),
                    () = tokio::time::sleep(wait), if random.below(2) == 0 => {}
                    () = std::future::ready(()), if random.below(4) == 0 => {}
                }
                if random.below(20) == 0 {
                    // Of a stream the first is taken and the rest dropped.
                    let mut values = client.mget::<String, _>(&keys);
                    assert_eq!(values.next().await.unwrap().unwrap().as_ref(), Some(&keys[0]));
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_under_load_is_found_again() {
    let port = free_port();
    let ports = ["--port", &port.to_string(), "--max-size", "0"].map(str::to_owned);
    let start = move |cores| {
        let ports = ports.each_ref().map(String::as_str);
        Server::start(cores, &ports)
    };
    let mut server = start(1);
    let client = Client::connect(format!("127.0.0.1:{port}")).await.unwrap();
    let mut events = client.subscribe("watched").await.unwrap();
    for cores in [1, 2, 1] {
        let (done, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
        let worker = {
            let (client, done, tally) = (client.clone(), done.clone(), tally.clone());
            tokio::spawn(async move {
                let mut sums = 0u64;
                let mut random = Random(5);
                // Numbers cannot be checked over a restart: the server forgets. Keys and values can.
                while !done.load(Ordering::Relaxed) {
                    let at = random.below(1000);
                    let _ = client.set(format!("r:{at}"), at, None).await;
                    match client.mget::<u64, _>([format!("r:{at}"), "absent".to_owned()]).into_vec().await {
                        Ok(values) => {
                            assert!(values[0].is_none_or(|value| value == at) && values[1].is_none());
                            sums += 1;
                            tally.read.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => assert!(error.fate().is_some(), "{error}"),
                    }
                }
                sums
            })
        };
        let reads = |tally: &Tally| tally.read.load(Ordering::Relaxed);
        wait_until("it works", || reads(&tally) > 300);
        assert!(server.stop().success());
        server = start(cores);
        let before = reads(&tally);
        wait_until("it works again", || reads(&tally) > before + 300);
        done.store(true, Ordering::Relaxed);
        worker.await.unwrap();
        // The subscription is restored, and says so.
        assert_eq!(events.next().await.unwrap(), Err(Gap::Reconnected));
        client.set("watched", cores, None).await.unwrap();
        assert_eq!(events.next().await.unwrap().unwrap().event, "set");
    }
}
