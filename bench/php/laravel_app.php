<?php

/** The application that laravel.php measures: Laravel with the cache stores apc, redis and libcache, and nothing that listens. */

use Illuminate\Cache\CacheServiceProvider;
use Illuminate\Config\Repository as Config;
use Illuminate\Foundation\Application;
use Illuminate\Redis\RedisServiceProvider;
use Illuminate\Support\Facades\Facade;
use Libcache\Laravel\LibcacheServiceProvider;

require ($vendor = getenv('LIBCACHE_LARAVEL_VENDOR')) ? "{$vendor}/autoload.php" : 'Illuminate/autoload.php';
require __DIR__.'/../../bindings/php/laravel/autoload.php';

/** A private redis-server on a loopback port; ends with this process. */
function start_redis(): int
{
    $probe = stream_socket_server('tcp://127.0.0.1:0');
    $port = (int) substr(strrchr(stream_socket_get_name($probe, false), ':'), 1);
    fclose($probe);

    $process = proc_open(['timeout', '900', 'redis-server', '--port', $port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
        [['file', '/dev/null', 'r'], ['file', '/dev/null', 'a'], ['file', '/dev/null', 'a']], $pipes);

    register_shutdown_function(function () use ($process) {
        proc_terminate($process); // timeout passes it on
        proc_close($process);
    });

    for ($end = microtime(true) + 10; microtime(true) < $end; usleep(5000)) {
        if ($socket = @fsockopen('127.0.0.1', $port)) {
            fclose($socket);

            return $port;
        }
    }

    throw new RuntimeException('redis-server does not answer');
}

function make_app(int $redis): Application
{
    $app = new Application(sys_get_temp_dir());
    $app->instance('config', new Config([
        'app' => ['env' => 'production', 'debug' => false],
        'cache' => ['default' => 'libcache', 'prefix' => 'bench', 'stores' => [
            'apc' => ['driver' => 'apc'],
            'redis' => ['driver' => 'redis', 'connection' => 'default'],
            'libcache' => ['driver' => 'libcache', 'cache' => [
                'segment' => 'private', 'memory' => '128MiB', 'redis_url' => "redis://127.0.0.1:{$redis}/1", 'redis_prefix' => 'bench',
            ]],
        ]],
        'database' => ['redis' => [
            'client' => 'phpredis',
            'options' => [],
            'default' => ['host' => '127.0.0.1', 'port' => $redis, 'database' => 0],
        ]],
    ]));

    Facade::setFacadeApplication($app);
    foreach ([CacheServiceProvider::class, RedisServiceProvider::class, LibcacheServiceProvider::class] as $provider) {
        $app->register($provider);
    }
    $app->boot();

    return $app;
}
