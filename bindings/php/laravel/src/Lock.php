<?php

namespace Libcache\Laravel;

use Illuminate\Cache\Lock as BaseLock;
use Illuminate\Contracts\Cache\LockTimeoutException;
use Libcache\Cache;
use Libcache\Exception;
use Libcache\Lock as NativeLock;

/**
 * A lock among processes and hosts. Who waits for it sleeps and is woken when it is given back.
 *
 * libcache's owner is 32 characters: Laravel's owner, a "~", and random ones, so that two who use the same name exclude each
 * other as they do with Laravel's own locks. Longer owners are hashed.
 */
class Lock extends BaseLock
{
    private const OWNER_BYTES = 32;

    private const NAME_MAX = 20;

    /** Laravel's "no end". */
    private const FOREVER = 3650 * 86400;

    private ?NativeLock $held = null;

    public function __construct(private Cache $cache, $name, $seconds, $owner = null)
    {
        parent::__construct($name, $seconds, $owner);
    }

    /** @throws Exception nobody knows whether it is free: Redis is away, say */
    public function acquire(): bool
    {
        return $this->take(0);
    }

    /**
     * @param  int  $seconds
     * @param  callable|null  $callback
     *
     * @throws LockTimeoutException
     */
    public function block($seconds, $callback = null): mixed
    {
        if (! $this->take(max(0, $seconds))) {
            throw new LockTimeoutException;
        }

        if (is_callable($callback)) {
            try {
                return $callback();
            } finally {
                $this->release();
            }
        }

        return true;
    }

    public function release(): bool
    {
        return (bool) $this->mine()?->free();
    }

    public function forceRelease()
    {
        $this->held = null;

        return $this->native(null)->break();
    }

    /** Gives the lock a new life from now, if it is still ours. */
    public function refresh($seconds = null): bool
    {
        return (bool) $this->mine()?->keep(self::ttl($seconds ?? $this->seconds));
    }

    public function isLocked(): bool
    {
        return $this->native(null)->holder() !== null;
    }

    public function isOwnedByCurrentProcess(): bool
    {
        return $this->isOwnedBy($this->owner);
    }

    public function isOwnedBy($owner): bool
    {
        return $this->getCurrentOwner() === self::mark($owner);
    }

    /** Whoever has it, as Laravel knows them (the hash of an owner longer than 20 bytes). */
    protected function getCurrentOwner(): ?string
    {
        $holder = $this->native(null)->holder();

        return $holder === null ? null : substr($holder, 0, (int) strrpos($holder, '~'));
    }

    private function take(float $wait): bool
    {
        $lock = $this->native(self::sign($this->owner));

        if ($lock->take($wait)) {
            $this->held = $lock;

            return true;
        }

        if ($code = $this->cache->lastError()) {
            throw new Exception("lock [{$this->name}]: ".Cache::describe($code), $code);
        }

        return false;
    }

    /** The lock as its owner has it; null: somebody else has it, or nobody. */
    private function mine(): ?NativeLock
    {
        if ($this->held === null) {
            $holder = $this->native(null)->holder();

            if ($holder === null || ! str_starts_with($holder, self::mark($this->owner).'~')) {
                return null;
            }

            $this->held = $this->native($holder);
        }

        return $this->held;
    }

    private function native(?string $owner): NativeLock
    {
        return $this->cache->lock($this->name, self::ttl($this->seconds), $owner);
    }

    private static function ttl($seconds)
    {
        return $seconds > 0 ? min(+$seconds, self::FOREVER) : self::FOREVER;
    }

    /** An owner of Laravel's in libcache's. */
    private static function mark(string $owner): string
    {
        return strlen($owner) <= self::NAME_MAX && ! str_contains($owner, '~') && ! str_contains($owner, "\0")
            ? $owner
            : '#'.substr(hash('sha256', $owner), 0, self::NAME_MAX - 1);
    }

    private static function sign(string $owner): string
    {
        $mark = self::mark($owner).'~';

        return $mark.substr(bin2hex(random_bytes(16)), 0, self::OWNER_BYTES - strlen($mark));
    }
}
