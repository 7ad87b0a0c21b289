<?php

// Only what differs from the package's own config/libcache.php

return [
    'cache' => [
        'segment' => 'named',
        'name' => env('LIBCACHE_NAME', 'laravel-dashboard'),
        'memory' => '64MiB',
        'redis_prefix' => 'dashboard',
    ],
    'redis_connection' => 'cache',
    'store' => env('CACHE_DRIVER', 'libcache'),
    'warmers' => [App\Cache\TierLimitWarmer::class],
    'routes' => ['metrics' => 'metrics', 'ready' => 'ready'],
];
