<?php

namespace App\Console\Commands;

use Illuminate\Console\Command;
use Illuminate\Support\Facades\DB;

class SeedTenants extends Command
{
    protected $signature = 'tenants:seed {--tenants=20} {--users=50} {--projects=100} {--backups=2000 : of each tenant}';

    protected $description = 'Fill the database with made-up tenants';

    private const TIERS = ['free' => [1000, 100, 10], 'team' => [10000, 1000, 100], 'business' => [100000, 10000, 1000]];

    public function handle(): int
    {
        mt_srand(1); // the same data each time

        DB::transaction(function () {
            foreach (self::TIERS as $tier => [$projects, $users, $storage]) {
                DB::table('tier_limits')->insert([
                    'tier' => $tier, 'max_projects' => $projects, 'max_users' => $users, 'storage_gb' => $storage,
                ]);
            }

            for ($tenant = 1; $tenant <= $this->option('tenants'); $tenant++) {
                $this->seed($tenant);
            }
        });

        $this->info("{$this->option('tenants')} tenants");

        return 0;
    }

    private function seed(int $tenant): void
    {
        DB::table('tenants')->insert(['id' => $tenant, 'name' => "Tenant {$tenant}", 'tier' => array_keys(self::TIERS)[$tenant % 3]]);

        $this->insert('users', $this->option('users'), fn ($i) => [
            'tenant_id' => $tenant, 'name' => "User {$i}", 'email' => "user{$i}@tenant{$tenant}.example",
            'role' => $i % 10 ? 'member' : 'admin',
        ]);
        $this->insert('projects', $this->option('projects'), fn ($i) => [
            'tenant_id' => $tenant, 'name' => "Project {$i}", 'status' => ['active', 'active', 'paused', 'archived'][$i % 4],
            'region' => ['eu', 'us', 'asia'][$i % 3], 'bytes' => mt_rand(1, 1 << 30),
        ]);
        $this->insert('backups', $this->option('backups'), fn ($i) => [
            'tenant_id' => $tenant, 'project_id' => ($tenant - 1) * $this->option('projects') + 1 + $i % $this->option('projects'),
            'status' => mt_rand(1, 20) === 1 ? 'failed' : 'ok', 'bytes' => mt_rand(1, 1 << 24),
            'finished_at' => date('Y-m-d H:i:s', strtotime('2026-01-01') + $i * 3600),
        ]);
    }

    private function insert(string $table, int $n, callable $row): void
    {
        foreach (array_chunk(range(1, max(1, $n)), 100) as $some) {
            DB::table($table)->insert(array_map($row, $some));
        }
    }
}
