<?php

namespace Libcache\Laravel\Eloquent;

use Illuminate\Container\Container;
use Illuminate\Database\Eloquent\Model;
use RuntimeException;

/**
 * What is cached under the tags of a model is gone when the model is saved or deleted: after the transaction, if there is one,
 * since before its end others would load the old rows again.
 *
 *     class Project extends Model
 *     {
 *         use InvalidatesCacheTags;
 *
 *         public function cacheTags(): array
 *         {
 *             return ["tenant:{$this->tenant_id}"];
 *         }
 *     }
 *
 * A model that moves from one tag to another invalidates both.
 */
trait InvalidatesCacheTags
{
    public static function bootInvalidatesCacheTags(): void
    {
        $invalidate = static fn (Model $model) => $model->invalidateCacheTags();

        static::registerModelEvent('saved', $invalidate);
        static::registerModelEvent('deleted', $invalidate);
    }

    /**
     * The tags that depend on this model. Default: its table, and its table with its key ("projects", "projects:7").
     *
     * @return string[]
     */
    public function cacheTags(): array
    {
        return [$this->getTable(), $this->getTable().':'.$this->getKey()];
    }

    /** Invalidates the tags that the model has, and those that it had when it was read. */
    public function invalidateCacheTags(): void
    {
        $original = $this->getRawOriginal();
        $before = $original ? (clone $this)->setRawAttributes($original)->cacheTags() : [];
        $tags = array_values(array_unique(array_merge($this->cacheTags(), $before)));

        $invalidate = fn () => $this->cacheStoreOfTags()->tags($tags)->flush();

        try {
            $this->getConnection()->afterCommit($invalidate);
        } catch (RuntimeException) { // a connection that nobody keeps count of the transactions of
            $invalidate();
        }
    }

    /** The cache that has the entries; the store of config/libcache.php. */
    protected function cacheStoreOfTags()
    {
        $app = Container::getInstance();

        return $app->make('cache')->store($app->make('config')->get('libcache.store', 'libcache'));
    }
}
