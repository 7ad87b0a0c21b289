<?php

namespace Libcache\Laravel\Tests;

use Libcache\Exception;
use Libcache\Laravel\Tests\Support\WithRedis;

class LockWithRedisTest extends Support\TestCase
{
    use Support\LockTests, WithRedis;

    public function test_a_lock_holds_on_all_hosts()
    {
        $other = $this->otherHost();

        $this->assertTrue($this->cache()->lock('l', 60, 'me')->get());
        $this->assertFalse($other->lock('l', 60)->get());
        $this->assertTrue($other->restoreLock('l', 'me')->release());
        $this->assertTrue($other->lock('l', 60)->get());
    }

    public function test_when_nobody_knows_it_says_so()
    {
        $lock = $this->cache()->lock('l', 60);
        self::$redis->stop();

        try {
            $this->expectException(Exception::class);
            $this->expectExceptionMessageMatches('/lock \[testsl\]: /');
            $lock->get();
        } finally {
            self::$redis->start();
        }
    }
}
