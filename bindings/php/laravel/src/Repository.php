<?php

namespace Libcache\Laravel;

use Illuminate\Cache\Repository as BaseRepository;
use Illuminate\Contracts\Events\Dispatcher;

use function count;
use function func_num_args;
use function is_array;
use function is_string;

/**
 * Laravel's cache repository, with loads that are run once however many processes ask.
 *
 * @method Store getStore()
 */
class Repository extends BaseRepository
{
    use Concerns\AnnouncesEvents, Concerns\LoadsOnce, Concerns\ReadsAndWrites;

    /** How many tagged caches are kept for the next call of tags() with the same names. */
    private const TAGGED_MAX = 64;

    /** @var array<string, TaggedCache> */
    private array $tagged = [];

    /** @var array<string, static> */
    private array $namespaces = [];

    /** @param  array  $config  that of the store: "store" is its name (Laravel 11 and later) */
    public function __construct(Store $store, array $config = [])
    {
        parent::__construct($store, $config);

        $this->useStore($store);
    }

    /**
     * The cache of another namespace of the same segment and Redis, with a policy of its own. As with store(), the same name gives
     * the same object.
     *
     * @param  array<string, mixed>  $policy  over what config/libcache.php says of it; all processes must say the same
     */
    public function namespace(string $name, array $policy = []): static
    {
        if ($policy || ! isset($this->namespaces[$name])) {
            $this->namespaces[$name] = clone $this;
            $this->namespaces[$name]->useStore($this->store->namespace($name, $policy));
        }

        return $this->namespaces[$name];
    }

    /**
     * @param  array|mixed  $names
     */
    public function tags($names): TaggedCache
    {
        $id = is_string($names) && func_num_args() === 1 ? $names : $this->idOf($names = is_array($names) ? $names : func_get_args());

        return isset($this->tagged[$id]) && ! $this->tagged[$id]->altered
            ? $this->tagged[$id]
            : $this->keepTagged($id, parent::tags($names));
    }

    public function setDefaultCacheTime($seconds): static
    {
        $this->tagged = [];

        return parent::setDefaultCacheTime($seconds);
    }

    public function setEventDispatcher(Dispatcher $events): void
    {
        $this->tagged = $this->namespaces = [];
        $this->useDispatcher($events);

        parent::setEventDispatcher($events);
    }

    public function setStore($store): static
    {
        $this->useStore($store);

        return $this;
    }

    public function __clone(): void
    {
        parent::__clone();

        $this->useStore($this->store);
    }

    private function useStore(Store $store): void
    {
        $this->tagged = $this->namespaces = [];
        $this->store = $store;
        $this->cell = $store->cache();
    }

    /** By what a tagged cache is found again. */
    private function idOf(array $names): string
    {
        return count($names) === 1 && is_string($name = reset($names)) ? $name : "\0".serialize($names);
    }

    private function keepTagged(string $id, TaggedCache $cache): TaggedCache
    {
        if (count($this->tagged) >= self::TAGGED_MAX) {
            $this->tagged = [];
        }

        $cache->altered = false;

        return $this->tagged[$id] = $cache;
    }
}
