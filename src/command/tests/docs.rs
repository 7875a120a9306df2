//! COMMAND and its subcommands in both protocols, decoded as a client decodes them, against the table.

use crate::command::docs::markdown_table;
use crate::command::facts::flag;
use crate::command::handler::{Command, Fold, Handler, OwnerHandler, Part};
use crate::command::lookup::Lookup;
use crate::command::subcommand::subcommands;
use crate::command::table::TABLE;
use crate::command::tests::{items, pairs, session_answer, text};
use crate::resp::{Proto, Value};

const PROTOS: [Proto; 2] = [Proto::Resp2, Proto::Resp3];

fn top_level() -> Vec<&'static Command> {
    TABLE.iter().filter(|row| !row.is_subcommand()).collect()
}

fn texts(value: &Value) -> Vec<&str> {
    items(value).iter().map(text).collect()
}

/// The command tips that follow from where a command runs, and how its parts are folded.
fn tips_of(handler: Handler) -> &'static [&'static str] {
    match handler {
        Handler::Owner(OwnerHandler::EachKey(_, Fold::Array)) => &["request_policy:multi_shard"],
        Handler::Owner(OwnerHandler::EachKey(_, Fold::Sum)) => {
            &["request_policy:multi_shard", "response_policy:agg_sum"]
        }
        Handler::Owner(OwnerHandler::EachKey(_, Fold::Ok)) => {
            &["request_policy:multi_shard", "response_policy:all_succeeded"]
        }
        Handler::EveryCore(Part::Size) => &["request_policy:all_shards", "response_policy:agg_sum"],
        Handler::EveryCore(Part::Clear | Part::Flush) => {
            &["request_policy:all_shards", "response_policy:all_succeeded"]
        }
        Handler::EveryCore(Part::Keys) => &["request_policy:all_shards", "nondeterministic_output_order"],
        Handler::EveryCore(Part::RandomKey) => {
            &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"]
        }
        Handler::Owner(OwnerHandler::Scan | OwnerHandler::ClusterScan) => {
            &["request_policy:special", "response_policy:special", "nondeterministic_output"]
        }
        _ => &[],
    }
}

/// Asserts that the ten fields of COMMAND INFO say what the row says.
fn assert_info(row: &Command, info: &Value) {
    let fields = items(info);
    assert_eq!(fields.len(), 10, "{}: Redis 7 has ten fields", row.name);
    assert_eq!(text(&fields[0]), row.name);
    assert_eq!(fields[1], Value::Integer(i64::from(row.arity)), "{}", row.name);
    let flags: Vec<_> = flag::NAMES.iter().filter(|(bit, _)| row.is(*bit)).map(|(_, name)| *name).collect();
    assert_eq!(texts(&fields[2]), flags, "{}", row.name);
    let told = |number: i64| if row.counts_keys() { 0 } else { number };
    let keys = [row.keys.first.into(), row.keys.last.into(), row.keys.step.into()].map(told);
    assert_eq!(fields[3..6], keys.map(Value::Integer), "{}", row.name);
    let categories = texts(&fields[6]);
    assert!(categories.iter().all(|category| category.starts_with('@')), "{}: {categories:?}", row.name);
    assert!(categories.contains(&"@fast") != categories.contains(&"@slow"), "{}: {categories:?}", row.name);
    assert_eq!(categories.contains(&"@write"), row.is(flag::WRITE), "{}: {categories:?}", row.name);
    let tips = texts(&fields[7]);
    assert_eq!(tips, tips_of(row.handler), "{}", row.name);
    let is_split = matches!(row.handler, Handler::Owner(OwnerHandler::EachKey(..)));
    assert_eq!(tips.contains(&"request_policy:multi_shard"), is_split, "{}: {tips:?}", row.name);
    // Redis's own of these, but for the order.
    let known: &[&str] = match row.name {
        "del" | "exists" => &["request_policy:multi_shard", "response_policy:agg_sum"],
        "dbsize" => &["request_policy:all_shards", "response_policy:agg_sum"],
        "flushall" => &["request_policy:all_shards", "response_policy:all_succeeded"],
        "get" | "info" | "rename" => &[],
        _ => &tips,
    };
    assert_eq!(tips, known, "{}", row.name);
    assert_eq!(items(&fields[8]).len(), usize::from(row.keys.first > 0), "{}: key specifications", row.name);
    for spec in items(&fields[8]) {
        let names: Vec<_> = pairs(spec).into_iter().map(|(name, _)| text(name)).collect();
        assert_eq!(names, ["flags", "begin_search", "find_keys"], "{}", row.name);
    }
    let of_row = |sub: &&Command| sub.is_subcommand() && !row.is_subcommand() && sub.container() == row.name;
    let subs: Vec<_> = TABLE.iter().filter(of_row).collect();
    assert_eq!(items(&fields[9]).len(), subs.len(), "{}", row.name);
    for (sub, info) in subs.iter().zip(items(&fields[9])) {
        assert_info(sub, info);
    }
}

#[test]
fn command_describes_every_command() {
    for proto in PROTOS {
        for line in ["command", "command|info"] {
            let all = session_answer(line, proto);
            assert_eq!(items(&all).len(), top_level().len());
            for (row, info) in top_level().iter().zip(items(&all)) {
                assert_info(row, info);
            }
        }
        assert_eq!(session_answer("command|count", proto), Value::Integer(top_level().len() as i64));
    }
}

#[test]
fn command_info_answers_by_name_and_null_for_none() {
    for row in TABLE {
        let info = session_answer(&format!("command|info {}", row.name.to_ascii_uppercase()), Proto::Resp3);
        assert_info(row, &items(&info)[0]);
    }
    for proto in PROTOS {
        let info = session_answer("command|info get nope set", proto);
        let [get, nope, set] = items(&info) else { panic!("{info:?}") };
        assert_eq!((text(&items(get)[0]), text(&items(set)[0])), ("get", "set"));
        assert!(matches!(nope, Value::Null | Value::Bulk(None) | Value::Array(None)), "{nope:?}");
    }
}

#[test]
fn command_docs_has_a_map_of_each_command() {
    for proto in PROTOS {
        let all = session_answer("command|docs", proto);
        let all = pairs(&all);
        assert_eq!(all.len(), top_level().len());
        for (row, (name, docs)) in top_level().iter().zip(all) {
            assert_eq!(text(name), row.name);
            let docs = pairs(docs);
            let field = |wanted: &str| docs.iter().find(|(name, _)| text(name) == wanted).map(|(_, value)| *value);
            assert_eq!(field("summary").map(text), Some(row.summary));
            assert_eq!(field("group").map(text), Some(row.group.name()));
            assert!(field("since").is_some());
            let subs = field("subcommands").map_or(0, |subs| pairs(subs).len());
            assert_eq!(subs, subcommands(row.name).len(), "{}", row.name);
        }
        let some = session_answer("command|docs GET nope config|set", proto);
        let names: Vec<_> = pairs(&some).into_iter().map(|(name, _)| text(name)).collect();
        assert_eq!(names, ["get", "config|set"], "unknown names are left out");
    }
}

#[test]
fn command_list_names_all_and_filters() {
    let list = |line: &str| {
        let names = session_answer(&format!("command|list {line}"), Proto::Resp2);
        items(&names).iter().map(|name| text(name).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list(""), top_level().iter().map(|row| row.name).collect::<Vec<_>>());
    let with_get: Vec<_> = TABLE.iter().map(|row| row.name).filter(|name| name.contains("get")).collect();
    assert_eq!(list("filterby pattern *GET*"), with_get);
    assert!(list("FILTERBY MODULE none").is_empty());
    let writes: Vec<_> = TABLE.iter().filter(|row| row.is(flag::WRITE)).map(|row| row.name).collect();
    assert_eq!(list("FILTERBY ACLCAT WRITE"), writes);
    for line in ["FILTERBY", "FILTERBY PATTERN", "FILTERBY NOPE x", "NOPE PATTERN x", "FILTERBY PATTERN x y"] {
        let refusal = session_answer(&format!("command|list {line}"), Proto::Resp2);
        assert_eq!(refusal, Value::Error(b"ERR syntax error".to_vec()), "{line}");
    }
}

#[test]
fn command_getkeys_answers_as_redis_does() {
    // What redis-server 7.0.15 answered to COMMAND GETKEYS.
    let cases = [
        ("GET k", "k"),
        ("SET k v EX 10", "k"),
        ("MSET a b c d", "a c"),
        ("MSET a b c", "a c"),
        ("DEL a b c", "a b c"),
        ("EXPIRE a 1", "a"),
        ("SCAN 0", "ERR The command has no key arguments"),
        ("NOPE a", "ERR Invalid command specified"),
        ("SET k", "ERR Invalid number of arguments specified for command"),
        ("CONFIG GET x", "ERR The command has no key arguments"),
    ];
    for (line, expected) in cases {
        for proto in PROTOS {
            let keys = match session_answer(&format!("command|getkeys {line}"), proto) {
                Value::Error(refusal) => String::from_utf8(refusal).expect("ASCII"),
                keys => texts(&keys).join(" "),
            };
            assert_eq!(keys, expected, "{line}");
        }
    }
}

#[test]
fn help_names_every_subcommand() {
    for container in TABLE.iter().filter(|row| row.is_container()) {
        let help = session_answer(&format!("{}|help", container.name), Proto::Resp3);
        let lines = texts(&help);
        for sub in subcommands(container.name) {
            let name = sub.name.split_once('|').expect("a subcommand").1.to_ascii_uppercase();
            assert!(lines.iter().any(|line| line.split(' ').next() == Some(&name)), "{} HELP: {name}", container.name);
        }
    }
}

#[test]
fn the_reference_table_has_a_row_of_each_command() {
    let table = markdown_table();
    let lines: Vec<_> = table.lines().skip(2).collect();
    let rows: Vec<_> = TABLE.iter().filter(|row| !row.is_container() || row.name == "command").collect();
    assert_eq!(lines.len(), rows.len());
    for (line, row) in lines.iter().zip(rows) {
        assert!(line.starts_with(&format!("| {} |", row.name.to_ascii_uppercase().replace('|', " "))), "{line}");
        assert!(line.ends_with(&format!(" {} |", row.summary)), "{line}");
        assert_eq!(line.replace("\\|", "").matches('|').count(), 4, "three columns: {line}");
    }
    assert!(Lookup::default().find(b"get").is_some_and(|id| table.contains(id.row().summary)));
}
