<?php

use App\Http\Controllers\DashboardController;
use App\Http\Controllers\ProjectController;
use Illuminate\Support\Facades\Route;

Route::get('tenants/{tenant}/dashboard', [DashboardController::class, 'show'])->whereNumber('tenant');
Route::get('tenants/{tenant}/projects/create', [ProjectController::class, 'create'])->whereNumber('tenant');
Route::post('tenants/{tenant}/projects', [ProjectController::class, 'store'])->whereNumber('tenant');
