<?php

/**
 * The PHP API of libcache. This file is the manual for IDEs and the source of libcache_arginfo.h.
 *
 * Words: a *cache* is one segment of memory (L1), with or without a Redis tier (L2); a *namespace* is a part of it with a
 * policy of its own. A Cache object is a view of one namespace; namespace() gives the view of another one, of the same cache.
 *
 * Times are seconds, int or float, or text as in a policy file ("90s", "5m", "250ms", "forever"). Sizes are bytes, or text
 * ("64MiB"; in ini settings and options also "64M").
 *
 * Faults come in two kinds:
 *  - Misuse (a bad key, tag, option or value) throws Libcache\Exception, whose code is one of its constants.
 *  - Faults of the world (Redis away, no memory, a busy lock) never throw: a read is a miss, a write returns false, and
 *    lastError() gives the code. What Redis could not be told is owed to it and told later (see docs/redis.md).
 *
 * @generate-class-entries
 */

namespace Libcache;

/**
 * A view of one namespace of a cache.
 *
 * @not-serializable
 * @strict-properties
 */
final class Cache
{
    /**
     * a ttl: never expires
     * @var int
     * @cvalue ZEND_LONG_MAX
     */
    public const FOREVER = 9223372036854775807;

    /* Flags of single calls, or'ed. */

    /**
     * rather fail (a read: miss) than wait for a lock
     * @var int
     */
    public const NO_WAIT = 1;
    /**
     * reads: do not look in L1. Writes: leave nothing of the key in L1
     * @var int
     */
    public const SKIP_L1 = 8;
    /**
     * do not go to Redis: what is changed is changed on this host only
     * @var int
     */
    public const SKIP_L2 = 16;
    /**
     * reads: keep no copy in L1 of what was found in Redis
     * @var int
     */
    public const READ_ONLY = 32;
    /**
     * writes: other hosts are not told, and keep their copies until these expire
     * @var int
     */
    public const NO_PUBLISH = 64;
    /**
     * begin: a waiting Load rather than wait for another's load
     * @var int
     */
    public const NO_BLOCK = 128;
    /**
     * begin, remember: load even if a fresh value is there
     * @var int
     */
    public const REFRESH = 256;

    /** Use open(). */
    private function __construct() {}

    /**
     * Opens the cache. Options that are not given come from the ini settings (libcache.*), which name the same things.
     * The same options give the same cache in later calls and requests of the process: it is not opened again.
     * Does not connect to Redis: that it is down is no error here.
     *
     * segment         "shared" (made when PHP starts, for all workers of an FPM master), "named" (every process of this user
     *                 that names it: FPM, CLI, queue workers), "private" (this process). Only the cache of the ini settings
     *                 is shared with processes that were forked before this call.
     * name            of a named segment
     * memory          the whole segment, default 64 MiB
     * max_value       largest value of any namespace
     * stripes, max_namespaces, huge_pages ("auto", "on", "off"), lock_wait, verify_values, identity: as in libcache.h
     * policy_file     INI file of namespace policies, see docs/policy-file.md
     * redis_url       redis://[user:password@]host[:port][/db] or unix:///path/of.sock[?db=N]; "": no Redis tier
     * redis_prefix    of all keys in Redis
     * redis_timeout, pool_min, pool_max, pool_overflow, pool_wait, pool_idle, breaker_failures, breaker_backoff,
     * breaker_backoff_max, max_reply, max_staleness, poll, log_length: as in libcache.h
     * listener        "calls" (default) or "thread" (long-running CLI programs only)
     * namespace       the one that the returned object is a view of, default "default"
     * policy          of that namespace, see namespace()
     * clock           a Libcache\Clock, for tests
     *
     * @param array $options
     * @throws Exception EINVAL for an option that is unknown or out of range; else what libcache_open gives
     */
    public static function open(array $options = []): Cache {}

    /**
     * The view of another namespace of the same cache, registered when it is new.
     *
     * Policy, as in a policy file: ttl, negative_ttl, soft_ttl, grace, jitter (percent), l1_share (percent), max_value,
     * tiers ("l1", "l2", "l1,l2"), l1_ttl, compress, load_timeout, load_backoff, early (percent), load_lease ("host",
     * "redis"). All processes must say the same, or nothing. Besides, for this object only:
     *
     * codec             "php" (default) or "msgpack": MessagePack, which the other languages read too
     * allowed_classes   false (default): no objects; true: all; or a list of class names
     * serializer        what objects go through: "php" (default) or "igbinary" (only with allowed_classes true)
     * memo              true: this object keeps up to 1024 decoded arrays that get() gave, and gives them again as long as
     *                   the entry is unchanged
     *
     * @param array $policy
     * @throws Exception EPOLICY, ENAME, EINVAL, EUNSUPPORTED
     */
    public function namespace(string $name, array $policy = []): Cache {}

    /** The name of the namespace. */
    public function name(): string {}

    /**
     * The policy in force: times in seconds (INF: forever), sizes in bytes.
     *
     * @return array
     */
    public function policy(): array {}

    /* ---- Reading ---- */

    /**
     * The value, or $default when it is not there. A stored null is a hit and gives null: who must know gives an object of
     * his own as default. An entry stored by setMissing() reads as null.
     *
     * @throws Exception EKEY, EINVAL
     */
    public function get(string $key, mixed $default = null, int $flags = 0): mixed {}

    /**
     * The values of many keys by one round trip to Redis at most, in the order asked for. Keys that are not there are left
     * out, unless a default is given.
     *
     * @param array $keys
     * @return array by key
     * @throws Exception EKEY, EINVAL
     */
    public function getMany(array $keys, mixed $default = UNKNOWN, int $flags = 0): array {}

    /**
     * As get(), with when: $age is seconds since the entry was stored, $ttlLeft seconds that it has to live (INF: for ever). Both are
     * null when it is not there, and so is the result. Does not use the memo (policy "memo").
     *
     * @param float|null $age
     * @param float|null $ttlLeft
     * @throws Exception EKEY, EINVAL
     */
    public function getTimed(string $key, mixed &$age = null, mixed &$ttlLeft = null, int $flags = 0): mixed {}

    /** Whether get would find a value, or knows that there is none at the source (setMissing). */
    public function has(string $key, int $flags = 0): bool {}

    /** Seconds that the entry has to live; INF: for ever; null: it is not there. */
    public function ttlLeft(string $key, int $flags = 0): ?float {}

    /* ---- Writing ---- */

    /**
     * Stores a value. $ttl null: the policy's; 0 or less: the value is expired already, the key is deleted.
     * Null, bool, int, float, string and arrays of them keep their types; an int is stored so that increment() works on it.
     *
     * @param array $tags
     * @return bool false: see lastError(). ETOOBIG: the old entry is gone. Redis's errors: stored on this host only
     * @throws Exception EKEY, ETAG, EINVAL; EVALUE: a value that cannot be stored (an object that is not allowed, a resource)
     */
    public function set(string $key, mixed $value, int|float|string|null $ttl = null, array $tags = [], int $flags = 0): bool {}

    /**
     * Stores many values, 64 in a round trip. All are tried.
     *
     * @param array $values by key
     * @param array $tags of each of them
     * @return bool false: at least one was not stored, see lastError()
     */
    public function setMany(array $values, int|float|string|null $ttl = null, array $tags = [], int $flags = 0): bool {}

    /**
     * Stores "known missing at the source": reads as null, lives for the policy's negative_ttl when $ttl is null.
     *
     * @param array $tags
     */
    public function setMissing(string $key, int|float|string|null $ttl = null, array $tags = [], int $flags = 0): bool {}

    /**
     * Stores only if there is no entry; of several processes and hosts one succeeds.
     *
     * @param array $tags
     * @return bool false: there is one (lastError() is 0), or a fault
     */
    public function add(string $key, mixed $value, int|float|string|null $ttl = null, array $tags = [], int $flags = 0): bool {}

    /** Deletes an entry. True: it was there. Loads of this key that have begun will not bring it back, on any host. */
    public function delete(string $key, int $flags = 0): bool {}

    /**
     * Deletes many, 256 in a round trip.
     *
     * @param array $keys
     * @return int how many of them were there
     */
    public function deleteMany(array $keys, int $flags = 0): int {}

    /**
     * Adds to a whole number, atomically among all processes and hosts, and keeps its remaining ttl and tags. A key that is
     * not there counts as 0 and is created with $ttl and $tags.
     *
     * @param array $tags
     * @return int|false the new number; false: see lastError()
     * @throws Exception ENUMBER: the value is not a whole number; EOVERFLOW: it would not fit. Nothing changes then
     */
    public function increment(string $key, int $by = 1, int|float|string|null $ttl = null, array $tags = [], int $flags = 0): int|false {}

    /**
     * The same with $by subtracted.
     *
     * @param array $tags
     */
    public function decrement(string $key, int $by = 1, int|float|string|null $ttl = null, array $tags = [], int $flags = 0): int|false {}

    /** Gives an entry a new ttl from now (null: the policy's; 0 or less: deletes it). True: it was there. */
    public function touch(string $key, int|float|string|null $ttl = null, int $flags = 0): bool {}

    /* ---- Loading ---- */

    /**
     * The value; when it is not there, $loader is called and its value stored. However many processes ask for a missing key
     * at once, one of them runs its loader and the others get that value. What is invalidated while the loader runs is not
     * stored. The loader may change ttl and tags, or say that nothing is to be stored, through the Load that it is given.
     *
     * An exception of the loader comes out of this call, and others do not try again for the policy's load_backoff; but an
     * \Exception is dropped (lastError() is ELOAD) when an older value is there within the policy's grace: that is given then.
     *
     * @param callable $loader fn(string $key, Load $load): mixed
     * @param array $tags
     * @throws Exception ELOAD: somebody else's load failed lately; EKEY, EVALUE, ...
     */
    public function remember(string $key, callable $loader, int|float|string|null $ttl = null, array $tags = [], int $flags = 0): mixed {}

    /**
     * The same for many keys: the loader gets those that are missing and that nobody else is loading, at once, and returns
     * their values by key. What it leaves out is not stored, and left out of the result.
     *
     * @param array $keys
     * @param callable $loader fn(array $missing, Load $load): array
     * @param array $tags
     * @return array by key, in the order asked for
     */
    public function rememberMany(array $keys, callable $loader, int|float|string|null $ttl = null, array $tags = [], int $flags = 0): array {}

    /**
     * The same in steps. Null: $value is what there is, nothing is to be done. A Load: see its $state; end it with commit()
     * or abort() (a Load that is dropped is aborted). With Load::REFRESH $value is an older value, still usable.
     * $value is null where there is none.
     *
     * @param int|float|string|null $wait longest wait for somebody else's load. Null: the policy's load_timeout
     * @throws Exception ELOAD: a load failed lately and nothing stale is there; EKEY, EINVAL
     */
    public function begin(string $key, mixed &$value = null, int|float|string|null $wait = null, int $flags = 0): ?Load {}

    /* ---- Invalidating ---- */

    /**
     * Nothing that carries one of these tags is given to anybody any more, in no namespace and on no host; no load that began
     * before brings it back. Costs the same however many entries there are.
     *
     * @param array|string $tags
     * @return bool false: done on this host, and owed to Redis; see lastError()
     */
    public function invalidateTags(array|string $tags, int $flags = 0): bool {}

    /** The same for all of this namespace. */
    public function clear(int $flags = 0): bool {}

    /** The same for all namespaces of the cache. */
    public function clearAll(int $flags = 0): bool {}

    /* ---- Of the whole cache, whatever the namespace ---- */

    /**
     * A lock by name, not taken yet. It holds among all hosts where there is a Redis tier, else among the processes of the
     * segment.
     *
     * @param int|float|string $ttl who has not given it back by then has lost it
     * @param string|null $owner in whose name; null: a new one. Lock::owner() of another process goes on with its lock
     */
    public function lock(string $name, int|float|string $ttl = 10, ?string $owner = null): Lock {}

    /**
     * Counts a hit of $name in a window that begins with its first hit.
     *
     * @return array with allowed, hits, remaining and reset; reset: seconds until the window ends
     */
    public function rateHit(string $name, int $limit, int|float|string $window): array {}

    /**
     * What this process did with the cache, and figures of its segment, by the names of struct libcache_stats.
     *
     * @return array
     */
    public function stats(): array {}

    /**
     * What all processes of the segment, those that have ended included, did in this namespace since the segment was created: by
     * the names of struct libcache_ns_stats.
     *
     * @return array
     */
    public function namespaceStats(): array {}

    /**
     * The same, summed over all namespaces, with what concerns none of them.
     *
     * @return array
     */
    public function sumStats(): array {}

    /**
     * The same of each namespace of the segment, whoever opened it.
     *
     * @return array by name
     */
    public function namespaces(): array {}

    /**
     * All metrics as text, see docs/metrics.md. One process of a host needs to be asked.
     *
     * @param string $format "openmetrics": text for Prometheus, to be served as
     *                       "application/openmetrics-text; version=1.0.0; charset=utf-8"; or "json"
     * @throws Exception EINVAL: another format
     */
    public function metrics(string $format = "openmetrics"): string {}

    /**
     * Hears what other hosts have invalidated until this host is up to date, and tells Redis what it is owed. Other calls do
     * so now and then; long-running programs may call it between jobs.
     *
     * @param int|float|string|null $timeout longest time to spend. Null: redis_timeout
     * @return bool false: not up to date, see lastError()
     */
    public function poll(int|float|string|null $timeout = null): bool {}

    /** Drops what the memo of this object holds (policy "memo"). Long-running programs call it between jobs. */
    public function forgetMemo(): void {}

    /** The code of the last call of this object that failed without an exception (Exception::EUNAVAILABLE ...); 0: it did not fail. */
    public function lastError(): int {}

    /** A sentence for a code of lastError() or of an exception. */
    public static function describe(int $code): string {}

    /**
     * Removes a named segment's name: who has it open keeps it, who opens the name next starts empty.
     *
     * @return bool false: there is none
     */
    public static function removeSegment(string $name): bool {}

    /** The version of the core, "0.1.0". */
    public static function version(): string {}
}

/**
 * A load that somebody must end: by commit() or abort(). The loaders of remember() and rememberMany() get one as well, to say
 * more about what they load; it is ended for them.
 *
 * @not-serializable
 * @strict-properties
 */
final class Load
{
    /**
     * nothing is there, and it is yours to load
     * @var int
     */
    public const LEAD = 1;
    /**
     * an older value is there; you are the one to refresh it
     * @var int
     */
    public const REFRESH = 2;
    /**
     * (Cache::NO_BLOCK) somebody else is at it: see wait()
     * @var int
     */
    public const WAIT = 3;
    /**
     * waited for long enough: load it for yourself
     * @var int
     */
    public const BYPASS = 4;
    /**
     * it has ended
     * @var int
     */
    public const ENDED = 0;

    private function __construct() {}

    /** One of the constants. */
    public function state(): int {}

    /** The life of what is loaded, over what the call said. */
    public function ttl(int|float|string|null $ttl): Load {}

    /**
     * Tags of what is loaded, besides those that the call said.
     *
     * @param array|string $tags
     */
    public function tags(array|string $tags): Load {}

    /** The source has no such thing: stores "known missing" (see Cache::setMissing) whatever value is given. */
    public function missing(): Load {}

    /** The value is for the caller only. */
    public function dontStore(): Load {}

    /**
     * Stores the value and ends the load.
     *
     * @param array $tags besides those of tags()
     * @return bool false: it was invalidated meanwhile and is not stored, or a fault (Cache::lastError())
     * @throws Exception EINVAL: the load has ended, or waits; EVALUE, ETAG
     */
    public function commit(mixed $value, int|float|string|null $ttl = null, array $tags = []): bool {}

    /** Ends a load without a value. $failed: nobody tries again for the policy's load_backoff; else the next one does at once. */
    public function abort(bool $failed = false): void {}

    /**
     * Before a refresh: whether Redis has a fresh value by now, from another host. True: $value is it, and the load has ended.
     */
    public function recheck(mixed &$value = null): bool {}

    /**
     * Waits for somebody else's load. True: $value is there and the load has ended. False: see state(), it is WAIT still, or
     * LEAD or BYPASS: yours now.
     *
     * @throws Exception ELOAD: the load failed
     */
    public function wait(mixed &$value = null, int|float|string $seconds = 0): bool {}
}

/**
 * A lock among processes and hosts. It is not given back when the object goes: another process may go on with owner().
 *
 * @not-serializable
 * @strict-properties
 */
final class Lock
{
    private function __construct() {}

    /**
     * Takes the lock, waiting for at most $wait, asleep; it is woken when the lock is given back. Handlers of signals (with
     * pcntl_async_signals) and the time limit get through within 100 ms; what a handler throws comes out of this call, and the
     * lock is not taken then.
     * False: another has it (Cache::lastError() of the cache is 0), or nobody knows.
     */
    public function take(int|float|string $wait = 0): bool {}

    /** Gives it a new ttl from now (null: that of the lock). False: it is not yours any more. */
    public function keep(int|float|string|null $ttl = null): bool {}

    /** Gives it back. False: it was not yours any more. */
    public function free(): bool {}

    /** Frees it whoever has it. False: nobody had it. */
    public function break(): bool {}

    /** Whether this object's owner has it. */
    public function isMine(): bool {}

    /** Who has it: 32 characters; null: nobody. */
    public function holder(): ?string {}

    /** Seconds until whoever has it loses it; null: nobody has it. */
    public function left(): ?float {}

    /** In whose name this object takes it: as given to Cache::lock(), or 32 characters of its own. */
    public function owner(): string {}

    public function name(): string {}
}

/**
 * A clock for tests: the time of caches opened with it moves only when told.
 *
 * @not-serializable
 * @strict-properties
 */
final class Clock
{
    public function __construct() {}

    public function advance(int|float|string $seconds): void {}

    /** Seconds since it began. */
    public function now(): float {}
}

class Exception extends \RuntimeException
{
    /**
     * an argument is wrong
     * @var int
     */
    public const EINVAL = -1;
    /**
     * no memory
     * @var int
     */
    public const ENOMEM = -2;
    /**
     * key is empty or too long (4095 bytes)
     * @var int
     */
    public const EKEY = -3;
    /**
     * tag is empty or too long, or there are too many (64)
     * @var int
     */
    public const ETAG = -4;
    /**
     * value larger than the namespace or the cache allows
     * @var int
     */
    public const ETOOBIG = -5;
    /**
     * a policy is out of range or contradicts another
     * @var int
     */
    public const EPOLICY = -6;
    /**
     * bad name of a namespace or segment, or no room for one more
     * @var int
     */
    public const ENAME = -7;
    /**
     * the value is not a whole number
     * @var int
     */
    public const ENUMBER = -8;
    /**
     * the number would not fit
     * @var int
     */
    public const EOVERFLOW = -9;
    /**
     * a lock was not to be had in time
     * @var int
     */
    public const EBUSY = -10;
    /**
     * segment belongs to another user
     * @var int
     */
    public const EACCESS = -11;
    /**
     * segment is of another build, identity or size
     * @var int
     */
    public const EINCOMPATIBLE = -12;
    /**
     * there is no such segment
     * @var int
     */
    public const ENOTFOUND = -13;
    /**
     * the operating system refused
     * @var int
     */
    public const ESYSTEM = -14;
    /**
     * the segment's contents contradict themselves
     * @var int
     */
    public const ECORRUPT = -15;
    /**
     * a tier or feature that this cache does not have
     * @var int
     */
    public const EUNSUPPORTED = -16;
    /**
     * Redis is not to be had
     * @var int
     */
    public const EUNAVAILABLE = -17;
    /**
     * Redis did not answer in time
     * @var int
     */
    public const ETIMEDOUT = -18;
    /**
     * Redis refused
     * @var int
     */
    public const EREMOTE = -19;
    /**
     * Redis wants other credentials, or its ACL forbids it
     * @var int
     */
    public const EDENIED = -20;
    /**
     * what answers is not Redis
     * @var int
     */
    public const EPROTOCOL = -21;
    /**
     * a load failed, or did so lately
     * @var int
     */
    public const ELOAD = -22;
    /**
     * the lock is not yours
     * @var int
     */
    public const ELOST = -23;
    /**
     * a value that this namespace cannot store
     * @var int
     */
    public const EVALUE = -100;
}
