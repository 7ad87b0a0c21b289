<?php

namespace App\Models;

class Project extends Model
{
    public function cacheTags(): array
    {
        return [self::tag($this->tenant_id, 'projects')];
    }
}
