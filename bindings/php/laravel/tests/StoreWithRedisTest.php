<?php

namespace Libcache\Laravel\Tests;

use Libcache\Laravel\Tests\Support\WithRedis;

class StoreWithRedisTest extends Support\TestCase
{
    use Support\StoreTests, WithRedis;

    public function test_entries_expire_in_redis()
    {
        $this->cache()->put('k', 'v', 1);
        $this->assertSame('v', $this->cache()->get('k'));
        self::until(function () {
            $this->clock->advance(0.01); // L1 goes by this clock, Redis by its own

            return $this->cache()->get('k') === null;
        }, 'the entry expired');
    }

    public function test_a_batch_is_one_round_trip()
    {
        $keys = range(1, 50);
        $this->cache()->putMany(array_fill_keys($keys, 'v'), 60);
        $other = $this->otherHost();
        $other->get('warm up');
        $before = $other->getStore()->cache()->stats();

        $this->assertCount(50, array_filter($other->many($keys)));
        $after = $other->getStore()->cache()->stats();

        $this->assertSame(50, $after['l2_hits'] - $before['l2_hits']);
        $this->assertLessThanOrEqual(2, $after['l2_exchanges'] - $before['l2_exchanges']); // one, and now and then a look at the log
    }

    public function test_another_host_hears_of_changes()
    {
        $other = $this->otherHost();

        $this->cache()->put('k', 'old', 60);
        $this->cache()->tags('t')->put('k', 'old', 60);
        $this->assertSame('old', $other->get('k'));
        $this->assertSame('old', $other->tags('t')->get('k'));

        $this->cache()->put('k', 'new', 60);
        $this->cache()->tags('t')->flush();
        $other->getStore()->cache()->poll();

        $this->assertSame('new', $other->get('k'));
        $this->assertNull($other->tags('t')->get('k'));
    }

    public function test_redis_connections_of_the_application()
    {
        $app = $this->newApp([
            'libcache' => ['redis_connection' => 'cache'],
            'database' => ['redis' => ['cache' => ['host' => self::$redis->socket(), 'database' => 3]]],
            'cache' => ['stores' => ['libcache' => ['cache' => ['redis_url' => null]]]],
        ]);

        $app['cache']->store()->put('k', 'v', 60);

        $this->assertSame(1, $app['cache']->store()->getStore()->cache()->stats()['l2_up']);
        $this->assertSame(':1', self::$redis->send('EVAL "redis.call(\'SELECT\', 3) return redis.call(\'DBSIZE\') > 0" 0'));
    }
}
