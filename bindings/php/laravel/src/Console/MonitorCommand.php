<?php

namespace Libcache\Laravel\Console;

use Illuminate\Console\Command;
use Libcache\Cache;

class MonitorCommand extends Command
{
    use UsesStore;

    protected $signature = 'libcache:monitor
        {--interval=1 : Seconds between lines}
        {--count=0 : Lines; 0: until interrupted}
        {--store= : Store of config/cache.php}';

    protected $description = 'Watch what all processes of this host do with the cache: a line of figures now and then';

    /** Lines between two headings. */
    private const PAGE = 20;

    public function handle(): int
    {
        if (! $repository = $this->repository()) {
            return 1;
        }

        $interval = (float) $this->option('interval');

        if ($interval < 0 || ! is_numeric($this->option('interval'))) {
            $this->error('--interval must be a number of seconds.');

            return 1;
        }

        $store = $repository->getStore();
        $count = (int) $this->option('count');
        $before = $this->read($store->cache());

        for ($line = 0; $count === 0 || $line < $count; $line++) {
            usleep((int) ($interval * 1e6));

            $up = $store->poll();
            $now = $this->read($store->cache());

            if ($line % self::PAGE === 0) {
                $this->line(sprintf('%8s %10s %10s %6s %9s %9s %10s %9s %10s %10s %8s %8s  %s', 'time', 'hits/s', 'misses/s', 'hit %', 'loads/s',
                    'stores/s', 'entries', 'live MiB', 'evicted/s', 'invalid./s', 'age ms', 'owed B', 'redis'));
            }

            $this->line($this->figures($before, $now, $up));
            $before = $now;
        }

        return 0;
    }

    /** What all processes of the host did in all namespaces so far, and when. */
    private function read(Cache $cache): array
    {
        $did = $cache->sumStats();
        $host = $cache->stats();

        return [
            'at' => hrtime(true) / 1e9,
            'hits' => $did['hits_l1'] + $did['hits_l2'] + $did['stale_l1'] + $did['stale_l2'] + $did['negatives_l1'] + $did['negatives_l2'],
            'stores' => $did['sets'] + $did['adds'],
        ] + $did + array_intersect_key($host, ['position' => 1, 'coherence_age_ms' => 1, 'owed_bytes' => 1]);
    }

    private function figures(array $before, array $now, ?bool $up): string
    {
        $more = fn (string $name) => $now[$name] - $before[$name];
        $rate = fn (string $name) => number_format($more($name) / max($now['at'] - $before['at'], 1e-6), 0, '.', '');
        $reads = $more('hits') + $more('misses');

        return sprintf('%8s %10s %10s %6s %9s %9s %10d %9.1f %10s %10s %8d %8d  %s', date('H:i:s'), $rate('hits'), $rate('misses'),
            $reads ? number_format(100 * $more('hits') / $reads, 1) : '-', $rate('loads'), $rate('stores'), $now['entries'],
            $now['live_bytes'] / 1048576, $rate('evictions'), $rate('position'), $now['coherence_age_ms'], $now['owed_bytes'], match ($up) {
                true => 'up',
                false => 'DOWN',
                null => 'none',
            });
    }
}
