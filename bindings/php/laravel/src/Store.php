<?php

namespace Libcache\Laravel;

use Illuminate\Cache\TaggableStore;
use Illuminate\Contracts\Cache\LockProvider;
use InvalidArgumentException;
use Libcache\Cache;
use Libcache\Exception;

/**
 * The cache store "libcache": Laravel's contract on one namespace of a cache.
 *
 * A store may be bound to tags (see withTags): what it writes carries them then.
 */
class Store extends TaggableStore implements LockProvider
{
    /** The longest key that libcache takes. */
    private const KEY_MAX = 4095;

    /** Ten years: what lives longer lives for ever. */
    private const TTL_MAX = 3650 * 86400;

    /** @var string[] */
    private array $tags = [];

    /** The namespace has a TTL of its own. */
    private bool $hasTtl;

    /**
     * @param  Cache  $cache  the namespace
     * @param  string  $prefix  what Laravel calls the prefix; the namespace does its work
     * @param  Namespaces|null  $namespaces  policies of the other namespaces
     * @param  Faults|null  $faults  is told of what went wrong
     * @param  bool  $sharedTags  one entry for a key, whatever its tags
     */
    public function __construct(
        private Cache $cache,
        private string $prefix = '',
        private ?Namespaces $namespaces = null,
        private ?Faults $faults = null,
        private bool $sharedTags = false,
    ) {
        $this->hasTtl = isset(($namespaces?->policy($cache->name()) ?? [])['ttl']);
    }

    /** The namespace of this store. */
    public function cache(): Cache
    {
        return $this->cache;
    }

    /**
     * The store of another namespace of the same cache.
     *
     * @param  array<string, mixed>  $policy  over what is configured
     */
    public function namespace(string $name, array $policy = []): static
    {
        $store = clone $this;
        $policy += $this->namespaces?->policy($name) ?? [];
        $store->cache = $this->cache->namespace($name, $policy);
        $store->hasTtl = isset($policy['ttl']);
        $store->prefix = $name;
        $store->tags = [];

        return $store;
    }

    /** This store; what it writes carries these tags. */
    public function withTags(array $tags): static
    {
        $store = clone $this;
        $store->tags = $tags;

        return $store;
    }

    /** The tags that what this store writes carries. */
    public function boundTags(): array
    {
        return $this->tags;
    }

    /** What a TTL that was not given means: null, the namespace's own, where it has a policy; else for ever. */
    public function defaultTtl(): ?int
    {
        return $this->hasTtl ? null : Cache::FOREVER;
    }

    public function get($key): mixed
    {
        return $this->cache->get(isset($key[0]) && ! isset($key[self::KEY_MAX]) ? $key : self::key($key));
    }

    public function many(array $keys): array
    {
        $stored = array_map([self::class, 'key'], $keys);
        $found = $this->cache->getMany($stored, null);

        return $stored === $keys ? $found : array_combine($keys, array_map(fn ($key) => $found[$key], $stored));
    }

    public function put($key, $value, $seconds): bool
    {
        return $this->done($this->cache->set(self::key($key), $value, self::ttl($seconds), $this->tags), 'put');
    }

    public function putMany(array $values, $seconds): bool
    {
        $stored = [];
        foreach ($values as $key => $value) {
            $stored[self::key($key)] = $value;
        }

        return $this->done($this->cache->setMany($stored, self::ttl($seconds), $this->tags), 'putMany');
    }

    /** Stores an entry if there is none. Of several processes and hosts one succeeds. */
    public function add($key, $value, $seconds): bool
    {
        return $this->done($this->cache->add(self::key($key), $value, self::ttl($seconds), $this->tags), 'add');
    }

    public function increment($key, $value = 1): int|bool
    {
        if ((int) $value != $value) {
            throw new InvalidArgumentException("libcache counts whole numbers: cannot add [{$value}] to [{$key}].");
        }

        try {
            $number = $this->cache->increment(self::key($key), (int) $value, Cache::FOREVER, $this->tags);
        } catch (Exception $e) {
            if ($e->getCode() !== Exception::ENUMBER && $e->getCode() !== Exception::EOVERFLOW) {
                throw $e;
            }

            return false;
        }

        $this->done($number !== false, 'increment');

        return $number;
    }

    public function decrement($key, $value = 1): int|bool
    {
        return $this->increment($key, $value * -1);
    }

    public function forever($key, $value): bool
    {
        return $this->put($key, $value, Cache::FOREVER);
    }

    /** Gives an entry a new life from now. */
    public function touch($key, $seconds): bool
    {
        return $this->done($this->cache->touch(self::key($key), self::ttl($seconds)), 'touch');
    }

    public function forget($key): bool
    {
        return $this->done($this->cache->delete(self::key($key)), 'forget');
    }

    /** Forgets many entries by one round trip: how many were there. */
    public function forgetMany(array $keys): int
    {
        $forgotten = $this->cache->deleteMany(array_map([self::class, 'key'], $keys));

        $this->done($this->cache->lastError() === 0, 'forgetMany');

        return $forgotten;
    }

    /** Forgets all entries of this namespace, and nothing else. */
    public function flush(): bool
    {
        return $this->done($this->cache->clear(), 'flush');
    }

    /** Forgets what carries one of the tags, in all namespaces. */
    public function invalidateTags(array $tags): bool
    {
        return $this->done($this->cache->invalidateTags($tags), 'flush of tags');
    }

    /** There is nothing to prune: no lists of a tag's members are kept. */
    public function flushStaleTags(): void {}

    /**
     * Hears what other hosts have changed. False: Redis is away. Null: there is no Redis.
     *
     * @param  float|null  $seconds  to spend on it at most
     */
    public function poll(?float $seconds = null): ?bool
    {
        try {
            return $this->cache->poll($seconds);
        } catch (Exception $e) {
            if ($e->getCode() !== Exception::EUNSUPPORTED) {
                throw $e;
            }

            return null;
        }
    }

    public function getPrefix(): string
    {
        return $this->prefix;
    }

    /**
     * @param  array|mixed  $names
     */
    public function tags($names): TaggedCache
    {
        $tags = new TagSet($this, is_array($names) ? $names : func_get_args());

        return new TaggedCache($this->withTags($tags->getNames()), $tags, $this->sharedTags);
    }

    /**
     * @param  string  $name
     * @param  int  $seconds
     * @param  string|null  $owner
     */
    public function lock($name, $seconds = 0, $owner = null): Lock
    {
        return new Lock($this->cache, self::key($this->prefix.$name), $seconds, $owner);
    }

    /**
     * @param  string  $name
     * @param  string  $owner
     */
    public function restoreLock($name, $owner): Lock
    {
        return $this->lock($name, 0, $owner);
    }

    /** The key by which libcache knows an entry: any string but the empty and the very long ones. */
    public static function key($key): string
    {
        $key = (string) $key;

        if ($key !== '' && ! isset($key[self::KEY_MAX])) {
            return $key;
        }

        return "\0".($key === '' ? '' : hash('sha256', $key));
    }

    /** The life of an entry, as libcache wants it; null: the namespace's. */
    public static function ttl($seconds)
    {
        return $seconds > self::TTL_MAX ? Cache::FOREVER : (is_numeric($seconds) ? +$seconds : $seconds);
    }

    /** Tells of a fault, if there was one. */
    private function done(bool $ok, string $call): bool
    {
        if (! $ok && $this->faults && ($code = $this->cache->lastError())) {
            $this->faults->tell($call, $code);
        }

        return $ok;
    }
}
