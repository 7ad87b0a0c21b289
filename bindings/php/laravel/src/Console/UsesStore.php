<?php

namespace Libcache\Laravel\Console;

use Libcache\Laravel\Repository;

/** Finds the store that a command is about. */
trait UsesStore
{
    /** Null: it is not one of libcache's, and the command has said so. */
    private function repository(): ?Repository
    {
        $name = $this->option('store') ?: $this->laravel['config']->get('libcache.store', 'libcache');
        $cache = $this->laravel['cache']->store($name);

        if ($cache instanceof Repository) {
            return $cache;
        }

        $this->error("The cache store [{$name}] is not one of libcache's.");

        return null;
    }
}
