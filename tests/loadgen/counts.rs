//! As many operations as asked, of the kinds asked, to where they belong.

use aspine::slot::{CoreId, Slot};

use crate::bench::{count, number, report, run};
use crate::fake::{Action, Fake, Speech};
use crate::support::server::cores;

#[test]
fn a_server_sees_as_many_requests_as_asked() {
    for (connections, pipeline, lanes, requests) in [(1, 1, 1, 1), (1, 1, 1, 500), (7, 3, 2, 5000), (50, 16, 1, 4001)] {
        let fake = Fake::honest();
        let lanes = cores(lanes);
        let report = report(
            fake.addr,
            &[
                "--connections",
                &connections.to_string(),
                "--pipeline",
                &pipeline.to_string(),
                "--cores",
                &lanes.to_string(),
                "--requests",
                &requests.to_string(),
                "--ratio",
                "3:1",
                "--keys",
                "50",
            ],
        );
        assert_eq!(fake.seen("GET") + fake.seen("SET"), requests);
        assert_eq!(count(&report, "/operations"), requests);
        assert_eq!(count(&report, "/all/count"), requests);
        assert_eq!(count(&report, "/kinds/get/count"), fake.seen("GET"));
        assert_eq!(count(&report, "/kinds/set/count"), fake.seen("SET"));
        assert_eq!(count(&report, "/hits") + count(&report, "/misses"), fake.seen("GET"));
        assert_eq!(count(&report, "/errors"), 0);
    }
}

#[test]
fn a_server_sees_as_many_requests_as_are_due() {
    for (lanes, rate) in [(1, 1), (1, 997), (2, 3000)] {
        let fake = Fake::honest();
        let (lanes, rate) = (cores(lanes).to_string(), rate.to_string());
        let flags = ["--rate", &rate, "--cores", &lanes, "--duration", "1", "--warmup", "0.5", "--ratio", "1:0"];
        let report = report(fake.addr, &flags);
        let per_s: u64 = rate.parse().unwrap();
        assert_eq!(fake.seen("GET"), (per_s * 3).div_ceil(2), "1.5 seconds of it");
        assert_eq!(
            count(&report, "/operations"),
            fake.seen("GET") - per_s.div_ceil(2),
            "the first half does not count"
        );
        assert_eq!(count(&report, "/unsent"), 0);
    }
}

#[test]
fn a_warm_up_does_not_count() {
    let fake = Fake::honest();
    let report = report(fake.addr, &["--requests", "300", "--warmup", "0.2", "--ratio", "1:0"]);
    assert_eq!(count(&report, "/operations"), 300);
    assert!(fake.seen("GET") > 300);
}

#[test]
fn preload_stores_each_key_once() {
    let fake = Fake::honest();
    let flags = ["--preload", "--keys", "3000", "--requests", "0", "--value-size", "10-90", "--verify=hits"];
    let all = report(fake.addr, &flags);
    assert_eq!((fake.seen("SET"), fake.items()), (3000, 3000));
    assert_eq!((count(&all, "/preload/keys"), count(&all, "/operations")), (3000, 0));
    assert!(number(&all, "/preload/per_s") > 0.0);
    // Another run, with another seed, knows the values.
    let flags =
        ["--keys", "3000", "--value-size", "10-90", "--seed", "9", "--requests", "2000", "--verify", "--ratio", "1:0"];
    let read = report(fake.addr, &flags);
    assert_eq!((count(&read, "/hits"), count(&read, "/misses")), (2000, 0));
    let some = Fake::honest();
    report(some.addr, &["--preload=17", "--keys", "3000", "--requests", "0"]);
    assert_eq!(some.items(), 17);
}

#[test]
fn what_is_missed_is_filled() {
    for pace in [&[][..], &["--rate", "3000"]] {
        let fake = Fake::honest();
        let flags =
            [&["--fill-on-miss", "--ratio", "1:0", "--keys", "500", "--requests", "3000", "--verify"], pace].concat();
        let report = report(fake.addr, &flags);
        assert_eq!(fake.seen("GET"), 3000);
        assert_eq!(fake.seen("SET"), count(&report, "/misses"));
        assert_eq!(count(&report, "/kinds/fill/count"), count(&report, "/misses"));
        assert_eq!(count(&report, "/operations"), 3000 + count(&report, "/misses"));
        let ratio = count(&report, "/hits") as f64 / 3000.0;
        assert!((number(&report, "/hit_ratio") - ratio).abs() < 1e-5);
        assert!(fake.items() <= 500 && ratio > 0.5, "{report}");
    }
}

#[test]
fn every_kind_arrives_as_drawn() {
    let fake = Fake::honest();
    let mix = "get=5,set=5,mget:7=5,mset:3=5,incr=5,del=1,exists=1,expire=1,publish=5,ping=1";
    let flags = ["--mix", mix, "--requests", "4000", "--keys", "100", "--verify", "--ttl", "60-90", "--pipeline", "4"];
    let report = report(fake.addr, &flags);
    let mut total = 0;
    for name in ["get", "set", "mget", "mset", "incr", "del", "exists", "expire", "publish", "ping"] {
        let counted = count(&report, &format!("/kinds/{name}/count"));
        // The first PING only asks whether somebody is there.
        let greeting = u64::from(name == "ping");
        assert_eq!(fake.seen(&name.to_uppercase()) - greeting, counted, "{name}");
        assert!(counted > 0, "{name}");
        total += counted;
    }
    assert_eq!(total, 4000);
    let read = count(&report, "/kinds/get/count") + 7 * count(&report, "/kinds/mget/count");
    assert_eq!(count(&report, "/hits") + count(&report, "/misses"), read);
}

#[test]
fn each_request_goes_to_the_owner_of_its_key() {
    let fakes: Vec<_> = (0..3).map(|_| Fake::honest()).collect();
    let ports: Vec<_> = fakes.iter().map(|fake| fake.addr.port().to_string()).collect();
    let host = format!("127.0.0.1:{}", ports[0]);
    let flags = [
        "--target",
        &host,
        "--core-ports",
        &ports.join(","),
        "--json",
        "--requests",
        "3000",
        "--mix",
        "get=1,set=1,mget:2=1",
    ];
    let ended =
        crate::bench::start(crate::bench::command(&[&flags[..], &["--preload", "--keys", "300"]].concat())).end();
    let report = ended.report();
    assert_eq!(count(&report, "/options/core_ports"), 3);
    let seen = |name: &str| fakes.iter().map(|fake| fake.seen(name)).sum::<u64>();
    assert_eq!(seen("GET") + seen("SET") + seen("MGET"), 3000 + 300);
    assert_eq!(count(&report, "/kinds/get/misses"), 0);
    for (fake, core) in fakes.iter().zip(0..) {
        let keys = fake.keys();
        assert!(keys.len() > 500, "a third of them");
        assert!(keys.iter().all(|key| Slot::of(key).owner(3) == CoreId(core)));
    }
}

#[test]
fn memcached_is_spoken() {
    let fake = Fake::new(Speech::Memcached, |_| Action::Serve);
    let base = ["--protocol", "memcached", "--keys", "200", "--verify", "--pipeline", "4"];
    let mix = "get=4,set=2,mget:5=2,incr=1,del=1,expire=1,ping=1";
    let report =
        report(fake.addr, &[&base[..], &["--preload", "--requests", "3000", "--mix", mix, "--ttl", "60"]].concat());
    assert_eq!(count(&report, "/operations"), 3000);
    assert_eq!(count(&report, "/kinds/set/count") + 200, fake.seen("set"));
    assert_eq!(count(&report, "/kinds/get/count") + count(&report, "/kinds/mget/count"), fake.seen("get"));
    assert_eq!(count(&report, "/kinds/incr/count"), fake.seen("ma"));
    let read = count(&report, "/kinds/get/count") + 5 * count(&report, "/kinds/mget/count");
    assert_eq!(count(&report, "/hits") + count(&report, "/misses"), read);
    assert!(count(&report, "/misses") > 0, "some keys are deleted");
    run(fake.addr, &["--protocol", "memcached", "--mix", "publish=1"]).check_failed(&["memcached has no publish"]);
}
