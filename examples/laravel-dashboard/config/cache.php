<?php

return [
    'default' => env('CACHE_DRIVER', 'libcache'),
    'prefix' => 'dashboard',
    'stores' => [
        'libcache' => ['driver' => 'libcache'],
        'redis' => ['driver' => 'redis', 'connection' => 'cache'],
        'none' => ['driver' => 'null'],
    ],
];
