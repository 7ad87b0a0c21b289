<?php

namespace Libcache;

/** Times as the PSRs have them. @internal */
final class Expiry
{
    /** Seconds from now; null: the namespace's own. */
    public static function seconds(mixed $ttl): int|float|null
    {
        if ($ttl instanceof \DateInterval) {
            $now = new \DateTimeImmutable();

            return self::until($now->add($ttl), $now);
        }
        if ($ttl === null || is_int($ttl)) {
            return $ttl;
        }
        throw new InvalidArgument('A ttl is null, a number of seconds or a DateInterval, not ' . get_debug_type($ttl));
    }

    public static function until(\DateTimeInterface $when, ?\DateTimeInterface $now = null): float
    {
        $now ??= new \DateTimeImmutable();

        return ($when->getTimestamp() - $now->getTimestamp()) + ((int)$when->format('u') - (int)$now->format('u')) / 1e6;
    }

    /** A key that both PSRs allow. */
    public static function key(mixed $key): string
    {
        if (!is_string($key)) {
            throw new InvalidArgument('A key is a string, not ' . get_debug_type($key));
        }
        if ($key === '' || strpbrk($key, '{}()/\@:') !== false || strlen($key) > 4095) {
            throw new InvalidArgument($key === '' ? 'A key is not empty' : "A key has none of {}()/\\@: and at most 4095 bytes: '$key'");
        }

        return $key;
    }
}
