<?php

namespace Libcache\Laravel;

/** Says what libcache:warm puts into the cache before anybody asks for it. Listed in config/libcache.php under "warmers". */
interface Warmer
{
    /**
     * The cache to warm: a namespace, or one with tags.
     *
     * @return Repository|TaggedCache
     */
    public function cache(Repository $cache);

    /** @return iterable<string|int> */
    public function keys(): iterable;

    /**
     * The values of some of them, by key. What is left out is not stored.
     *
     * @param  array<string>  $keys
     * @return array<string, mixed>
     */
    public function load(array $keys): array;

    /** How long they live. Null: the namespace's TTL, else for ever. */
    public function ttl(): \DateTimeInterface|\DateInterval|int|null;
}
