<?php

namespace Libcache\Laravel\Tests\Support;

/** That a missing entry is loaded once, however many processes ask. */
trait LoadTests
{
    /** @dataProvider waysToLoad */
    public function test_processes_that_miss_at_once_load_once(callable $ask)
    {
        $this->useNamedSegment();
        $cache = $this->cache();
        $calls = $this->logFile('calls'); // not in the cache: a change there may fence a load of a key that shares its slot

        $processes = [];
        for ($i = 0; $i < 4; $i++) {
            $processes[] = self::fork(function () use ($cache, $ask, $calls) {
                $cache->increment('ready');
                self::until(fn () => $cache->get('ready') >= 4, 'all are ready');

                return $ask($cache, function () use ($calls) {
                    file_put_contents($calls, 'call ', FILE_APPEND);
                    usleep(200_000);

                    return ['value' => 1];
                });
            });
        }

        foreach ($processes as $result) {
            $this->assertSame(['value' => 1], $result());
        }

        $this->assertSame('call ', $this->logged('calls'));
    }

    public static function waysToLoad(): array
    {
        return [
            'remember' => [fn ($cache, $load) => $cache->remember('k', 60, $load)],
            'rememberForever' => [fn ($cache, $load) => $cache->rememberForever('k', $load)],
            'flexible' => [fn ($cache, $load) => $cache->flexible('k', [10, 60], $load)],
            'tags' => [fn ($cache, $load) => $cache->tags('t')->remember('k', 60, $load)],
            'rememberMany' => [fn ($cache, $load) => $cache->rememberMany(['k'], 60, fn () => ['k' => $load()])['k']],
        ];
    }

    public function test_the_next_one_loads_when_the_leader_fails()
    {
        $this->useNamedSegment();
        $cache = $this->cache();

        $first = self::fork(function () use ($cache) {
            try {
                $cache->remember('k', 60, function () use ($cache) {
                    $cache->forever('leads', 1);
                    usleep(100_000);

                    throw new \RuntimeException('the source is away');
                });
            } catch (\RuntimeException $e) {
                return $e->getMessage();
            }
        });

        self::until(fn () => $cache->get('leads'), 'the other process leads');
        $this->assertSame('v', $cache->remember('k', 60, fn () => 'v'));
        $this->assertSame('the source is away', $first());
    }

    public function test_the_next_one_loads_when_the_leader_is_killed()
    {
        $this->useNamedSegment();
        $cache = $this->cache();
        $pid = pcntl_fork();

        if ($pid === 0) {
            $cache->remember('k', 60, function () use ($cache) {
                $cache->forever('leads', 1);
                sleep(30);
            });
            posix_kill(getmypid(), SIGKILL);
        }

        self::until(fn () => $cache->get('leads'), 'the other process leads');
        posix_kill($pid, SIGKILL);
        pcntl_waitpid($pid, $status);

        $this->assertSame('v', $cache->remember('k', 60, fn () => 'v'));
        $this->assertSame('v', $cache->get('k'));
    }
}
