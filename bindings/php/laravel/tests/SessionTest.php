<?php

namespace Libcache\Laravel\Tests;

use Illuminate\Support\Facades\Facade;
use Libcache\Laravel\Tests\Support\WithRedis;

class SessionTest extends Support\TestCase
{
    use WithRedis;

    protected function config(): array
    {
        return ['cache' => ['stores' => ['libcache' => ['cache' => ['poll' => 1.0]]]]]; // hosts hear of each other late
    }

    public function test_sessions_live_in_the_cache()
    {
        $session = $this->app['session']->driver();
        $session->start();
        $session->put('user', 7);
        $session->save();

        $again = $this->newApp()['session']->driver();
        $again->setId($session->getId());
        $again->start();
        $this->assertSame(7, $again->get('user'));
        $this->assertNull($this->cache()->get($session->getId())); // in a namespace of their own

        $this->cache()->flush();
        $again->start();
        $this->assertSame(7, $again->get('user'));

        $again->getHandler()->destroy($session->getId());
        $this->assertSame('', $again->getHandler()->read($session->getId()));
    }

    public function test_a_host_never_gives_out_an_older_session()
    {
        $session = $this->app['session']->driver();
        $session->start();
        $session->put('n', 1);
        $session->save();

        $this->otherHost();
        $other = Facade::getFacadeApplication()['session']->driver()->getHandler();
        $there = fn () => unserialize($other->read($session->getId()))['n'];
        $this->assertSame([1, 1, 1], [$there(), $there(), $there()]);

        $session->put('n', 2);
        $session->save();
        $this->assertSame(2, $there()); // at once: it has kept no copy
    }

    public function test_without_redis_they_live_in_the_segment()
    {
        $app = $this->newApp(['cache' => ['stores' => ['libcache' => ['cache' => ['redis_url' => '']]]]]);
        $session = $app['session']->driver();
        $session->start();
        $session->put('n', 1);
        $session->save();

        $this->assertSame('l1', $session->getHandler()->getCache()->getStore()->cache()->policy()['tiers']);
        $session->start();
        $this->assertSame(1, $session->get('n'));
        $this->clock->advance(5 * 60 + 1);
        $this->assertSame('', $session->getHandler()->read($session->getId()));
    }
}
