<?php

namespace Libcache\Laravel\Concerns;

use __PHP_Incomplete_Class;
use Closure;
use Illuminate\Cache\Events\CacheHit;
use Illuminate\Cache\Events\CacheMissed;
use Illuminate\Cache\Events\RetrievingKey;
use Illuminate\Cache\Events\RetrievingManyKeys;
use Illuminate\Cache\Events\WritingKey;
use Illuminate\Container\Container;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Contracts\Foundation\Application;
use Libcache\Cache;
use Libcache\Exception;
use Libcache\Laravel\Store;
use Libcache\Load;
use Throwable;

use function Illuminate\Support\defer;

/**
 * Loads: however many processes miss an entry at once, one of them runs its callback, and the others get that value. What is
 * invalidated while the callback runs is given to the caller and not stored.
 */
trait LoadsOnce
{
    public function remember($key, $ttl, Closure $callback): mixed
    {
        return $this->load(self::nameOf($key), $callback, $ttl ?? $this->store->defaultTtl(), false);
    }

    public function sear($key, Closure $callback): mixed
    {
        return $this->rememberForever($key, $callback);
    }

    public function rememberForever($key, Closure $callback): mixed
    {
        return $this->load(self::nameOf($key), $callback, Cache::FOREVER, false);
    }

    /**
     * As remember(); that the callback found nothing (null) is remembered too. Other calls take a stored null for a miss.
     *
     * @param  \DateTimeInterface|\DateInterval|int|null  $ttl
     */
    public function rememberNullable($key, $ttl, Closure $callback): mixed
    {
        return $this->load(self::nameOf($key), $callback, $ttl ?? $this->store->defaultTtl(), true);
    }

    /**
     * As remember(), for many: the callback gets the keys that are missing and gives their values by key. What it leaves out,
     * or says is null, is null in the result and not stored.
     *
     * @param  array<string|int>  $keys
     * @param  \DateTimeInterface|\DateInterval|int|null  $ttl
     * @param  Closure(array<string>): array  $callback
     */
    public function rememberMany(array $keys, $ttl, Closure $callback): array
    {
        $names = [];
        foreach ($keys as $key) {
            $names[Store::key($this->scope.self::nameOf($key))] = self::nameOf($key);
        }

        $this->announce(RetrievingManyKeys::class, array_values($names));

        $seconds = $this->lifeOf($ttl ?? $this->store->defaultTtl());
        $loaded = [];
        $found = $this->cell->rememberMany(array_keys($names), function (array $missing) use ($names, $callback, &$loaded) {
            $values = $callback(array_map(fn ($key) => $names[$key], $missing));

            foreach ($missing as $key) {
                if (isset($values[$names[$key]])) {
                    $loaded[$key] = $values[$names[$key]];
                }
            }

            return $loaded;
        }, $seconds, $this->store->boundTags());

        $result = [];
        foreach ($names as $stored => $key) {
            $result[$key] = $value = $found[$stored] ?? null;

            if ($value !== null && ! isset($loaded[$stored])) {
                $this->announce(CacheHit::class, $key, $value);

                continue;
            }

            $this->announce(CacheMissed::class, $key);

            if ($value !== null) {
                $this->announce(WritingKey::class, $key, $value, $seconds === Cache::FOREVER ? null : $seconds);
                $this->written(true, $key, $value, $seconds === Cache::FOREVER ? null : $seconds);
            }
        }

        return $result;
    }

    /**
     * Younger than $ttl[0], an entry is given as it is; older, it is given and refreshed after the response, by one process;
     * older than $ttl[1], it is gone. Missing, it is loaded once.
     *
     * Laravel's $lock has no meaning here: who refreshes is known without one, for as long as the namespace's load_timeout.
     */
    public function flexible($key, $ttl, $callback, $lock = null, $alwaysDefer = false): mixed
    {
        $key = self::nameOf($key);
        $fresh = $this->getSeconds($ttl[0]);
        $stale = $this->getSeconds($ttl[1]);

        $age = $this->ageOf($key, $value);

        if ($age === null) {
            return $this->load($key, fn () => value($callback), $stale, false);
        }

        $this->announce(RetrievingKey::class, $key);
        $this->announce(CacheHit::class, $key, $value);

        if ($age >= $fresh) {
            $this->later("libcache:flexible:{$this->scope}{$key}", $alwaysDefer, function () use ($key, $callback, $fresh, $stale) {
                $load = $this->begin($this->scope.$key, $value, Cache::NO_BLOCK | Cache::REFRESH, 0);

                if (! $load || $load->state() === Load::WAIT) {
                    return; // somebody else is at it, or has failed lately
                }

                if (($age = $this->ageOf($key, $value)) !== null && $age < $fresh) {
                    $load->abort(); // somebody else has done it

                    return;
                }

                $this->refresh($load, $key, fn () => value($callback), $stale, false);
            });
        }

        return $value;
    }

    /** The value, from the cache or from the callback. */
    private function load(string $key, Closure $callback, $ttl, bool $nullIsValue): mixed
    {
        $this->announce(RetrievingKey::class, $key);

        $item = $this->scope.$key;
        $load = $this->begin($item, $value, 0);

        if ($load === null && $value === null && ! $nullIsValue) {
            $load = $this->begin($item, $value, Cache::REFRESH); // a stored null: as if it were not there
        }

        if ($load === false) {
            $this->announce(CacheMissed::class, $key);

            return $callback();
        }

        if ($load === null || $load->state() === Load::REFRESH && $value !== null) {
            if ($value instanceof __PHP_Incomplete_Class) {
                $value = parent::get($key); // newer versions of Laravel tell those who asked for it
            } else {
                $this->announce(CacheHit::class, $key, $value);
            }

            if ($load !== null) {
                $this->later("libcache:refresh:{$item}", true, fn () => $this->refresh($load, $key, $callback, $ttl, $nullIsValue));
            }

            return $value;
        }

        $this->announce(CacheMissed::class, $key);

        return $this->run($load, $key, $callback, $ttl, $nullIsValue, false);
    }

    /**
     * Who is to load it? Null: nobody, $value is there. False: whoever wants it, and it is not stored: it could not be loaded
     * lately, and so a load is not to be waited for.
     */
    private function begin(string $item, &$value, int $flags, ?int $wait = null): Load|false|null
    {
        try {
            return $this->cell->begin(Store::key($item), $value, $wait, $flags);
        } catch (Exception $e) {
            if ($e->getCode() !== Exception::ELOAD) {
                throw $e;
            }

            return false;
        }
    }

    /** Runs the callback and stores what it gives. $hasOld: there is an older value, so nobody need try again at once if it fails. */
    private function run(Load $load, string $key, Closure $callback, $ttl, bool $nullIsValue, bool $hasOld): mixed
    {
        try {
            $value = $callback();
            $seconds = $this->lifeOf($ttl instanceof Closure ? $ttl($value) ?? $this->store->defaultTtl() : $ttl);
        } catch (Throwable $e) {
            $load->abort($hasOld); // if not, the next one who asks tries, and gets his own exception

            throw $e;
        }

        if (($value === null && ! $nullIsValue) || $seconds !== null && $seconds <= 0) {
            $load->dontStore()->commit($value);

            return $value;
        }

        $announced = $seconds === Cache::FOREVER ? null : $seconds;

        $this->announce(WritingKey::class, $key, $value, $announced);

        if ($load->commit($value, $seconds, $this->store->boundTags())) {
            $this->written(true, $key, $value, $announced);
        }

        return $value;
    }

    /** Replaces a value that is still good enough: that this fails is logged, and tried again after the policy's load_backoff. */
    private function refresh(Load $load, string $key, Closure $callback, $ttl, bool $nullIsValue): void
    {
        try {
            $this->run($load, $key, $callback, $ttl, $nullIsValue, true);
        } catch (Throwable $e) {
            $app = Container::getInstance();

            if (! $app->bound(ExceptionHandler::class)) {
                throw $e;
            }

            $app->make(ExceptionHandler::class)->report($e);
        }
    }

    /** Seconds since an entry was stored (its value is put in $value); null: it is not there. */
    private function ageOf(string $key, &$value): ?float
    {
        $value = $this->cell->getTimed(Store::key($this->scope.$key), $age);

        return $value === null ? null : $age;
    }

    /** A TTL as libcache wants it: seconds, or null for the namespace's. */
    private function lifeOf($ttl): ?int
    {
        return $ttl === null || $ttl === Cache::FOREVER ? $ttl : Store::ttl($this->getSeconds($ttl));
    }

    /** Does it after the response; where there is none (a command, a job on an older Laravel), now. */
    private function later(string $name, bool $always, Closure $work): void
    {
        $app = Container::getInstance();

        if (function_exists('Illuminate\Support\defer') && $app->bound('Illuminate\Support\Defer\DeferredCallbackCollection')) {
            defer($work, $name, $always);
        } elseif ($app instanceof Application && ! $app->runningInConsole() && method_exists($app, 'terminating')) {
            $app->terminating($work);
        } else {
            $work();
        }
    }
}
