<?php
// Laravel's cache and session, by phpredis and by predis, as a new application has them: the cache in database 1, all else in 0.
// Arguments: port, auth key or nothing.

use Illuminate\Cache\CacheManager;
use Illuminate\Config\Repository;
use Illuminate\Container\Container;
use Illuminate\Redis\RedisManager;
use Illuminate\Session\SessionManager;

foreach (['Cache', 'Config', 'Container', 'Redis', 'Session'] as $component) {
    require_once "Illuminate/$component/autoload.php";
}
require_once 'Predis/autoload.php';
Predis\Autoloader::register();

const LIFETIME_MINUTES = 120;

function check($actual, $expected, string $what): void
{
    if ($actual !== $expected) {
        throw new Exception("$what: " . var_export($actual, true) . ' instead of ' . var_export($expected, true));
    }
}

function within($actual, int $low, int $high, string $what): void
{
    if ($actual < $low || $actual > $high) {
        throw new Exception("$what: " . var_export($actual, true) . " is not from $low to $high");
    }
}

/** Checks that a call leads to a command that the server does not know. predis throws, phpredis goes on and keeps the error. */
function refused(callable $call, string $command, $connection, string $what): void
{
    $client = $connection->client();
    $error = '';
    try {
        $call();
        $error = (string) $client->getLastError();
        $client->clearLastError();
    } catch (Predis\Response\ServerException $refused) {
        $error = $refused->getMessage();
    }
    check(preg_match("/unknown command .$command./i", $error), 1, "$what: $error");
}

function application(string $client, int $port, ?string $password): Container
{
    $server = ['host' => '127.0.0.1', 'port' => $port, 'password' => $password];
    $app = new Container();
    $app->instance('config', new Repository([
        'cache' => [
            'default' => 'redis',
            'stores' => ['redis' => ['driver' => 'redis', 'connection' => 'cache', 'lock_connection' => 'default']],
            'prefix' => 'laravel_cache',
        ],
        'session' => [
            'driver' => 'redis',
            'store' => null,
            'connection' => 'default',
            'lifetime' => LIFETIME_MINUTES,
            'cookie' => 'laravel_session',
        ],
    ]));
    $app->instance('redis', new RedisManager($app, $client, [
        'options' => ['cluster' => 'redis', 'prefix' => 'laravel_database_'],
        'default' => $server + ['database' => 0],
        'cache' => $server + ['database' => 1],
    ]));
    $app->instance('cache', new CacheManager($app));
    return $app;
}

function cache($cache, $connection): void
{
    $value = ['name' => 'alice', 'roles' => [1, 2, 3], 'binary' => "\0\r\n\xff"];
    check($cache->get('absent'), null, 'get of nothing');
    check($cache->put('user:1', $value, 60), true, 'put');
    check($cache->get('user:1'), $value, 'get');
    within($connection->ttl('laravel_cache:user:1'), 1, 60, 'its TTL');
    check($cache->forever('kept', 'v'), true, 'forever');
    check($connection->ttl('laravel_cache:kept'), -1, 'TTL of what is kept');
    check($cache->putMany(['a' => 1, 'b' => 'two'], 60), true, 'putMany');
    check($cache->many(['a', 'b', 'absent']), ['a' => '1', 'b' => 'two', 'absent' => null], 'many');
    check($cache->increment('count'), 1, 'increment');
    check($cache->increment('count', 41), 42, 'increment by');
    check($cache->decrement('count', 2), 40, 'decrement');
    check($cache->remember('computed', 60, fn () => 'first'), 'first', 'remember');
    check($cache->remember('computed', 60, fn () => 'second'), 'first', 'remember again');
    check($cache->pull('computed'), 'first', 'pull');
    check($cache->has('computed'), false, 'has');
    check($cache->forget('kept'), true, 'forget');
    check($cache->forget('kept'), false, 'forget again');
}

function expiry($cache, $connection): void
{
    $cache->put('brief', 'v', 60);
    check((bool) $connection->pexpire('laravel_cache:brief', 1), true, 'pexpire');
    for ($deadline = microtime(true) + 60; $cache->has('brief'); ) {
        within(microtime(true), 0, (int) $deadline, 'the time by which an item has expired');
    }
}

function locks($cache): void
{
    $lock = $cache->lock('job', 60);
    check($lock->get(), true, 'a lock');
    check($cache->lock('job', 60)->get(), false, 'a lock that is held');
    $lock->forceRelease();
    check($cache->lock('job', 60)->get(), true, 'a lock that was given back');
    $cache->lock('job')->forceRelease();
}

function session(Container $app, $connection): void
{
    $start = function (?string $id) use ($app) {
        $session = (new SessionManager($app))->driver();
        $session->setId($id);
        $session->start();
        return $session;
    };
    $session = $start(null);
    $session->put('user', 7);
    $session->flash('status', 'saved');
    $session->save();
    $id = $session->getId();
    $name = "laravel_cache:$id";
    within($connection->ttl($name), 1, LIFETIME_MINUTES * 60, "a session's TTL");
    $next = $start($id);
    check([$next->get('user'), $next->get('status')], [7, 'saved'], 'the next request');
    $next->save();
    check($start($id)->get('status'), null, 'what was flashed, a request later');
    $next->invalidate();
    check((int) $connection->exists($name), 0, 'a session that ended');
    $connection->expire("laravel_cache:{$next->getId()}", 0);
    $session->save();
    $connection->pexpire($name, 0);
    check($start($id)->get('user'), null, 'a session that expired');
}

/** What needs scripts or sets. */
function refusals($cache, $connection): void
{
    refused(fn () => $cache->add('once', 'v', 60), 'eval', $connection, 'add');
    refused(fn () => $cache->getStore()->setLockConnection('cache')->lock('job')->release(), 'eval', $connection, 'release');
    refused(fn () => $cache->tags('people')->put('user:1', 'v', 60), 'sadd', $connection, 'tags');
}

function databases(Container $app, $zero, $one): void
{
    $cache = $app->make('cache')->store();
    $zero->set('of', 'zero');
    $cache->put('of', 'one', 60);
    $session = (new SessionManager($app))->driver();
    $session->start();
    $session->put('user', 7);
    $session->save();
    check($zero->get('of'), 'zero', 'database 0');
    check([$zero->dbsize(), $one->dbsize()], [2, 1], 'items of each');
    check($cache->flush(), true, 'a flush of the cache');
    check($cache->get('of'), null, 'the cache after its flush');
    check([$zero->dbsize(), $one->dbsize()], [2, 0], 'items of each after it');
    check($zero->get('of'), 'zero', 'database 0 after it');
    $zero->flushdb();
}

[$port, $password] = [(int) $argv[1], $argv[2] ?? null];
foreach (['phpredis', 'predis'] as $client) {
    $app = application($client, $port, $password);
    [$zero, $one] = [$app->make('redis')->connection('default'), $app->make('redis')->connection('cache')];
    $zero->flushdb();
    $one->flushdb();
    $cache = $app->make('cache')->store();
    cache($cache, $one);
    expiry($cache, $one);
    locks($cache);
    session($app, $zero);
    $zero->flushdb();
    $one->flushdb();
    databases($app, $zero, $one);
    if ($one->info()['aspine_version'] ?? $one->info()['Server']['aspine_version'] ?? null) {
        refusals($cache, $one);
    }
}
