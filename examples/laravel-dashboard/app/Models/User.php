<?php

namespace App\Models;

class User extends Model
{
    public function cacheTags(): array
    {
        return [self::tag($this->tenant_id, 'users')];
    }
}
