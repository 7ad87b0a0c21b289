<?php

namespace Libcache\Laravel\Http;

use Illuminate\Contracts\Cache\Factory as CacheFactory;
use Illuminate\Http\Response;
use Libcache\Laravel\Connector;

/** The cache's metrics as text for Prometheus: those of all processes of this host, whichever one answers. */
class Metrics
{
    public function __invoke(CacheFactory $caches, Connector $connector): Response
    {
        $cache = $connector->repository($caches)->getStore()->cache();

        return new Response($cache->metrics(), 200, [
            'Content-Type' => 'application/openmetrics-text; version=1.0.0; charset=utf-8',
            'Cache-Control' => 'no-store',
        ]);
    }
}
