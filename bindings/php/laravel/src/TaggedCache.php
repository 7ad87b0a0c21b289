<?php

namespace Libcache\Laravel;

use Illuminate\Cache\TaggedCache as BaseTaggedCache;
use Illuminate\Contracts\Events\Dispatcher;

/**
 * A cache whose entries carry tags. Flushing them costs the same however many entries there are.
 *
 * @method Store getStore()
 */
class TaggedCache extends BaseTaggedCache
{
    use Concerns\AnnouncesEvents, Concerns\LoadsOnce, Concerns\ReadsAndWrites;

    /** Somebody has set something: the repository does not give it out again. */
    public bool $altered = false;

    /**
     * @param  Store  $store  bound to the tags
     * @param  bool  $shared  entries are the same as without tags
     */
    public function __construct(Store $store, TagSet $tags, bool $shared = false)
    {
        parent::__construct($store, $tags);

        $this->cell = $store->cache();
        $this->scope = $shared ? '' : hash('xxh128', $tags->getNamespace()).':';
    }

    /**
     * The key of an entry, as the store has it.
     *
     * @param  string  $key
     */
    public function taggedItemKey($key): string
    {
        return $this->scope.$key;
    }

    public function setDefaultCacheTime($seconds): static
    {
        $this->altered = true;

        return parent::setDefaultCacheTime($seconds);
    }

    public function setEventDispatcher(Dispatcher $events): void
    {
        $this->altered = true;
        $this->useDispatcher($events);

        parent::setEventDispatcher($events);
    }

    public function setStore($store): static
    {
        $this->altered = true;
        $this->store = $store->withTags($this->tags->getNames());
        $this->cell = $store->cache();

        return $this;
    }

    public function __clone(): void
    {
        parent::__clone();

        $this->cell = $this->store->cache();
    }
}
