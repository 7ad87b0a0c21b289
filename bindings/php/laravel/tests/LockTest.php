<?php

namespace Libcache\Laravel\Tests;

use Illuminate\Contracts\Cache\LockProvider;

class LockTest extends Support\TestCase
{
    use Support\LockTests;

    public function test_a_lock_ends_by_itself()
    {
        $this->assertInstanceOf(LockProvider::class, $this->cache()->getStore());
        $this->assertTrue($this->cache()->lock('l', 10)->get());
        $this->clock->advance(9);
        $this->assertFalse($this->cache()->lock('l', 10)->get());
        $this->clock->advance(2);
        $this->assertTrue($this->cache()->lock('l', 10)->get());
    }

    public function test_refresh_gives_a_new_life()
    {
        $lock = $this->cache()->lock('l', 10);
        $this->assertFalse($lock->refresh());
        $this->assertTrue($lock->get());
        $this->clock->advance(9);
        $this->assertTrue($lock->refresh());
        $this->clock->advance(9);
        $this->assertTrue($lock->isLocked());
        $this->assertTrue($lock->refresh(100));
        $this->clock->advance(90);
        $this->assertTrue($lock->isOwnedByCurrentProcess());
        $this->clock->advance(11);
        $this->assertFalse($lock->refresh());
    }

    public function test_a_lock_of_no_seconds_does_not_end()
    {
        $this->assertTrue($this->cache()->lock('l')->get());
        $this->clock->advance(365 * 86400);
        $this->assertFalse($this->cache()->lock('l')->get());
    }
}
