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
    public function reset()
    {
        $this->store->invalidateTags($this->names);
    }

    public function resetTag($name)
    {
        $this->store->invalidateTags([$name]);

        return $name;
    }

    public function flush()
    {
        $this->reset();
    }

    public function flushTag($name)
    {
        $this->resetTag($name);
    }

    public function tagId($name)
    {
        return $name;
    }

    public function tagKey($name)
    {
        return $name;
    }

    /** The same for the same names in any order. */
    public function getNamespace()
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
