<?php

namespace App\Models;

use Illuminate\Database\Eloquent\Model as Eloquent;
use Libcache\Laravel\Eloquent\InvalidatesCacheTags;

/** What the models have in common: when one changes, what is cached of it is gone. */
abstract class Model extends Eloquent
{
    use InvalidatesCacheTags;

    protected $guarded = [];

    /** Everything cached of a tenant carries the tag "tenant:ID:PART", one for each part of it. */
    protected static function tag(?int $tenant, string $part): string
    {
        return "tenant:{$tenant}:{$part}";
    }
}
