<?php

namespace App\Cache;

use App\Models\Backup;
use App\Models\Project;
use App\Models\Tenant;
use App\Models\TierLimit;
use App\Models\User;
use Illuminate\Support\Facades\Cache;

/** What the pages need to know of a tenant, as cached arrays. The models invalidate it, by the tags of the parts. */
class TenantCache
{
    public function __construct(private int $tenant) {}

    /** Of everything that has to do with the tenant, for its first page. */
    public function dashboardStats(): array
    {
        return Cache::tags($this->tags('projects', 'users', 'backups', 'tier'))
            ->remember("tenant:{$this->tenant}:dashboard_stats", 300, fn () => [
                'tenant' => Tenant::query()->findOrFail($this->tenant, ['id', 'name', 'tier'])->toArray(),
                'projects' => Project::query()->where('tenant_id', $this->tenant)
                    ->selectRaw('status, count(*) as n')->groupBy('status')->orderBy('status')->pluck('n', 'status')->all(),
                'latest_projects' => Project::query()->where('tenant_id', $this->tenant)
                    ->latest('id')->limit(10)->get(['id', 'name', 'status', 'bytes'])->toArray(),
                'storage_bytes' => (int) Project::query()->where('tenant_id', $this->tenant)->sum('bytes'),
                'users' => User::query()->where('tenant_id', $this->tenant)
                    ->selectRaw('role, count(*) as n')->groupBy('role')->orderBy('role')->pluck('n', 'role')->all(),
                'backups_by_day' => Backup::query()->where('tenant_id', $this->tenant)
                    ->selectRaw('date(finished_at) as day, count(*) as backups, sum(bytes) as bytes')
                    ->groupBy('day')->orderByDesc('day')->limit(30)->get()->toArray(),
            ]);
    }

    public function limits(): array
    {
        return TierLimit::getCached($this->dashboardStats()['tenant']['tier']);
    }

    public function backupStatistics(): array
    {
        return Cache::tags($this->tags('backups'))->remember("tenant:{$this->tenant}:backup_statistics", 300, function () {
            $backups = Backup::query()->where('tenant_id', $this->tenant);

            return [
                'total' => (clone $backups)->count(),
                'failed' => (clone $backups)->where('status', 'failed')->count(),
                'bytes' => (int) (clone $backups)->sum('bytes'),
                'latest' => (clone $backups)->where('status', 'ok')->max('finished_at'),
                'largest' => (clone $backups)->orderByDesc('bytes')->limit(5)->get(['id', 'project_id', 'bytes'])->toArray(),
            ];
        });
    }

    public function adminUsers(): array
    {
        return Cache::tags($this->tags('users'))->remember("tenant:{$this->tenant}:admin_users", 300,
            fn () => User::query()->where(['tenant_id' => $this->tenant, 'role' => 'admin'])
                ->orderBy('name')->get(['id', 'name', 'email'])->toArray());
    }

    /** What the form for a new project needs. */
    public function projectCreateMetadata(): array
    {
        return Cache::tags($this->tags('projects', 'users'))->remember("tenant:{$this->tenant}:project_create", 300, fn () => [
            'names_taken' => Project::query()->where('tenant_id', $this->tenant)->orderBy('name')->pluck('name')->all(),
            'owners' => User::query()->where('tenant_id', $this->tenant)->orderBy('name')->pluck('name', 'id')->all(),
            'regions' => Project::query()->where('tenant_id', $this->tenant)->distinct()->orderBy('region')->pluck('region')->all(),
        ]);
    }

    /** @return string[] */
    private function tags(string ...$parts): array
    {
        return array_map(fn ($part) => "tenant:{$this->tenant}:{$part}", $parts);
    }
}
