<?php

namespace Libcache\Laravel\Tests\Support;

use Illuminate\Cache\CacheServiceProvider;
use Illuminate\Config\Repository as Config;
use Illuminate\Console\Application as Artisan;
use Illuminate\Container\Container;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Database\DatabaseServiceProvider;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Filesystem\FilesystemServiceProvider;
use Illuminate\Foundation\Application;
use Illuminate\Foundation\Exceptions\Handler;
use Illuminate\Session\SessionServiceProvider;
use Illuminate\Support\Facades\Facade;
use Libcache\Cache;
use Libcache\Clock;
use Libcache\Laravel\LibcacheServiceProvider;
use Libcache\Laravel\Repository;
use PHPUnit\Framework\TestCase as BaseTestCase;

/** A real application with the package in it. The cache is a private segment with a clock that the test moves. */
abstract class TestCase extends BaseTestCase
{
    protected Application $app;

    protected Clock $clock;

    private string $folder;

    /** @var string[] segments to remove */
    private array $segments = [];

    protected function setUp(): void
    {
        $this->folder = sys_get_temp_dir().'/libcache-laravel-app-'.bin2hex(random_bytes(6));
        mkdir($this->folder.'/bootstrap/cache', 0700, true);

        $this->clock = new Clock;
        $this->app = $this->newApp();
    }

    protected function tearDown(): void
    {
        $this->app->flush();
        Facade::clearResolvedInstances();
        Facade::setFacadeApplication(null);
        Container::setInstance(null);
        Model::unsetEventDispatcher();
        Model::clearBootedModels();
        Artisan::forgetBootstrappers();
        shell_exec('rm -rf '.escapeshellarg($this->folder));

        foreach ($this->segments as $name) {
            Cache::removeSegment($name);
        }
    }

    /** Options of Libcache\Cache::open() for the store. */
    protected function cacheOptions(): array
    {
        return ['segment' => 'private', 'memory' => '8MiB', 'clock' => $this->clock, 'redis_url' => ''];
    }

    /** Configuration over what all tests have. */
    protected function config(): array
    {
        return [];
    }

    protected function newApp(array $config = []): Application
    {
        $app = new Application($this->folder);
        $app->instance('config', new Config(array_replace_recursive([
            'app' => ['key' => str_repeat('k', 32), 'cipher' => 'AES-256-CBC', 'debug' => true, 'env' => 'testing'],
            'cache' => [
                'default' => 'libcache',
                'prefix' => 'tests',
                'stores' => ['libcache' => ['driver' => 'libcache', 'cache' => $this->cacheOptions()], 'array' => ['driver' => 'array']],
            ],
            'database' => [
                'default' => 'sqlite',
                'connections' => ['sqlite' => ['driver' => 'sqlite', 'database' => ':memory:', 'prefix' => '']],
            ],
            'logging' => [
                'default' => 'file',
                'channels' => [
                    'file' => ['driver' => 'single', 'path' => "{$this->folder}/app.log"],
                    'slow' => ['driver' => 'single', 'path' => "{$this->folder}/slow.log"],
                ],
            ],
            'session' => ['driver' => 'libcache', 'lifetime' => 5, 'cookie' => 'session'],
        ], $this->config(), $config)));

        $app->singleton(ExceptionHandler::class, Handler::class);
        Facade::clearResolvedInstances();
        Facade::setFacadeApplication($app);

        $app->register(FilesystemServiceProvider::class);
        $app->register(CacheServiceProvider::class);
        $app->register(DatabaseServiceProvider::class);
        $app->register(SessionServiceProvider::class);
        $app->register(LibcacheServiceProvider::class);

        $app->boot();

        return $app;
    }

    protected function cache(): Repository
    {
        return $this->app['cache']->store();
    }

    protected function native(): Cache
    {
        return $this->cache()->getStore()->cache();
    }

    /** What was logged to a file. */
    protected function logged(string $file = 'app'): string
    {
        return (string) @file_get_contents($this->logFile($file));
    }

    protected function logFile(string $file): string
    {
        return "{$this->folder}/{$file}.log";
    }

    /** Runs a command: its exit status and what it printed. */
    protected function artisan(string $command, array $parameters = []): array
    {
        $artisan = new Artisan($this->app, $this->app['events'], $this->app->version());
        $artisan->setAutoExit(false);
        $status = $artisan->call($command, $parameters);

        return [$status, $artisan->output()];
    }

    /** From now on the cache is a named segment, which processes that are forked share, and real time passes. */
    protected function useNamedSegment(): void
    {
        $this->segments[] = $name = 'laravel-tests-'.bin2hex(random_bytes(6));
        $options = ['segment' => 'named', 'name' => $name] + $this->cacheOptions();
        unset($options['clock']);

        $this->app['config']->set('cache.stores.libcache.cache', $options);
        $this->app['cache']->forgetDriver('libcache');
    }

    /** Waits until something is so, for a bounded time. */
    protected static function until(callable $so, string $what, float $seconds = 10): void
    {
        for ($end = microtime(true) + $seconds; ! $so(); usleep(2000)) {
            if (microtime(true) > $end) {
                self::fail("in {$seconds} s it never happened that {$what}");
            }
        }
    }

    /** Runs code in another process: a function of no arguments whose result is given by the returned function. */
    protected static function fork(callable $work): callable
    {
        [$ours, $theirs] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        $pid = pcntl_fork();

        if ($pid === 0) {
            try {
                $result = ['value' => $work()];
            } catch (\Throwable $e) {
                $result = ['error' => (string) $e];
            }
            fwrite($theirs, serialize($result));
            fclose($theirs);
            posix_kill(getmypid(), SIGKILL); // neither destructors nor PHPUnit's own ending
        }

        fclose($theirs);

        return static function () use ($ours, $pid) {
            stream_set_timeout($ours, 60);
            $result = unserialize((string) stream_get_contents($ours));
            pcntl_waitpid($pid, $status);
            self::assertIsArray($result, 'the other process gave no result');
            self::assertArrayNotHasKey('error', $result, $result['error'] ?? '');

            return $result['value'];
        };
    }
}
