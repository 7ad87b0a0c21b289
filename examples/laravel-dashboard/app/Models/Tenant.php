<?php

namespace App\Models;

class Tenant extends Model
{
    public function projects()
    {
        return $this->hasMany(Project::class);
    }

    public function users()
    {
        return $this->hasMany(User::class);
    }

    public function backups()
    {
        return $this->hasMany(Backup::class);
    }

    public function cacheTags(): array
    {
        return array_map(fn ($part) => self::tag($this->id, $part), ['projects', 'users', 'backups', 'tier']);
    }
}
