<?php

namespace App\Models;

class Backup extends Model
{
    public function cacheTags(): array
    {
        return [self::tag($this->tenant_id, 'backups')];
    }
}
