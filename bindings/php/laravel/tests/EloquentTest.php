<?php

namespace Libcache\Laravel\Tests;

use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\SoftDeletes;
use Illuminate\Support\Facades\DB;
use Libcache\Laravel\Eloquent\InvalidatesCacheTags;

class EloquentTest extends Support\TestCase
{
    protected function setUp(): void
    {
        parent::setUp();

        Model::setEventDispatcher($this->app['events']);
        Model::setConnectionResolver($this->app['db']);

        foreach (['projects', 'notes'] as $table) {
            $this->app['db']->connection()->getSchemaBuilder()->create($table, function ($table) {
                $table->increments('id');
                $table->integer('tenant_id');
                $table->string('name')->nullable();
                $table->timestamps();
                $table->softDeletes();
            });
        }
    }

    private function cached(string $tag, $value = 'cached')
    {
        return $this->cache()->tags($tag)->remember('stats', 60, fn () => $value);
    }

    private function isCached(string $tag): bool
    {
        return $this->cache()->tags($tag)->has('stats');
    }

    public function test_saving_and_deleting_invalidates_the_tags_of_the_model()
    {
        $this->cached('tenant:1');
        $this->cached('tenant:2');
        $project = Project::create(['tenant_id' => 1]);
        $this->assertFalse($this->isCached('tenant:1'));
        $this->assertTrue($this->isCached('tenant:2'));

        $this->cached('tenant:1');
        $project->update(['name' => 'new']);
        $this->assertFalse($this->isCached('tenant:1'));

        $this->cached('tenant:1');
        $project->delete();
        $this->assertFalse($this->isCached('tenant:1'));

        $this->cached('tenant:1');
        $project->restore();
        $this->assertFalse($this->isCached('tenant:1'));

        $this->cached('tenant:1');
        $project->forceDelete();
        $this->assertFalse($this->isCached('tenant:1'));
        $this->assertTrue($this->isCached('tenant:2'));
    }

    public function test_a_model_that_moves_invalidates_where_it_was_and_where_it_is()
    {
        $project = Project::create(['tenant_id' => 1]);
        $this->cached('tenant:1');
        $this->cached('tenant:2');
        $this->cached('tenant:3');

        $project->update(['tenant_id' => 2]);
        $this->assertSame([false, false, true], array_map(fn ($id) => $this->isCached("tenant:{$id}"), [1, 2, 3]));
    }

    public function test_tags_are_invalidated_after_the_transaction()
    {
        $this->cached('tenant:1', 'before');

        DB::transaction(function () {
            Project::create(['tenant_id' => 1]);
            $this->assertTrue($this->isCached('tenant:1')); // others still read the old rows
        });
        $this->assertFalse($this->isCached('tenant:1'));

        $this->cached('tenant:1');
        try {
            DB::transaction(function () {
                Project::create(['tenant_id' => 1]);

                throw new \LogicException;
            });
        } catch (\LogicException) {
        }
        $this->assertTrue($this->isCached('tenant:1'));
    }

    public function test_without_tags_of_its_own_a_model_has_its_table_and_key()
    {
        $note = Note::create(['tenant_id' => 1]);
        foreach (['notes', "notes:{$note->id}", 'notes:99'] as $tag) {
            $this->cached($tag);
        }

        $note->touch();
        $this->assertSame([false, false, true], array_map([$this, 'isCached'], ['notes', "notes:{$note->id}", 'notes:99']));
    }
}

class Project extends Model
{
    use InvalidatesCacheTags, SoftDeletes;

    protected $guarded = [];

    public function cacheTags(): array
    {
        return ["tenant:{$this->tenant_id}"];
    }
}

class Note extends Model
{
    use InvalidatesCacheTags;

    protected $guarded = [];
}
