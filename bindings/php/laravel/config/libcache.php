<?php

use Illuminate\Support\Str;

return [

    /*
    |--------------------------------------------------------------------------
    | The cache
    |--------------------------------------------------------------------------
    |
    | What Libcache\Cache::open() is given. Null: what php.ini says (libcache.*),
    | else the library's default. A named segment is shared by all processes of
    | one user on this host: PHP-FPM, queue workers, artisan.
    |
    */

    'cache' => [
        'segment' => env('LIBCACHE_SEGMENT', 'named'),
        'name' => env('LIBCACHE_NAME', Str::slug(env('APP_NAME', 'laravel')) ?: 'laravel'),
        'memory' => env('LIBCACHE_MEMORY'),
        'max_value' => env('LIBCACHE_MAX_VALUE'),

        'redis_url' => env('LIBCACHE_REDIS_URL'),
        'redis_prefix' => env('LIBCACHE_REDIS_PREFIX'),
        'redis_timeout' => env('LIBCACHE_REDIS_TIMEOUT'),
        'max_staleness' => env('LIBCACHE_MAX_STALENESS'),

        // INI file of namespace policies that C and Python programs read too
        'policy_file' => env('LIBCACHE_POLICY_FILE'),
    ],

    // Instead of redis_url: a connection of config/database.php, such as "cache"
    'redis_connection' => env('LIBCACHE_REDIS_CONNECTION'),

    /*
    |--------------------------------------------------------------------------
    | Store
    |--------------------------------------------------------------------------
    |
    | The store of config/cache.php that the commands, the middleware, the routes
    | and the model trait speak of. If there is none of this name, it is added,
    | so that CACHE_DRIVER=libcache (CACHE_STORE since Laravel 11) is enough.
    |
    */

    'store' => 'libcache',

    /*
    |--------------------------------------------------------------------------
    | Namespaces
    |--------------------------------------------------------------------------
    |
    | Policies of namespaces: Cache::namespace('profiles'), or a store with
    | 'namespace' => 'profiles'. Times are seconds or text ("5m", "250ms"). All
    | processes must say the same. A call without a TTL takes the namespace's,
    | where one is given here; else it is forever, as everywhere in Laravel.
    |
    */

    'namespaces' => [
        // 'profiles' => ['ttl' => '5m', 'soft_ttl' => '4m', 'grace' => '1h', 'jitter' => 10],
    ],

    /*
    |--------------------------------------------------------------------------
    | Tags
    |--------------------------------------------------------------------------
    |
    | "separate": Cache::tags(['a', 'b'])->get('k') finds what was put with the
    | same tags, in any order, as documented by Laravel. "shared": tags are only
    | for flushing; Cache::get('k') finds it as well, and there is one "k".
    |
    */

    'tags' => 'separate',

    /*
    |--------------------------------------------------------------------------
    | Objects
    |--------------------------------------------------------------------------
    |
    | Classes whose objects may be cached: true, false or a list. Null: what
    | cache.serializable_classes says (Laravel 12.53 and later), else all.
    |
    */

    'serializable_classes' => null,

    // What objects go through: "php", or "igbinary" (only where all classes are allowed)
    'serializer' => 'php',

    /*
    |--------------------------------------------------------------------------
    | Sessions (SESSION_DRIVER=libcache)
    |--------------------------------------------------------------------------
    |
    | Where there is a Redis they live there alone: a host that has not yet heard
    | of a change must not give out an older session.
    |
    */

    'sessions' => [
        'namespace' => 'sessions',
        'policy' => ['tiers' => env('LIBCACHE_SESSION_TIERS')],
    ],

    /*
    |--------------------------------------------------------------------------
    | Middleware Libcache\Laravel\Http\ServerTiming
    |--------------------------------------------------------------------------
    */

    'timing' => [
        'headers' => (bool) env('LIBCACHE_TIMING_HEADERS', true),
        // Requests that take longer (seconds) are logged; null: none
        'slow' => 1.0,
        'channel' => env('LIBCACHE_SLOW_CHANNEL'),
    ],

    /*
    |--------------------------------------------------------------------------
    | Routes
    |--------------------------------------------------------------------------
    |
    | Paths such as "metrics" and "ready"; null: no such route. Metrics tell how
    | busy you are: give them a middleware, or keep them from the outside.
    |
    */

    'routes' => [
        'metrics' => env('LIBCACHE_METRICS_ROUTE'),
        'ready' => env('LIBCACHE_READY_ROUTE'),
        'middleware' => [],
    ],

    // Classes for libcache:warm, see Libcache\Laravel\Warmer
    'warmers' => [],

    // Where faults of the cache are logged (at most one line in ten seconds from each process); null: the default channel; false: nowhere
    'fault_channel' => env('LIBCACHE_FAULT_CHANNEL'),

];
