<?php

namespace App\Cache;

use App\Models\TierLimit;
use Libcache\Laravel\Repository;
use Libcache\Laravel\Warmer;

/** The limits of all tiers: every page needs them. */
class TierLimitWarmer implements Warmer
{
    public function cache(Repository $cache)
    {
        return $cache->tags('tier_limits');
    }

    public function keys(): iterable
    {
        return TierLimit::query()->pluck('tier');
    }

    public function load(array $keys): array
    {
        return TierLimit::query()->findMany($keys)->keyBy('tier')->toArray();
    }

    public function ttl(): ?int
    {
        return 3600;
    }
}
