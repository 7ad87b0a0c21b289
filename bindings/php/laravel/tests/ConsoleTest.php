<?php

namespace Libcache\Laravel\Tests;

use Libcache\Laravel\Repository;
use Libcache\Laravel\Tests\Support\WithRedis;
use Libcache\Laravel\Warmer;

class ConsoleTest extends Support\TestCase
{
    use WithRedis;

    protected function config(): array
    {
        return ['libcache' => ['warmers' => [ProfileWarmer::class]]];
    }

    public function test_stats()
    {
        $this->useNamedSegment();
        $this->cache()->put('k', 'v', 60);
        self::fork(fn () => $this->cache()->get('k').$this->cache()->get('none'))();

        [$status, $output] = $this->artisan('libcache:stats', ['--json' => true]);
        $stats = json_decode($output, true);
        $tests = array_column($stats['namespaces'], null, 'namespace')['tests'];
        $this->assertSame(0, $status);
        $this->assertSame([1, 1, 1, 1], // reads and misses of the other process
            [$tests['reads']['l1_hit'], array_sum($tests['misses']), $tests['writes']['set'], $tests['entries']]);
        $this->assertSame(0, $stats['host']['owed_bytes']);

        [$status, $output] = $this->artisan('libcache:stats');
        $this->assertSame(0, $status);
        $this->assertStringContainsString(', Redis: up', $output);
        $this->assertMatchesRegularExpression('/\| tests +\| 1 +\| 0 +\| 1 +\| 50 % +\| 1 +\| 0 +\| 0 +\| 1 +\| 0\.0 +\|/', $output);
        $this->assertMatchesRegularExpression('/\| \w*memory_bytes +\| [\d,]+ +\|/', $output);
        $this->assertMatchesRegularExpression('/\| exchange +\| [1-9]/', $output);
    }

    public function test_clear_by_tag()
    {
        $this->cache()->tags('a')->put('k', 1, 60);
        $this->cache()->tags('b')->put('k', 2, 60);
        $this->cache()->tags('c')->put('k', 3, 60);

        $this->assertSame([0, "Cleared: tags a, b\n"], $this->artisan('libcache:clear', ['--tag' => ['a', 'b']]));
        $this->assertSame([null, null, 3], array_map(fn ($tag) => $this->cache()->tags($tag)->get('k'), ['a', 'b', 'c']));
    }

    public function test_clear_by_namespace()
    {
        $profiles = $this->cache()->namespace('profiles');
        $profiles->put('k', 1, 60);
        $this->cache()->put('k', 2, 60);

        $this->assertSame([0, "Cleared: namespace profiles\n"], $this->artisan('libcache:clear', ['--namespace' => ['profiles']]));
        $this->assertNull($profiles->get('k'));
        $this->assertSame(2, $this->cache()->get('k'));

        $this->assertSame([0, "Cleared: namespace tests\n"], $this->artisan('libcache:clear'));
        $this->assertNull($this->cache()->get('k'));

        $profiles->put('k', 1, 60);
        $this->assertSame([0, "Cleared: everything\n"], $this->artisan('libcache:clear', ['--all' => true]));
        $this->assertNull($profiles->get('k'));
    }

    public function test_clear_says_when_other_hosts_were_not_told()
    {
        $this->cache()->put('k', 1, 60);
        self::$redis->stop();

        try {
            [$status, $output] = $this->artisan('libcache:clear', ['--tag' => ['a']]);
            $this->assertSame(1, $status);
            $this->assertStringContainsString('Cleared on this host only: tags a (', $output);
        } finally {
            self::$redis->start();
        }
    }

    public function test_warm()
    {
        ProfileWarmer::$asked = [];
        $this->cache()->namespace('profiles', ['ttl' => 300])->put('2', 'there', 60);

        [$status, $output] = $this->artisan('libcache:warm', ['--batch' => 2]);
        $this->assertSame(0, $status);
        $this->assertStringStartsWith('ProfileWarmer: 5 keys, 4 loaded, ', $output);
        $this->assertSame([['1'], ['3', '4'], ['5']], ProfileWarmer::$asked);
        $this->assertSame('profile 4', $this->cache()->namespace('profiles')->get('4'));

        $this->assertSame(0, $this->artisan('libcache:warm', ['warmer' => ['ProfileWarmer']])[0]);
        [$status, $output] = $this->artisan('libcache:warm', ['warmer' => ['Nope']]);
        $this->assertSame(1, $status);
        $this->assertStringContainsString('no warmer [Nope]', $output);
        $this->assertSame(1, $this->artisan('libcache:warm', ['--batch' => 0])[0]);
    }

    public function test_monitor()
    {
        $this->useNamedSegment();
        $this->cache()->put('k', 'v', 60);
        $other = self::fork(function () {
            for ($i = 0; $i < 60_000 && ! $this->cache()->get('enough'); $i++) {
                $this->cache()->get('k');
                usleep(1000);
            }
        });
        self::until(fn () => $this->native()->sumStats()['hits_l1'] > 0, 'the other process reads');

        $lines = [];
        self::until(function () use (&$status, &$lines) { // in so short a time the other process may not run at all
            [$status, $output] = $this->artisan('libcache:monitor', ['--count' => 2, '--interval' => 0.1]);
            $lines = explode("\n", trim($output));

            return (int) (preg_split('/ +/', $lines[2] ?? '')[1] ?? 0) > 0;
        }, 'hits a second of the other process are shown');
        $this->cache()->forever('enough', true);
        $other();

        $this->assertSame(0, $status);
        $this->assertCount(3, $lines);
        $this->assertStringContainsString('entries', $lines[0]);
        $this->assertStringEndsWith('up', $lines[2]);
        $this->assertSame(1, $this->artisan('libcache:monitor', ['--interval' => 'x'])[0]);
    }

    public function test_another_store_is_refused_by_name()
    {
        [$status, $output] = $this->artisan('libcache:stats', ['--store' => 'array']);
        $this->assertSame(1, $status);
        $this->assertStringContainsString("[array] is not one of libcache's", $output);
    }

    public function test_laravels_own_commands_work()
    {
        $this->app->singleton('files', fn () => new \Illuminate\Filesystem\Filesystem);
        \Illuminate\Console\Application::starting(function ($artisan) {
            $artisan->resolveCommands([\Illuminate\Cache\Console\ClearCommand::class, \Illuminate\Cache\Console\ForgetCommand::class]);
        });
        $this->cache()->put('k', 1, 60);
        $this->cache()->put('l', 1, 60);
        $this->cache()->tags('t')->put('k', 1, 60);

        $this->artisan('cache:forget', ['key' => 'k']);
        $this->assertSame(['k' => null, 'l' => 1], $this->cache()->many(['k', 'l']));
        $this->artisan('cache:clear', ['--tags' => 't']);
        $this->assertNull($this->cache()->tags('t')->get('k'));
        $this->assertSame(1, $this->cache()->get('l'));
        $this->artisan('cache:clear');
        $this->assertNull($this->cache()->get('l'));
    }
}

class ProfileWarmer implements Warmer
{
    public static array $asked = [];

    public function cache(Repository $cache)
    {
        return $cache->namespace('profiles', ['ttl' => 300]);
    }

    public function keys(): iterable
    {
        yield from range(1, 5);
    }

    public function load(array $keys): array
    {
        self::$asked[] = $keys;

        return array_combine($keys, array_map(fn ($key) => "profile {$key}", $keys));
    }

    public function ttl(): ?int
    {
        return null;
    }
}
