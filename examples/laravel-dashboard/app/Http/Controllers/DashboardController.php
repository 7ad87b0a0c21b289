<?php

namespace App\Http\Controllers;

use App\Cache\TenantCache;
use Illuminate\Http\JsonResponse;

class DashboardController
{
    public function show(int $tenant): JsonResponse
    {
        $cache = new TenantCache($tenant);

        return new JsonResponse([
            'stats' => $cache->dashboardStats(),
            'limits' => $cache->limits(),
            'backups' => $cache->backupStatistics(),
            'admins' => $cache->adminUsers(),
        ]);
    }
}
