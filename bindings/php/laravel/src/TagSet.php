<?php

namespace Libcache\Laravel;

use BackedEnum;
use Illuminate\Cache\TagSet as BaseTagSet;
use UnitEnum;

/**
 * Tags as libcache knows them: names, and nothing stored beside them. Their order does not matter.
 *
 * @property Store $store
 */
class TagSet extends BaseTagSet
{
    public function __construct(Store $store, array $names = [])
    {
        parent::__construct($store, array_values(array_unique(array_map([self::class, 'name'], $names))));
    }

    /** What carries one of these tags is gone. */
    public function reset(): void
    {
        $this->store->invalidateTags($this->names);
    }

    public function resetTag($name): string
    {
        $this->store->invalidateTags([$name]);

        return $name;
    }

    public function flush(): void
    {
        $this->reset();
    }

    public function flushTag($name): void
    {
        $this->resetTag($name);
    }

    public function tagId($name): string
    {
        return $name;
    }

    public function tagKey($name): string
    {
        return $name;
    }

    /** The same for the same names in any order. */
    public function getNamespace(): string
    {
        $names = $this->names;
        sort($names, SORT_STRING);

        return implode('|', array_map(fn ($name) => strlen($name).':'.$name, $names));
    }

    private static function name($name): string
    {
        return match (true) {
            $name instanceof BackedEnum => (string) $name->value,
            $name instanceof UnitEnum => $name->name,
            default => (string) $name,
        };
    }
}
