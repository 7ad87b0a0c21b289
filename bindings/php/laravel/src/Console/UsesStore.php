<?php

namespace Libcache\Laravel\Console;

use InvalidArgumentException;
use Libcache\Laravel\Connector;
use Libcache\Laravel\Repository;

/** Finds the store that a command is about. */
trait UsesStore
{
    /** Null: it is not one of libcache's, and the command has said so. */
    private function repository(): ?Repository
    {
        try {
            return $this->laravel->make(Connector::class)->repository($this->laravel['cache'], $this->option('store'));
        } catch (InvalidArgumentException $e) {
            $this->error($e->getMessage());

            return null;
        }
    }
}
