<?php

namespace Libcache\Laravel\Tests;

use Illuminate\Contracts\Debug\ExceptionHandler;
use RuntimeException;

class LoadsTest extends Support\TestCase
{
    use Support\LoadTests;

    public function test_flexible_gives_a_stale_value_and_refreshes_it()
    {
        $calls = 0;
        $load = function () use (&$calls) {
            return ++$calls;
        };

        $this->assertSame(1, $this->cache()->flexible('k', [10, 60], $load));
        $this->clock->advance(9);
        $this->assertSame(1, $this->cache()->flexible('k', [10, 60], $load));
        $this->assertSame(1, $calls);

        $this->clock->advance(2);
        $this->assertSame(1, $this->cache()->flexible('k', [10, 60], $load)); // stale; refreshed by the way, in a command
        $this->assertSame(2, $calls);
        $this->assertSame(2, $this->cache()->flexible('k', [10, 60], $load));
        $this->assertSame(2, $this->cache()->get('k'));

        $this->clock->advance(61);
        $this->assertSame(3, $this->cache()->flexible('k', [10, 60], $load)); // gone: loaded at once
    }

    public function test_flexible_refreshes_after_the_response()
    {
        $this->inRequest(function () {
            $this->cache()->flexible('k', [10, 60], fn () => 1);
            $this->clock->advance(11);

            $this->assertSame(1, $this->cache()->flexible('k', [10, 60], fn () => 2));
            $this->assertSame(1, $this->cache()->flexible('k', [10, 60], fn () => 3));
            $this->assertSame(1, $this->cache()->get('k'));
            $this->app->terminate();
            $this->assertSame(2, $this->cache()->get('k')); // once, though two asked for it
        });
    }

    public function test_a_refresh_that_fails_is_reported_and_the_old_value_stays()
    {
        $this->app->instance(ExceptionHandler::class, $handler = new Support\RecordingHandler);
        $this->cache()->flexible('k', [10, 60], fn () => 1);
        $this->clock->advance(11);

        $this->assertSame(1, $this->cache()->flexible('k', [10, 60], fn () => throw new RuntimeException('the source is away')));
        $this->assertSame(['the source is away'], $handler->reported);
        $this->assertSame(1, $this->cache()->get('k'));
        $this->assertSame(1, $this->cache()->flexible('k', [10, 60], fn () => 2)); // not tried again at once
        $this->assertSame(1, $this->cache()->get('k'));
        $this->clock->advance(2);
        $this->assertSame(1, $this->cache()->flexible('k', [10, 60], fn () => 2));
        $this->assertSame(2, $this->cache()->get('k'));
    }

    public function test_flexible_works_with_tags()
    {
        $this->assertSame(1, $this->cache()->tags('t')->flexible('k', [10, 60], fn () => 1));
        $this->clock->advance(11);
        $this->assertSame(1, $this->cache()->tags('t')->flexible('k', [10, 60], fn () => 2));
        $this->assertSame(2, $this->cache()->tags('t')->flexible('k', [10, 60], fn () => 3));
        $this->cache()->tags('t')->flush();
        $this->assertSame(4, $this->cache()->tags('t')->flexible('k', [10, 60], fn () => 4));
    }

    public function test_a_namespace_with_a_soft_ttl_refreshes_behind_the_response()
    {
        $this->inRequest(function () {
            $cache = $this->cache()->namespace('soft', ['ttl' => 60, 'soft_ttl' => 10]);
            $cache->remember('k', null, fn () => 1);
            $this->clock->advance(11);

            $this->assertSame(1, $cache->remember('k', null, fn () => 2));
            $this->assertSame(1, $cache->get('k'));
            $this->app->terminate();
            $this->assertSame(2, $cache->get('k'));
            $this->assertSame(2, $cache->remember('k', null, fn () => 3));
        });
    }

    public function test_within_its_grace_an_old_value_is_better_than_a_failure()
    {
        $this->app->instance(ExceptionHandler::class, $handler = new Support\RecordingHandler);
        $cache = $this->cache()->namespace('grace', ['ttl' => 10, 'grace' => 600]);
        $cache->remember('k', null, fn () => 1);
        $this->clock->advance(11);

        $this->assertNull($cache->get('k'));
        $this->assertSame(1, $cache->remember('k', null, fn () => throw new RuntimeException('the source is away')));
        $this->assertSame(['the source is away'], $handler->reported);
        $this->assertSame(1, $cache->remember('k', null, fn () => 2)); // not tried again at once
        $this->clock->advance(2);
        $this->assertSame(1, $cache->remember('k', null, fn () => 2));
        $this->assertSame(2, $cache->get('k'));

        // When it has failed lately and the old value is gone, everybody loads for himself
        $this->clock->advance(11);
        $cache->remember('k', null, fn () => throw new RuntimeException('the source is away'));
        $cache->forget('k');
        $this->assertSame(3, $cache->remember('k', null, fn () => 3));
    }

    /** Runs it as if there were a response to come: the framework then does deferred work in terminate(). */
    private function inRequest(callable $work): void
    {
        $_ENV['APP_RUNNING_IN_CONSOLE'] = 'false';

        try {
            $this->app = $this->newApp();
            $this->assertFalse($this->app->runningInConsole());
            $work();
        } finally {
            unset($_ENV['APP_RUNNING_IN_CONSOLE']);
        }
    }
}
