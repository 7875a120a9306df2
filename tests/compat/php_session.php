<?php
// PHP's own sessions, kept by phpredis in database 1. Each request is a run of this program by itself, so that nothing is kept
// but in the server. Arguments: port, auth key or nothing; of a request: port, auth key or an empty one, what to do, session's id.

const LIFETIME_S = 1440;

function check($actual, $expected, string $what): void
{
    if ($actual !== $expected) {
        throw new Exception("$what: " . var_export($actual, true) . ' instead of ' . var_export($expected, true));
    }
}

/** What a page does in its request: the session's content before, as JSON. */
function request(string $port, string $key, string $does, string $id): void
{
    ini_set('session.save_handler', 'redis');
    ini_set('session.save_path', "tcp://127.0.0.1:$port?database=1&prefix=SESSION:" . ($key === '' ? '' : "&auth=$key"));
    ini_set('session.gc_maxlifetime', (string) LIFETIME_S);
    ini_set('session.use_cookies', '0');
    ini_set('session.cache_limiter', '');
    // A session is locked while a page has it, by SET NX and a script that gives it back.
    ini_set('redis.session.locking_enabled', $does === 'lock' ? '1' : '0');
    ini_set('redis.session.lock_retries', '0');
    session_id($id);
    check(session_start(), true, 'session_start');
    echo json_encode($_SESSION);
    match ($does) {
        'write' => $_SESSION = ['user' => 7, 'basket' => ['apple' => 2]],
        'add' => $_SESSION['basket']['pear'] = 1,
        'end' => session_destroy(),
        'read', 'lock' => null,
    };
}

/** The session's content before, and what PHP complained of. */
function page(string $port, string $key, string $does, string $id): array
{
    $command = array_merge([PHP_BINARY, '-d', 'display_errors=stderr', __FILE__, $port, $key, $does, $id]);
    $process = proc_open($command, [1 => ['pipe', 'w'], 2 => ['pipe', 'w']], $pipes);
    [$shown, $errors] = [stream_get_contents($pipes[1]), stream_get_contents($pipes[2])];
    check(proc_close($process), 0, "$does: $errors");
    return [json_decode($shown, true, flags: JSON_THROW_ON_ERROR), $errors];
}

function connect(string $port, string $key, int $database): Redis
{
    $redis = new Redis();
    $redis->connect('127.0.0.1', (int) $port);
    if ($key !== '') {
        $redis->auth($key);
    }
    check($redis->select($database), true, 'SELECT');
    return $redis;
}

function main(string $port, string $key): void
{
    [$zero, $one] = [connect($port, $key, 0), connect($port, $key, 1)];
    $zero->flushAll();
    $zero->set('SESSION:the-session', 'of database 0');
    $page = function (string $does, string $id = 'the-session') use ($port, $key) {
        [$content, $complaints] = page($port, $key, $does, $id);
        check($complaints, '', $does);
        return $content;
    };
    check($page('read'), [], 'a new session');
    check($page('write'), [], 'a session in which nothing was written');
    check($page('add'), ['user' => 7, 'basket' => ['apple' => 2]], 'the next request');
    check($page('read')['basket'], ['apple' => 2, 'pear' => 1], 'the third');
    $ttl = $one->ttl('SESSION:the-session');
    check(0 < $ttl && $ttl <= LIFETIME_S, true, "TTL $ttl");
    check($page('read', 'another'), [], 'another session');
    check($page('end'), ['user' => 7, 'basket' => ['apple' => 2, 'pear' => 1]], 'the last request');
    check($one->exists('SESSION:the-session'), 0, 'a session that ended');
    $page('write');
    check($one->pExpire('SESSION:the-session', 0), true, 'PEXPIRE');
    check($page('read'), [], 'a session that expired');
    $page('write');
    check($one->flushDB(), true, 'a flush of the sessions');
    check($page('read'), [], 'after a flush');
    check($zero->get('SESSION:the-session'), 'of database 0', 'the other database');
    // A flush of the other leaves sessions alone.
    $page('write');
    check([$zero->flushDB(), $zero->dbSize()], [true, 0], 'a flush of database 0');
    check($page('read')['user'], 7, 'after a flush of database 0');
    if (isset($zero->info()['aspine_version'])) {
        // A lock is taken, but only a script gives it back.
        [, $complaints] = page($port, $key, 'lock', 'locked');
        check(str_contains($complaints, 'Failed to release session lock'), true, 'a lock');
        check($one->del('SESSION:locked_LOCK'), 1, 'its key');
    }
}

if ($argc > 3) {
    request(...array_slice($argv, 1));
} else {
    main($argv[1], $argv[2] ?? '');
}
