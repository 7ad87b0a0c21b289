<?php

namespace Libcache\Laravel\Console;

use Illuminate\Console\Command;

class StatsCommand extends Command
{
    use UsesStore;

    protected $signature = 'libcache:stats {--json : All metrics as one JSON object} {--store= : Store of config/cache.php}';

    protected $description = 'Show what the cache holds, and what all processes of this host did with it';

    public function handle(): int
    {
        if (! $repository = $this->repository()) {
            return 1;
        }

        $store = $repository->getStore();
        $up = $store->poll();
        $cache = $store->cache();
        $json = $cache->metrics('json');

        if ($this->option('json')) {
            $this->line(rtrim($json));

            return 0;
        }

        $metrics = json_decode($json, true);
        $namespaces = $cache->namespaces();
        ksort($namespaces, SORT_STRING);

        $this->line("libcache {$metrics['version']}, Redis: ".match ($up) {
            true => 'up',
            false => 'DOWN',
            null => 'none',
        });
        $this->table(
            ['Namespace', 'Hits L1', 'Hits L2', 'Misses', 'Hit rate', 'Stores', 'Loads', 'Evicted', 'Entries', 'MiB'],
            array_map($this->row(...), array_map(strval(...), array_keys($namespaces)), $namespaces),
        );
        $this->table(['Figure', 'Value'], self::pairs(($metrics['segment'] ?? []) + ($metrics['host'] ?? [])));
        $this->table(['Duration', 'Count', 'p50 us', 'p99 us', 'max us'], array_map(
            fn ($what, $times) => [$what, number_format($times['count']), ...array_map(
                fn ($ns) => number_format($times[$ns] / 1000, 1), ['p50_ns', 'p99_ns', 'max_ns'])],
            array_keys($metrics['times']),
            $metrics['times'],
        ));

        return 0;
    }

    private function row(string $name, array $did): array
    {
        $l1 = $did['hits_l1'] + $did['stale_l1'] + $did['negatives_l1'];
        $l2 = $did['hits_l2'] + $did['stale_l2'] + $did['negatives_l2'];
        $reads = $l1 + $l2 + $did['misses'];

        return [
            $name,
            ...array_map(number_format(...), [$l1, $l2, $did['misses']]),
            $reads ? round(100 * ($l1 + $l2) / $reads, 1).' %' : '',
            ...array_map(number_format(...), [$did['sets'] + $did['adds'], $did['loads'], $did['evictions'], $did['entries']]),
            number_format($did['live_bytes'] / 1048576, 1),
        ];
    }

    private static function pairs(array $figures): array
    {
        return array_map(fn ($name, $value) => [$name, is_int($value) ? number_format($value) : $value], array_keys($figures), $figures);
    }
}
