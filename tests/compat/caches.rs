//! Caches and sessions of others, which use databases: a program for each runs beside redis-server, whose replies it expects,
//! and on servers of two cores with and without an auth key. What needs scripts or other types of values is refused here, and
//! the program has seen how that ends.

use std::process::Command;

use crate::generator::Other;
use crate::scripts::{node, passes, python, works};
use crate::support::server::Setup;
use crate::{KEY, left_out};

/// Debian's packages of what PHP needs.
const PHP_PACKAGES: &str = "php-cli php-redis php-predis php-illuminate-cache php-illuminate-config php-illuminate-container \
                            php-illuminate-redis php-illuminate-session";

/// Debian's packages of what Ruby needs.
const RUBY_PACKAGES: &str = "ruby ruby-activesupport ruby-redis";

/// Runs a script by `program`, if there is one.
#[track_caller]
fn run(script: &str, program: Option<Command>) {
    let Some(program) = program else { return };
    let flags = |port: &str| ["--port", port, "--save", ""].map(str::to_owned).to_vec();
    if let Some(redis) = Other::start("redis-server", "redis-server", flags) {
        passes(&program, script, redis.port, None);
    }
    for key in [None, Some(KEY)] {
        let mut flags = vec!["--max-memory", "1gb"];
        flags.extend(key.iter().flat_map(|key| ["--authkey", *key]));
        passes(&program, script, Setup::new(2, &flags).start().addr.port(), key);
    }
}

/// `program` if it runs `code`, which asks for the libraries.
fn of_debian(program: &str, flag: &str, code: &str, packages: &str) -> Option<Command> {
    if works(Command::new(program).args([flag, code])) {
        return Some(Command::new(program));
    }
    left_out(&format!("{program} with its libraries"), &format!("apt-get install --no-install-recommends {packages}"));
    None
}

fn php() -> Option<Command> {
    let components = ["Cache", "Config", "Container", "Redis", "Session"];
    let requires: String = components.iter().map(|name| format!("require 'Illuminate/{name}/autoload.php';")).collect();
    of_debian("php", "-r", &format!("{requires} require 'Predis/autoload.php'; new Redis();"), PHP_PACKAGES)
}

#[test]
fn cashews() {
    run("cashews_cache.py", python("cashews, redis"));
}

#[test]
fn django() {
    run("django_cache.py", python("django, django_redis"));
}

#[test]
fn aiocache_and_flask_caching() {
    run("python_caches.py", python("aiocache, flask_caching, redis"));
}

#[test]
fn glide_for_python() {
    run("valkey_glide.py", python("glide"));
}

#[test]
fn glide_for_node() {
    run("valkey_glide.mjs", node(&["@valkey/valkey-glide"]));
}

#[test]
fn keyv() {
    run("keyv.mjs", node(&["keyv", "@keyv/redis"]));
}

#[test]
fn sessions_of_express() {
    run("express_session.mjs", node(&["express-session", "connect-redis", "redis"]));
}

#[test]
fn laravel() {
    run("laravel.php", php());
}

#[test]
fn sessions_of_phpredis() {
    run("php_session.php", php());
}

#[test]
fn rails() {
    let code = "require 'active_support'; require 'active_support/cache/redis_cache_store'";
    run("rails_cache.rb", of_debian("ruby", "-e", code, RUBY_PACKAGES));
}
