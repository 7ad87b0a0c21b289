<?php

namespace App\Models;

use Illuminate\Support\Facades\Cache;

class TierLimit extends Model
{
    protected $primaryKey = 'tier';

    protected $keyType = 'string';

    public $incrementing = false;

    /** The limits of a tier: read on every page, changed twice a year. */
    public static function getCached(string $tier): array
    {
        return Cache::tags('tier_limits')->remember($tier, 3600, fn () => static::query()->findOrFail($tier)->toArray());
    }

    public function cacheTags(): array
    {
        return ['tier_limits'];
    }
}
