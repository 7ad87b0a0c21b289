<?php

namespace Libcache\Laravel\Tests;

use Libcache\Laravel\Tests\Support\WithRedis;

class LoadsWithRedisTest extends Support\TestCase
{
    use Support\LoadTests, WithRedis;

    public function test_a_fill_is_told_to_nobody()
    {
        $before = $this->native()->stats()['log_position'];
        $this->cache()->remember('k', 60, fn () => 1);
        $this->cache()->flexible('l', [10, 60], fn () => 1);
        $this->native()->poll();
        $this->assertSame($before, $this->native()->stats()['log_position']);

        $this->cache()->put('k', 2, 60);
        $this->native()->poll();
        $this->assertGreaterThan($before, $this->native()->stats()['log_position']);
    }

    public function test_a_load_that_another_host_overtakes_is_not_stored()
    {
        $other = $this->otherHost();

        $this->assertSame('old', $this->cache()->tags('t')->remember('k', 60, function () use ($other) {
            $other->tags('t')->flush();

            return 'old';
        }));
        $this->native()->poll();
        $this->assertNull($this->cache()->tags('t')->get('k'));
        $this->assertNull($other->tags('t')->get('k'));
    }
}
