//! A bad network between client and server: it cuts, delays, half-closes and swallows, by a seed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A proxy that runs until it is dropped.
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    faults: Arc<Faults>,
    task: JoinHandle<()>,
}

/// The faults of a connection, each one in so many chunks; 0: never.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) cut: AtomicU64,
    pub(crate) half_close: AtomicU64,
    pub(crate) delay: AtomicU64,
    /// From then on the proxy reads and passes nothing on.
    pub(crate) swallow: AtomicU64,
    /// The number of broken connections.
    pub(crate) broken: AtomicUsize,
}

impl Proxy {
    pub(crate) async fn start(to: SocketAddr, seed: u64, faults: Faults) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let faults = Arc::new(faults);
        let shared = faults.clone();
        let task = tokio::spawn(async move {
            let mut random = Random(seed | 1);
            // Ends with the proxy, which cuts what is still open.
            let mut pairs = tokio::task::JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let Ok(server) = TcpStream::connect(to).await else { continue };
                pairs.spawn(pair(client, server, shared.clone(), Random(random.next() | 1)));
            }
        });
        Proxy { addr, faults, task }
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Joins two sockets until one ends or is cut.
async fn pair(client: TcpStream, server: TcpStream, faults: Arc<Faults>, mut random: Random) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (there, back) = (Random(random.next() | 1), Random(random.next() | 1));
    tokio::select! {
        () = pass(from_client, to_server, &faults, there) => {}
        () = pass(from_server, to_client, &faults, back) => {}
    }
    faults.broken.fetch_add(1, Ordering::Relaxed);
}

/// Passes bytes on in one direction. Returns when both directions are to be cut; never by itself after a half-close.
async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    faults: &Faults,
    mut random: Random,
) {
    let mut buffer = [0; 4096];
    loop {
        // Pieces of any size, so that requests and replies are cut anywhere.
        let longest = if random.below(2) == 0 { 64 } else { 4096 };
        let room = 1 + random.below(longest) as usize;
        let Ok(len @ 1..) = from.read(&mut buffer[..room]).await else { return };
        let hits = |fault: &AtomicU64, random: &mut Random| {
            let one_in = fault.load(Ordering::Relaxed);
            one_in > 0 && random.below(one_in) == 0
        };
        if hits(&faults.cut, &mut random) {
            // Perhaps with a part of it on its way.
            let _ = to.write_all(&buffer[..random.below(len as u64) as usize]).await;
            return;
        }
        if hits(&faults.half_close, &mut random) {
            let _ = to.shutdown().await;
            // The other way goes on; this one is read to nowhere.
            while from.read(&mut buffer).await.is_ok_and(|len| len > 0) {}
            return;
        }
        if hits(&faults.swallow, &mut random) {
            while from.read(&mut buffer).await.is_ok_and(|len| len > 0) {}
            return;
        }
        if hits(&faults.delay, &mut random) {
            tokio::time::sleep(Duration::from_millis(1 + random.below(20))).await;
        }
        if to.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}

/// A small random number generator: xorshift.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end.max(1)
    }
}
