<?php

namespace Libcache\Laravel;

/** The policies of namespaces, as configured, with what all of them have in common. */
class Namespaces
{
    /**
     * @param  array<string, array<string, mixed>>  $policies  by name
     * @param  array<string, mixed>  $common  codec options of all: allowed_classes, serializer
     */
    public function __construct(private array $policies, private array $common = []) {}

    /** @return array<string, mixed> for Libcache\Cache::namespace() */
    public function policy(string $name): array
    {
        return ($this->policies[$name] ?? []) + $this->common;
    }
}
