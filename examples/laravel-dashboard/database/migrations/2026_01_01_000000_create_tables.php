<?php

use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\Schema;

return new class extends Migration
{
    public function up()
    {
        Schema::create('tier_limits', function (Blueprint $table) {
            $table->string('tier')->primary();
            $table->integer('max_projects');
            $table->integer('max_users');
            $table->integer('storage_gb');
            $table->timestamps();
        });

        Schema::create('tenants', function (Blueprint $table) {
            $table->id();
            $table->string('name');
            $table->string('tier');
            $table->timestamps();
        });

        Schema::create('users', function (Blueprint $table) {
            $table->id();
            $table->foreignId('tenant_id')->index();
            $table->string('name');
            $table->string('email');
            $table->string('role');
            $table->timestamps();
        });

        Schema::create('projects', function (Blueprint $table) {
            $table->id();
            $table->foreignId('tenant_id')->index();
            $table->string('name');
            $table->string('status');
            $table->string('region');
            $table->bigInteger('bytes');
            $table->timestamps();
        });

        Schema::create('backups', function (Blueprint $table) {
            $table->id();
            $table->foreignId('tenant_id')->index();
            $table->foreignId('project_id');
            $table->string('status');
            $table->bigInteger('bytes');
            $table->timestamp('finished_at');
            $table->timestamps();
        });
    }
};
