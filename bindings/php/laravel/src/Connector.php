<?php

namespace Libcache\Laravel;

use Illuminate\Contracts\Cache\Factory as CacheFactory;
use Illuminate\Contracts\Config\Repository as Config;
use Illuminate\Support\Arr;
use InvalidArgumentException;
use Libcache\Cache;

/** Opens the cache that the configuration speaks of, and its namespaces. */
class Connector
{
    /** The name of a segment or namespace where none is configured. */
    private const DEFAULT_NAMESPACE = 'default';

    public function __construct(private Config $config) {}

    /**
     * The namespace of a store of config/cache.php.
     *
     * @param  array<string, mixed>  $store  its configuration; "cache" goes over what config/libcache.php says
     * @param  string  $prefix  of that store: its namespace, where the store does not name one
     */
    public function open(array $store, string $prefix): Cache
    {
        $name = $this->namespaceOf($store, $prefix);
        $options = $this->options($store['cache'] ?? []);

        return Cache::open($options + ['namespace' => $name, 'policy' => $this->namespaces()->policy($name)]);
    }

    /**
     * The cache of a store of config/cache.php.
     *
     * @param  string|null  $name  null: that of config/libcache.php
     *
     * @throws InvalidArgumentException it is not one of libcache's
     */
    public function repository(CacheFactory $caches, ?string $name = null): Repository
    {
        $name ??= $this->config->get('libcache.store');
        $cache = $caches->store($name);

        if (! $cache instanceof Repository) {
            throw new InvalidArgumentException("The cache store [{$name}] is not one of libcache's.");
        }

        return $cache;
    }

    public function namespaces(): Namespaces
    {
        return new Namespaces($this->config->get('libcache.namespaces') ?? [], [
            'allowed_classes' => $this->config->get('libcache.serializable_classes')
                ?? $this->config->get('cache.serializable_classes')
                ?? true,
            'serializer' => $this->config->get('libcache.serializer') ?? 'php',
        ]);
    }

    private function namespaceOf(array $store, string $prefix): string
    {
        foreach ([$store['namespace'] ?? '', $prefix] as $name) {
            if ($name !== '') {
                return $name;
            }
        }

        return self::DEFAULT_NAMESPACE;
    }

    /** What is not given is left to php.ini. */
    private function options(array $own): array
    {
        $options = $own + ($this->config->get('libcache.cache') ?? []);

        if (($connection = $this->config->get('libcache.redis_connection')) && ! isset($options['redis_url'])) {
            $options['redis_url'] = $this->redisUrl($connection);
        }

        if (($options['segment'] ?? 'named') !== 'named') {
            unset($options['name']);
        }

        return array_filter($options, fn ($value) => $value !== null);
    }

    /** The URL of a connection of config/database.php, as libcache wants it. */
    public function redisUrl(string $connection): string
    {
        $redis = $this->config->get("database.redis.{$connection}");

        if (! is_array($redis)) {
            throw new InvalidArgumentException("libcache.redis_connection: there is no Redis connection [{$connection}].");
        }

        if (! empty($redis['url'])) {
            return $redis['url'];
        }

        $host = Arr::get($redis, 'host', '127.0.0.1');
        $database = Arr::get($redis, 'database', 0);

        $user = rawurlencode((string) ($redis['username'] ?? ''));
        $password = rawurlencode((string) ($redis['password'] ?? ''));
        $login = $user === '' && $password === '' ? '' : "{$user}:{$password}@";

        if (str_starts_with($host, '/')) {
            return "unix://{$login}{$host}?db={$database}";
        }

        $port = Arr::get($redis, 'port', 6379);

        return ($redis['scheme'] ?? 'tcp') === 'tls'
            ? "rediss://{$login}{$host}:{$port}/{$database}"
            : "redis://{$login}{$host}:{$port}/{$database}";
    }
}
