<?php

namespace Libcache\Laravel\Http;

use Illuminate\Contracts\Cache\Factory as CacheFactory;
use Illuminate\Http\JsonResponse;
use Libcache\Exception;
use Libcache\Laravel\Connector;

/**
 * Whether this host can serve: "ok", or "degraded" while Redis is away, which is still 200: requests are served, from L1 and
 * from the source. 503 "failed": the cache cannot be opened.
 */
class Ready
{
    /** The time that Redis has for an answer, in seconds. */
    private const PATIENCE = 0.25;

    public function __invoke(CacheFactory $caches, Connector $connector): JsonResponse
    {
        try {
            $store = $connector->repository($caches)->getStore();
        } catch (Exception $e) {
            return $this->answer(['status' => 'failed', 'error' => $e->getMessage()], 503);
        }

        $heard = $store->poll(self::PATIENCE);
        $cache = $store->cache();
        $stats = $cache->stats();

        return $this->answer([
            'status' => $heard === false ? 'degraded' : 'ok',
            'redis' => match ($heard) {
                true => 'up',
                false => $cache::describe($cache->lastError()),
                null => 'none',
            },
            'coherence_age_ms' => $heard === null ? 0 : $stats['coherence_age_ms'],
            'owed_bytes' => $stats['owed_bytes'],
        ], 200);
    }

    private function answer(array $state, int $code): JsonResponse
    {
        return new JsonResponse($state, $code, ['Cache-Control' => 'no-store']);
    }
}
