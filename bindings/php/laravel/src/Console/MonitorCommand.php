<?php

namespace Libcache\Laravel\Console;

use Illuminate\Console\Command;

class MonitorCommand extends Command
{
    use UsesStore;

    protected $signature = 'libcache:monitor
        {--interval=1 : Seconds between lines}
        {--count=0 : Lines; 0: until interrupted}
        {--store= : Store of config/cache.php}';

    protected $description = 'Watch the cache: a line of figures now and then';

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
        $before = $store->cache()->stats();

        for ($line = 0; $count === 0 || $line < $count; $line++) {
            usleep((int) ($interval * 1e6));

            $up = $store->poll();
            $now = $store->cache()->stats();

            if ($line % self::PAGE === 0) {
                $this->line(sprintf('%8s %10s %10s %12s %12s %12s %10s %10s  %s', 'time', 'entries', 'live MiB', 'evicted/s', 'reclaimed/s',
                    'invalid./s', 'age ms', 'owed B', 'redis'));
            }

            $this->line($this->figures($before, $now, max($interval, 0.001), $up));
            $before = $now;
        }

        return 0;
    }

    private function figures(array $before, array $now, float $seconds, ?bool $up): string
    {
        $rate = fn (string $name) => number_format(($now[$name] - $before[$name]) / $seconds, 0, '.', '');

        return sprintf('%8s %10d %10.1f %12s %12s %12s %10d %10d  %s', date('H:i:s'), $now['entries'], $now['live_bytes'] / 1048576,
            $rate('evictions'), $rate('reclaimed'), $rate('position'), $now['coherence_age_ms'], $now['owed_bytes'], match ($up) {
                true => 'up',
                false => 'DOWN',
                null => 'none',
            });
    }
}
