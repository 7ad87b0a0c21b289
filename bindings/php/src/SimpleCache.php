<?php

namespace Libcache;

use Psr\SimpleCache\CacheInterface;

/**
 * PSR-16 on a namespace of libcache. Works with versions 1, 2 and 3 of psr/simple-cache: hence the untyped parameters.
 *
 *     $cache = new Libcache\SimpleCache(Libcache\Cache::open()->namespace('app', ['ttl' => '1h']));
 *
 * Objects are stored only where the namespace allows their classes. What Redis cannot be told makes a change return false.
 */
final class SimpleCache implements CacheInterface
{
    public function __construct(private Cache $cache)
    {
    }

    public function get($key, $default = null): mixed
    {
        return $this->cache->get(Expiry::key($key), $default);
    }

    public function set($key, $value, $ttl = null): bool
    {
        return $this->cache->set(Expiry::key($key), $value, Expiry::seconds($ttl));
    }

    public function delete($key): bool
    {
        return $this->cache->delete(Expiry::key($key)) || $this->cache->lastError() === 0;
    }

    public function clear(): bool
    {
        return $this->cache->clear();
    }

    public function getMultiple($keys, $default = null): iterable
    {
        return $this->cache->getMany($this->keys($keys), $default);
    }

    public function setMultiple($values, $ttl = null): bool
    {
        if (!is_iterable($values)) {
            throw new InvalidArgument('Values are an array or Traversable, not ' . get_debug_type($values));
        }
        $all = [];
        foreach ($values as $key => $value) {
            $all[Expiry::key(is_int($key) ? (string)$key : $key)] = $value;
        }

        return $this->cache->setMany($all, Expiry::seconds($ttl));
    }

    public function deleteMultiple($keys): bool
    {
        $this->cache->deleteMany($this->keys($keys));

        return $this->cache->lastError() === 0;
    }

    public function has($key): bool
    {
        return $this->cache->has(Expiry::key($key));
    }

    /** @return list<string> */
    private function keys(mixed $keys): array
    {
        if (!is_iterable($keys)) {
            throw new InvalidArgument('Keys are an array or Traversable, not ' . get_debug_type($keys));
        }
        $all = [];
        foreach ($keys as $key) {
            $all[] = Expiry::key($key);
        }

        return $all;
    }
}
