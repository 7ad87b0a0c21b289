<?php

namespace Libcache\Laravel\Tests;

use Libcache\Laravel\Tests\Support\WithRedis;

/** While Redis is away. */
class FaultsTest extends Support\TestCase
{
    use WithRedis;

    public function test_reads_are_misses_and_changes_say_false_and_are_logged_once()
    {
        $this->cache()->put('k', 'v', 60);
        self::$redis->stop();

        try {
            $this->assertSame('v', $this->cache()->get('k')); // L1 still may answer
            $this->assertNull($this->cache()->get('x'));
            $this->assertFalse($this->cache()->put('p', 'v', 60));
            $this->assertFalse($this->cache()->increment('n'));
            $this->assertFalse($this->cache()->add('a', 1, 60));
            $this->assertSame('loaded', $this->cache()->remember('r', 60, fn () => 'loaded'));
            $this->cache()->tags('t')->flush();
        } finally {
            self::$redis->start();
        }

        $this->assertSame(1, substr_count($this->logged(), 'WARNING: libcache: put failed: '));
        $this->assertSame(1, substr_count($this->logged(), 'WARNING'));
    }

    public function test_faults_can_be_kept_quiet()
    {
        $cache = $this->newApp(['libcache' => ['fault_channel' => false]])['cache']->store();
        self::$redis->stop();

        try {
            $this->assertFalse($cache->put('p', 'v', 60));
            $this->assertSame('', $this->logged());
        } finally {
            self::$redis->start();
        }
    }

    public function test_what_redis_was_not_told_is_told_when_it_is_back()
    {
        $other = $this->otherHost();
        $this->cache()->tags('t')->put('k', 'v', 60);
        self::$redis->stop();
        $this->cache()->tags('t')->flush();
        $this->assertNull($this->cache()->tags('t')->get('k'));
        self::$redis->start();

        self::until(fn () => $this->native()->poll() && $this->native()->stats()['owed_bytes'] === 0, 'Redis was told');
        $other->getStore()->cache()->poll();
        $this->assertNull($other->tags('t')->get('k'));
    }
}
