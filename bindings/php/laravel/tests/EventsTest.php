<?php

namespace Libcache\Laravel\Tests;

use Illuminate\Cache\Events\CacheHit;
use Illuminate\Cache\Events\CacheMissed;
use Illuminate\Cache\Events\KeyForgotten;
use Illuminate\Cache\Events\KeyWritten;
use Illuminate\Support\Facades\Event;

class EventsTest extends Support\TestCase
{
    /** @var string[] */
    private array $heard = [];

    private function listen(array $events = [CacheHit::class, CacheMissed::class, KeyWritten::class, KeyForgotten::class]): void
    {
        foreach ($events as $event) {
            $this->app['events']->listen($event, function ($e) {
                $this->heard[] = class_basename($e).' '.$e->key.($e->tags ? ' ['.implode(',', $e->tags).']' : '')
                    .(isset($e->seconds) ? " {$e->seconds}s" : '').(isset($e->value) ? ' '.json_encode($e->value) : '');
            });
        }
    }

    private function heard(): array
    {
        return [$this->heard, $this->heard = []][0];
    }

    public function test_whoever_listens_hears_everything()
    {
        $this->listen();
        $cache = $this->cache();

        $cache->get('k');
        $cache->put('k', 1, 60);
        $cache->get('k');
        $cache->forever('f', 2);
        $cache->forget('k');
        $cache->forget('k');
        $this->assertSame(['CacheMissed k', 'KeyWritten k 60s 1', 'CacheHit k 1', 'KeyWritten f 2', 'KeyForgotten k'], $this->heard());

        $cache->put('n', 3);
        $cache->putMany(['a' => 1, 'b' => 2], 60);
        $cache->putMany(['c' => 3]);
        $this->assertSame(['KeyWritten n 3', 'KeyWritten a 60s 1', 'KeyWritten b 60s 2', 'KeyWritten c 3'], $this->heard());

        $cache->many(['a', 'x']);
        $cache->deleteMultiple(['a', 'x']);
        $this->assertSame(['CacheHit a 1', 'CacheMissed x', 'KeyForgotten a'], $this->heard());

        $cache->remember('r', 60, fn () => 5);
        $cache->remember('r', 60, fn () => 6);
        $cache->rememberForever('s', fn () => 7);
        $this->assertSame(['CacheMissed r', 'KeyWritten r 60s 5', 'CacheHit r 5', 'CacheMissed s', 'KeyWritten s 7'], $this->heard());

        $cache->rememberMany(['r', 't', 'x'], 60, fn () => ['t' => 8]);
        $cache->flexible('g', [10, 60], fn () => 9);
        $cache->flexible('g', [10, 60], fn () => 9);
        $this->assertSame(['CacheHit r 5', 'CacheMissed t', 'KeyWritten t 60s 8', 'CacheMissed x', 'CacheMissed g', 'KeyWritten g 60s 9',
            'CacheHit g 9'], $this->heard());
    }

    public function test_events_of_tagged_caches_carry_the_tags()
    {
        $this->listen();
        $cache = $this->cache()->tags('t', 'u');

        $cache->get('k');
        $cache->put('k', 1, 60);
        $cache->many(['k']);
        $cache->remember('r', 60, fn () => 2);
        $cache->forget('k');

        $this->assertSame(['CacheMissed k [t,u]', 'KeyWritten k [t,u] 60s 1', 'CacheHit k [t,u] 1', 'CacheMissed r [t,u]',
            'KeyWritten r [t,u] 60s 2', 'KeyForgotten k [t,u]'], $this->heard());
    }

    public function test_one_who_listens_to_one_event_hears_that_one()
    {
        $this->listen([KeyForgotten::class]);

        $this->cache()->put('k', 1, 60);
        $this->cache()->get('k');
        $this->cache()->deleteMultiple(['k']);
        $this->assertSame(['KeyForgotten k'], $this->heard());
    }

    public function test_listeners_that_come_late_and_by_wildcard_are_heard()
    {
        $this->cache()->put('k', 1, 60);
        $this->cache()->tags('t')->put('k', 1, 60);
        $this->cache()->get('k');
        $this->cache()->tags('t')->get('k');

        $names = [];
        $this->app['events']->listen('Illuminate\Cache\Events\Cache*', function ($name) use (&$names) {
            $names[] = class_basename($name);
        });
        $this->cache()->get('k');
        $this->cache()->tags('t')->get('x');
        $this->assertSame(['CacheHit', 'CacheMissed'], $names);
    }

    public function test_nothing_is_dispatched_where_nobody_listens()
    {
        $dispatcher = new class extends \Illuminate\Events\Dispatcher
        {
            public static int $dispatched = 0;

            public function dispatch($event, $payload = [], $halt = false)
            {
                self::$dispatched++;

                return parent::dispatch($event, $payload, $halt);
            }
        };

        // A dispatcher that is not Laravel's own gets them all, whatever it says of listeners ...
        $this->cache()->setEventDispatcher($dispatcher);
        $this->cache()->get('k');
        $this->assertGreaterThan(0, $dispatcher::$dispatched);

        // ... Laravel's own is asked, and not told. Its wildcard cache shows what has been dispatched.
        $this->cache()->setEventDispatcher($own = new \Illuminate\Events\Dispatcher);
        $this->cache()->put('k', 1, 60);
        $this->cache()->get('k');
        $this->cache()->tags('t')->get('k');
        $told = (fn () => $this->wildcardsCache)->call($own);
        $this->assertSame([], $told);
    }

    public function test_fakes_record()
    {
        $this->cache()->tags('t')->get('x');
        Event::fake();
        $this->cache()->put('k', 1, 60);
        $this->cache()->get('k');
        $this->cache()->tags('t')->get('x');
        $this->cache()->remember('k', 60, fn () => 2);

        Event::assertDispatched(KeyWritten::class, fn ($e) => $e->key === 'k' && $e->value === 1);
        Event::assertDispatched(CacheHit::class, 2);
        Event::assertDispatched(CacheMissed::class, fn ($e) => $e->tags === ['t']);
    }

    public function test_a_store_may_keep_silent()
    {
        $this->listen();
        $this->app['config']->set('cache.stores.libcache.events', false);
        $this->app['cache']->forgetDriver('libcache');

        $this->cache()->put('k', 1, 60);
        $this->cache()->get('k');
        $this->cache()->tags('t')->put('k', 1, 60);
        $this->assertSame([], $this->heard());
    }
}
