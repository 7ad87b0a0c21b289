<?php

namespace Libcache\Laravel\Console;

use Illuminate\Console\Command;

class StatsCommand extends Command
{
    use UsesStore;

    protected $signature = 'libcache:stats {--json : As one JSON object} {--store= : Store of config/cache.php}';

    protected $description = 'Show what the cache holds and how it does';

    public function handle(): int
    {
        if (! $repository = $this->repository()) {
            return 1;
        }

        $repository->getStore()->poll();
        $cache = $repository->getStore()->cache();
        $stats = ['version' => $cache::version(), 'namespace' => $cache->name()] + $cache->stats();

        if ($this->option('json')) {
            $this->line(json_encode($stats, JSON_PRETTY_PRINT));

            return 0;
        }

        $this->table(['Figure', 'Value'], array_map(
            fn ($name, $value) => [$name, is_int($value) ? number_format($value) : $value],
            array_keys($stats),
            $stats,
        ));

        return 0;
    }
}
