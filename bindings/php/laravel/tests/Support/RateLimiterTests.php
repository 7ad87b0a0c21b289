<?php

namespace Libcache\Laravel\Tests\Support;

use Illuminate\Cache\RateLimiter as BaseRateLimiter;
use Libcache\Laravel\RateLimiter;

trait RateLimiterTests
{
    protected function limiter(): RateLimiter
    {
        return $this->app->make(BaseRateLimiter::class);
    }

    public function test_hits_are_counted_up_to_the_limit()
    {
        $limiter = $this->limiter();

        $this->assertFalse($limiter->tooManyAttempts('k', 2));
        $this->assertSame(1, $limiter->hit('k', 60));
        $this->assertFalse($limiter->tooManyAttempts('k', 2));
        $this->assertSame(2, $limiter->hit('k', 60));
        $this->assertTrue($limiter->tooManyAttempts('k', 2));
        $this->assertSame(2, $limiter->attempts('k'));
        $this->assertSame(1, $limiter->remaining('k', 3));
        $this->assertSame(1, $limiter->retriesLeft('k', 3));
        $this->assertEqualsWithDelta(60, $limiter->availableIn('k'), 1);
        $this->assertSame(0, $limiter->attempts('other'));
        $this->assertSame(0, $limiter->availableIn('other'));
    }

    public function test_counts_can_be_cleared_and_changed()
    {
        $limiter = $this->limiter();

        $this->assertSame(5, $limiter->increment('k', 60, 5));
        $this->assertSame(3, $limiter->decrement('k', 60, 2));
        $this->assertTrue((bool) $limiter->resetAttempts('k'));
        $this->assertSame(0, $limiter->attempts('k'));
        $limiter->hit('k');
        $limiter->clear('k');
        $this->assertSame(0, $limiter->attempts('k'));
        $this->assertSame(0, $limiter->availableIn('k'));
    }

    public function test_a_window_of_nothing_limits_nobody()
    {
        foreach ([0, -5, new \DateTimeImmutable('-1 minute')] as $over) {
            $this->assertSame(1, $this->limiter()->hit('k', $over));
            $this->assertSame(1, $this->limiter()->hit('k', $over));
            $this->assertSame(0, $this->limiter()->attempts('k'));
        }
    }

    public function test_attempt_runs_what_is_allowed()
    {
        $limiter = $this->limiter();

        $this->assertSame('done', $limiter->attempt('k', 1, fn () => 'done'));
        $this->assertFalse($limiter->attempt('k', 1, fn () => 'done'));
    }

    public function test_the_throttle_middleware_works_with_it()
    {
        $this->app->instance(\Illuminate\Contracts\Debug\ExceptionHandler::class, new RecordingHandler);
        $router = $this->app['router'];
        $router->aliasMiddleware('throttle', \Illuminate\Routing\Middleware\ThrottleRequests::class);
        $router->get('limited', fn () => 'ok')->middleware('throttle:2,1');
        $ask = fn () => $router->dispatch(\Illuminate\Http\Request::create('limited'));

        $this->assertSame('1', (string) $ask()->headers->get('X-RateLimit-Remaining'));
        $this->assertSame('0', (string) $ask()->headers->get('X-RateLimit-Remaining'));

        $this->expectException(\Illuminate\Http\Exceptions\ThrottleRequestsException::class);
        $ask();
    }
}
