<?php

namespace Libcache\Laravel\Console;

use Illuminate\Console\Command;

class ClearCommand extends Command
{
    use UsesStore;

    protected $signature = 'libcache:clear
        {--tag=* : Everything that carries one of these tags, in all namespaces}
        {--namespace=* : These namespaces}
        {--all : Everything}
        {--store= : Store of config/cache.php}';

    protected $description = 'Invalidate tags, namespaces or everything, on all hosts; without options: the namespace of the store';

    public function handle(): int
    {
        if (! $repository = $this->repository()) {
            return 1;
        }

        $store = $repository->getStore();
        $done = true;

        if ($this->option('all')) {
            $done = $this->say('everything', $store->cache()->clearAll(), $store);
        } elseif (! $this->option('tag') && ! $this->option('namespace')) {
            $done = $this->say('namespace '.$store->cache()->name(), $store->flush(), $store);
        }

        if ($tags = $this->option('tag')) {
            $done = $this->say('tags '.implode(', ', $tags), $store->invalidateTags($tags), $store) && $done;
        }

        foreach ($this->option('namespace') as $name) {
            $namespace = $store->namespace($name);
            $done = $this->say("namespace {$name}", $namespace->flush(), $namespace) && $done;
        }

        return $done ? 0 : 1;
    }

    private function say(string $what, bool $done, $store): bool
    {
        $done
            ? $this->info("Cleared: {$what}")
            : $this->error("Cleared on this host only: {$what} (".$store->cache()::describe($store->cache()->lastError()).')');

        return $done;
    }
}
