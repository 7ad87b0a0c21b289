<?php

namespace Libcache;

use Psr\Cache\CacheItemInterface;
use Psr\Cache\CacheItemPoolInterface;

/**
 * PSR-6 on a namespace of libcache, with tags. Works with versions 1, 2 and 3 of psr/cache.
 *
 *     $pool = new Libcache\CachePool(Libcache\Cache::open()->namespace('app'));
 *     $item = $pool->getItem('user.42');
 *     if (!$item->isHit()) {
 *         $pool->save($item->set($user)->expiresAfter(300)->tag(['user', 'tenant.7']));
 *     }
 *     $pool->invalidateTags(['tenant.7']);
 */
final class CachePool implements CacheItemPoolInterface
{
    /** @var array<string, CacheItem> */
    private array $deferred = [];

    public function __construct(private Cache $cache)
    {
    }

    public function __destruct()
    {
        $this->commit();
    }

    public function getItem($key): CacheItem
    {
        $key = Expiry::key($key);
        if (isset($this->deferred[$key])) {
            return $this->deferred[$key]->deferred();
        }
        $value = $this->cache->get($key, $this);

        return new CacheItem($key, $value === $this ? null : $value, $value !== $this);
    }

    /** @return array<string, CacheItem> */
    public function getItems(array $keys = []): iterable
    {
        $keys = array_map(Expiry::key(...), array_values($keys));
        $found = $this->cache->getMany($keys, $this);
        $items = [];
        foreach ($keys as $key) {
            $value = $found[$key];
            $items[$key] = isset($this->deferred[$key])
                ? $this->deferred[$key]->deferred()
                : new CacheItem($key, $value === $this ? null : $value, $value !== $this);
        }

        return $items;
    }

    public function hasItem($key): bool
    {
        $key = Expiry::key($key);

        return isset($this->deferred[$key]) ? $this->deferred[$key]->deferred()->isHit() : $this->cache->has($key);
    }

    public function clear(): bool
    {
        $this->deferred = [];

        return $this->cache->clear();
    }

    public function deleteItem($key): bool
    {
        return $this->deleteItems([$key]);
    }

    public function deleteItems(array $keys): bool
    {
        $keys = array_map(Expiry::key(...), array_values($keys));
        $this->deferred = array_diff_key($this->deferred, array_flip($keys));
        $this->cache->deleteMany($keys);

        return $this->cache->lastError() === 0;
    }

    public function save(CacheItemInterface $item): bool
    {
        unset($this->deferred[$item->getKey()]);
        [$value, $seconds, $tags] = $this->own($item)->stored();

        return $this->cache->set($item->getKey(), $value, $seconds, $tags);
    }

    public function saveDeferred(CacheItemInterface $item): bool
    {
        $this->deferred[$item->getKey()] = clone $this->own($item);

        return true;
    }

    /** Items of equal ttl and tags go in one batch. */
    public function commit(): bool
    {
        $batches = [];
        foreach ($this->deferred as $key => $item) {
            [$value, $seconds, $tags] = $item->stored();
            $seconds = $seconds === null ? null : round($seconds, 3);
            $batch = json_encode([$seconds, array_map('bin2hex', $tags)]);
            $batches[$batch] ??= [[], $seconds, $tags];
            $batches[$batch][0][$key] = $value;
        }
        $this->deferred = [];
        $ok = true;
        foreach ($batches as [$values, $seconds, $tags]) {
            $ok = $this->cache->setMany($values, $seconds, $tags) && $ok;
        }

        return $ok;
    }

    /**
     * Takes away all that carries one of these tags, whichever pool it is in.
     *
     * @param list<string> $tags
     */
    public function invalidateTags(array $tags): bool
    {
        $this->deferred = array_filter($this->deferred, fn (CacheItem $item) => !array_intersect($item->stored()[2], $tags));

        return $this->cache->invalidateTags($tags);
    }

    private function own(CacheItemInterface $item): CacheItem
    {
        if (!$item instanceof CacheItem) {
            throw new InvalidArgument('This item is of another pool: ' . get_debug_type($item));
        }

        return $item;
    }
}
