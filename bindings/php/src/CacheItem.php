<?php

namespace Libcache;

use Psr\Cache\CacheItemInterface;

/** An item of a CachePool. Works with versions 1, 2 and 3 of psr/cache. */
final class CacheItem implements CacheItemInterface
{
    /** When it expires, in seconds since 1970; null: as the namespace says. */
    private ?float $expiry = null;

    /** @var list<string> */
    private array $tags = [];

    /** @internal use CachePool::getItem */
    public function __construct(private string $key, private mixed $value, private bool $hit)
    {
    }

    public function getKey(): string
    {
        return $this->key;
    }

    public function get(): mixed
    {
        return $this->hit ? $this->value : null;
    }

    public function isHit(): bool
    {
        return $this->hit;
    }

    public function set($value): static
    {
        $this->value = $value;

        return $this;
    }

    public function expiresAt($expiration): static
    {
        if ($expiration !== null && !$expiration instanceof \DateTimeInterface) {
            throw new InvalidArgument('expiresAt takes null or a DateTimeInterface, not ' . get_debug_type($expiration));
        }
        $this->expiry = $expiration === null ? null : microtime(true) + Expiry::until($expiration);

        return $this;
    }

    public function expiresAfter($time): static
    {
        $seconds = Expiry::seconds($time);
        $this->expiry = $seconds === null ? null : microtime(true) + $seconds;

        return $this;
    }

    /**
     * Adds tags: CachePool::invalidateTags takes the item away by any of them.
     *
     * @param string|iterable<string> $tags
     */
    public function tag(string|iterable $tags): static
    {
        foreach (is_string($tags) ? [$tags] : $tags as $tag) {
            if (!is_string($tag) || $tag === '') {
                throw new InvalidArgument('A tag is a string that is not empty');
            }
            $this->tags[] = $tag;
        }

        return $this;
    }

    /** What is to be stored. @internal @return array{mixed, float|null, list<string>} value, seconds, tags */
    public function stored(): array
    {
        return [$this->value, $this->expiry === null ? null : $this->expiry - microtime(true), $this->tags];
    }

    /** The item as another getItem gives it while it is deferred. @internal */
    public function deferred(): static
    {
        $copy = clone $this;
        $copy->hit = $this->expiry === null || $this->expiry > microtime(true);
        if (is_object($copy->value)) {
            $copy->value = clone $copy->value;
        }

        return $copy;
    }
}
