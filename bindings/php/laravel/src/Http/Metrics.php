<?php

namespace Libcache\Laravel\Http;

use Illuminate\Contracts\Cache\Factory as CacheFactory;
use Illuminate\Contracts\Config\Repository as Config;
use Illuminate\Http\Response;
use Libcache\Laravel\Connector;

/** The cache's metrics as text for Prometheus. */
class Metrics
{
    public function __invoke(CacheFactory $caches, Connector $connector, Config $config): Response
    {
        $cache = $connector->repository($caches)->getStore()->cache();

        return new Response($cache->metrics($config->get('libcache.routes.labels', [])), 200, [
            'Content-Type' => 'text/plain; version=0.0.4; charset=utf-8',
            'Cache-Control' => 'no-store',
        ]);
    }
}
