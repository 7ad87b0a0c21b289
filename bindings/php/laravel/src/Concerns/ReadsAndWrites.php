<?php

namespace Libcache\Laravel\Concerns;

use __PHP_Incomplete_Class;
use Closure;
use DateInterval;
use DateTimeInterface;
use Illuminate\Cache\Events\CacheHit;
use Illuminate\Cache\Events\CacheMissed;
use Illuminate\Cache\Events\ForgettingKey;
use Illuminate\Cache\Events\KeyForgetFailed;
use Illuminate\Cache\Events\KeyForgotten;
use Illuminate\Cache\Events\KeyWriteFailed;
use Illuminate\Cache\Events\KeyWritten;
use Illuminate\Cache\Events\RetrievingKey;
use Illuminate\Cache\Events\RetrievingManyKeys;
use Illuminate\Cache\Events\WritingKey;
use Illuminate\Cache\Events\WritingManyKeys;
use Libcache\Cache;
use Libcache\Exception;

use function is_array;
use function is_string;

/**
 * What a repository reads and writes, where Laravel's own way would be slower, or would not be one step.
 *
 * Serves Repository and TaggedCache alike: $scope is what keeps entries with tags apart from others.
 */
trait ReadsAndWrites
{
    /** The store's namespace. */
    private Cache $cell;

    /** What goes before each key. */
    private string $scope = '';

    public function get($key, $default = null): mixed
    {
        if (! is_string($key)) {
            if (is_array($key)) {
                return $this->many($key);
            }
            $key = self::nameOf($key);
        }

        if ($this->events !== null && $this->hears(CacheHit::class, CacheMissed::class, RetrievingKey::class)) {
            return parent::get($key, $default);
        }

        try {
            $value = $this->cell->get($this->scope.$key);
        } catch (Exception) {
            $value = $this->store->get($this->scope.$key); // knows what to do with keys that libcache does not take
        }

        if ($value instanceof __PHP_Incomplete_Class) {
            return parent::get($key, $default); // newer versions of Laravel tell those who asked for it
        }

        return $value ?? ($default instanceof Closure ? $default() : $default);
    }

    /** Keys, or keys with their defaults, or some of each. */
    public function many(array $keys): array
    {
        $defaults = [];
        foreach ($keys as $key => $default) {
            is_string($key) ? $defaults[$key] = $default : $defaults[self::nameOf($default)] = null;
        }

        return $this->fetch($defaults);
    }

    public function getMultiple($keys, $default = null): iterable
    {
        $defaults = [];
        foreach ($keys as $key) {
            $defaults[self::nameOf($key)] = $default;
        }

        return $this->fetch($defaults);
    }

    /** Reads many entries at once: their values by key, or what $values has as default. */
    private function fetch(array $values): array
    {
        $keys = array_keys($values);

        $this->announce(RetrievingManyKeys::class, $keys);

        $found = $this->store->many(array_map(fn ($key) => $this->scope.$key, $keys));
        $heard = $this->hears(CacheHit::class, CacheMissed::class);

        foreach ($values as $key => $default) {
            $value = $found[$this->scope.$key] ?? null;

            if ($value instanceof __PHP_Incomplete_Class) {
                $value = parent::get($key); // and announces it
            } elseif ($heard) {
                $this->announce($value === null ? CacheMissed::class : CacheHit::class, $key, ...($value === null ? [] : [$value]));
            }

            $values[$key] = $value ?? ($default instanceof Closure ? $default() : $default);
        }

        return $values;
    }

    public function put($key, $value, $ttl = null): bool
    {
        if (is_array($key)) {
            return $this->putMany($key, $value);
        }

        return $ttl === null
            ? $this->write(self::nameOf($key), $value, $this->store->defaultTtl())
            : parent::put($key, $value, $ttl);
    }

    public function putMany(array $values, $ttl = null): bool
    {
        $seconds = $ttl === null ? $this->store->defaultTtl() : $this->getSeconds($ttl);

        if ($seconds !== null && $seconds <= 0) {
            return $this->deleteMultiple(array_keys($values));
        }

        return $this->writeMany($values, $seconds);
    }

    public function forever($key, $value): bool
    {
        return $this->write(self::nameOf($key), $value, Cache::FOREVER);
    }

    protected function putManyForever(array $values): bool
    {
        return $this->writeMany($values, Cache::FOREVER);
    }

    /** Stores an entry if there is none, in one step, with a TTL or without. */
    public function add($key, $value, $ttl = null): bool
    {
        $seconds = $ttl === null ? $this->store->defaultTtl() : $this->getSeconds($ttl);

        return ($seconds === null || $seconds > 0) && $this->store->add($this->scope.self::nameOf($key), $value, $seconds);
    }

    /**
     * Gives an entry a new life from now: null, for ever.
     *
     * @param  DateTimeInterface|DateInterval|int|null  $ttl
     */
    public function touch($key, $ttl = null): bool
    {
        return $this->store->touch($this->scope.self::nameOf($key), $ttl === null ? Cache::FOREVER : $this->getSeconds($ttl));
    }

    /** True: all of them were there. */
    public function deleteMultiple($keys): bool
    {
        $keys = is_array($keys) ? array_values($keys) : iterator_to_array($keys, false);

        if ($this->hears(KeyForgotten::class, ForgettingKey::class, KeyForgetFailed::class)) {
            return parent::deleteMultiple($keys);
        }

        return $this->store->forgetMany(array_map(fn ($key) => $this->scope.self::nameOf($key), $keys)) === count($keys);
    }

    /** Stores an entry and announces it. $seconds null: the namespace's TTL. */
    private function write(string $key, $value, ?int $seconds): bool
    {
        $announced = $seconds === Cache::FOREVER ? null : $seconds;

        $this->announce(WritingKey::class, $key, $value, $announced);

        return $this->written($this->store->put($this->scope.$key, $value, $seconds), $key, $value, $announced);
    }

    private function writeMany(array $values, ?int $seconds): bool
    {
        $stored = [];
        foreach ($values as $key => $value) {
            $stored[$this->scope.$key] = $value;
        }

        $announced = $seconds === Cache::FOREVER ? null : $seconds;

        $this->announce(WritingManyKeys::class, array_keys($values), array_values($values), $announced);

        $done = $this->store->putMany($stored, $seconds);

        foreach ($values as $key => $value) {
            $this->written($done, $key, $value, $announced);
        }

        return $done;
    }

    private function written(bool $done, $key, $value, ?int $seconds): bool
    {
        $this->announce($done ? KeyWritten::class : KeyWriteFailed::class, $key, $value, $seconds);

        return $done;
    }

    /** A key as text: Laravel 12 and later take enums. */
    private static function nameOf($key): string
    {
        return match (true) {
            is_string($key) => $key,
            $key instanceof \BackedEnum => (string) $key->value,
            $key instanceof \UnitEnum => $key->name,
            default => (string) $key,
        };
    }
}
