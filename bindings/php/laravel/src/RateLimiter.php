<?php

namespace Libcache\Laravel;

use Illuminate\Cache\RateLimiter as BaseRateLimiter;
use Libcache\Cache;

/**
 * Laravel's rate limiter with one operation for a hit and one for a look: a counter that ends with its window is its own timer.
 *
 * All hosts count together. While Redis is away, each host counts by itself, from nought.
 */
class RateLimiter extends BaseRateLimiter
{
    private Cache $counters;

    /** Counters of this host, for as long as Redis is away. */
    private Cache $ownCounters;

    public function __construct(Repository $cache)
    {
        parent::__construct($cache);

        $this->counters = $cache->getStore()->cache();
        $this->ownCounters = $this->counters->namespace(substr($this->counters->name(), 0, 90).':rates', ['tiers' => 'l1']);
    }

    /** A limiter with the named limits of another one. */
    public static function insteadOf(BaseRateLimiter $limiter, Repository $cache): static
    {
        $new = new static($cache);
        $new->limiters = $limiter->limiters;

        return $new;
    }

    public function tooManyAttempts($key, $maxAttempts): bool
    {
        $hits = $this->count($key);

        return $hits !== null && $hits >= $maxAttempts;
    }

    public function hit($key, $decaySeconds = 60): int
    {
        return $this->increment($key, $decaySeconds);
    }

    public function increment($key, $decaySeconds = 60, $amount = 1): int
    {
        $name = $this->nameOf($key);
        $seconds = $this->secondsUntil($decaySeconds);

        if ($seconds <= 0) { // over as it begins
            $this->resetAttempts($key);

            return (int) $amount;
        }

        $hits = $this->counters->increment($name, (int) $amount, $seconds);

        return (int) ($hits === false ? $this->ownCounters->increment($name, (int) $amount, $seconds) : $hits);
    }

    public function decrement($key, $decaySeconds = 60, $amount = 1): int
    {
        return $this->increment($key, $decaySeconds, $amount * -1);
    }

    public function attempts($key): int
    {
        return $this->count($key) ?? 0;
    }

    public function resetAttempts($key): bool
    {
        $name = $this->nameOf($key);
        $own = $this->ownCounters->delete($name);

        return $this->counters->delete($name) || $own;
    }

    public function clear($key): void
    {
        $this->resetAttempts($key);
    }

    public function availableIn($key): int
    {
        $name = $this->nameOf($key);

        return (int) ceil($this->counters->ttlLeft($name) ?? $this->ownCounters->ttlLeft($name) ?? 0);
    }

    private function count($key): ?int
    {
        $name = $this->nameOf($key);

        return $this->counters->get($name) ?? $this->ownCounters->get($name);
    }

    private function nameOf($key): string
    {
        return Store::key($this->cleanRateLimiterKey($key));
    }
}
