<?php

namespace App\Http\Controllers;

use App\Cache\TenantCache;
use App\Models\Project;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;

class ProjectController
{
    public function create(int $tenant): JsonResponse
    {
        $cache = new TenantCache($tenant);

        return new JsonResponse($cache->projectCreateMetadata() + ['limits' => $cache->limits()]);
    }

    public function store(Request $request, int $tenant): JsonResponse
    {
        $cache = new TenantCache($tenant);
        $name = trim((string) $request->input('name'));

        if ($name === '' || in_array($name, $cache->projectCreateMetadata()['names_taken'], true)) {
            return new JsonResponse(['error' => 'The name is empty, or taken.'], 422);
        }

        if (array_sum($cache->dashboardStats()['projects']) >= $cache->limits()['max_projects']) {
            return new JsonResponse(['error' => 'The tier allows no more projects.'], 422);
        }

        // Saving it invalidates what is cached of this tenant's projects, in all workers and on all hosts
        $project = Project::create(['tenant_id' => $tenant, 'name' => $name, 'status' => 'active', 'region' => 'eu', 'bytes' => 0]);

        return new JsonResponse($project->only('id', 'name'), 201);
    }
}
