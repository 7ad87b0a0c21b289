<?php

namespace Libcache\Laravel\Tests;

class RateLimiterTest extends Support\TestCase
{
    use Support\RateLimiterTests;

    public function test_the_window_ends()
    {
        $limiter = $this->limiter();
        $limiter->hit('k', 60);
        $this->clock->advance(50);
        $limiter->hit('k', 60); // the window began with the first hit

        $this->assertSame(10, $limiter->availableIn('k'));
        $this->assertTrue($limiter->tooManyAttempts('k', 2));
        $this->clock->advance(11);
        $this->assertFalse($limiter->tooManyAttempts('k', 2));
        $this->assertSame(0, $limiter->attempts('k'));
        $this->assertSame(1, $limiter->hit('k', 60));
    }

    public function test_a_hit_is_one_operation()
    {
        $this->limiter();
        $before = $this->native()->stats();
        $this->limiter()->hit('k', 60);
        $after = $this->native()->stats();

        $this->assertSame(1, $after['increments'] - $before['increments']);
        foreach (['sets', 'adds', 'hits', 'misses', 'deletes'] as $count) {
            $this->assertSame(0, $after[$count] - $before[$count], $count);
        }
    }

    public function test_limits_that_were_named_before_stay()
    {
        $before = new \Illuminate\Cache\RateLimiter($this->app['cache']->store('array'));
        $before->for('api', fn () => 'limit');
        $this->assertSame('limit', (\Libcache\Laravel\RateLimiter::insteadOf($before, $this->cache())->limiter('api'))());
    }

    public function test_other_stores_keep_laravels_own()
    {
        $app = $this->newApp(['cache' => ['limiter' => 'array']]);
        $this->assertSame(\Illuminate\Cache\RateLimiter::class, get_class($app->make(\Illuminate\Cache\RateLimiter::class)));
    }
}
