<?php

namespace Libcache\Laravel\Tests;

use Libcache\Laravel\Tests\Support\WithRedis;

class RateLimiterWithRedisTest extends Support\TestCase
{
    use Support\RateLimiterTests, WithRedis;

    public function test_all_hosts_count_together()
    {
        $ours = $this->limiter();
        $ours->hit('k', 60);
        $this->otherHost();
        $theirs = \Illuminate\Support\Facades\Facade::getFacadeApplication()->make(\Illuminate\Cache\RateLimiter::class);

        $this->assertNotSame($ours, $theirs);
        $this->assertSame(2, $theirs->hit('k', 60));
        $this->assertSame(2, $ours->attempts('k'));
    }

    public function test_while_redis_is_away_each_host_counts_by_itself()
    {
        $limiter = $this->limiter();
        $limiter->hit('k', 60);
        self::$redis->stop();

        try {
            $this->assertSame(1, $limiter->hit('k', 60));
            $this->assertSame(2, $limiter->hit('k', 60));
            $this->assertTrue($limiter->tooManyAttempts('k', 2));
            $this->assertFalse($limiter->tooManyAttempts('k', 3));
        } finally {
            self::$redis->start();
        }
    }
}
