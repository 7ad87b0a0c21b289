<?php

namespace Libcache\Laravel\Console;

use Illuminate\Console\Command;
use Libcache\Laravel\Repository;
use Libcache\Laravel\Warmer;

class WarmCommand extends Command
{
    use UsesStore;

    protected $signature = 'libcache:warm
        {warmer?* : Classes, with or without namespace; none: all of config/libcache.php}
        {--batch=100 : Keys to load at once}
        {--store= : Store of config/cache.php}';

    protected $description = 'Load into the cache what will be asked for';

    public function handle(): int
    {
        if (! $cache = $this->repository()) {
            return 1;
        }

        $batch = (int) $this->option('batch');

        if ($batch < 1) {
            $this->error('--batch must be 1 or more.');

            return 1;
        }

        if (($warmers = $this->warmers()) === null) {
            return 1;
        }

        foreach ($warmers as $class) {
            $this->warm($this->laravel->make($class), $cache, $batch);
        }

        return 0;
    }

    private function warm(Warmer $warmer, Repository $cache, int $batch): void
    {
        $target = $warmer->cache($cache);
        $started = microtime(true);
        $keys = $loaded = 0;
        $some = [];

        $flush = function () use ($warmer, $target, &$some, &$keys, &$loaded) {
            $keys += count($some);
            $target->rememberMany($some, $warmer->ttl(), function (array $missing) use ($warmer, &$loaded) {
                $values = $warmer->load($missing);
                $loaded += count($values);

                return $values;
            });
            $some = [];
        };

        foreach ($warmer->keys() as $key) {
            $some[] = $key;
            if (count($some) === $batch) {
                $flush();
            }
        }

        if ($some) {
            $flush();
        }

        $this->info(sprintf('%s: %d keys, %d loaded, %.1f s', class_basename($warmer), $keys, $loaded, microtime(true) - $started));
    }

    /** @return array<class-string<Warmer>>|null null: one of them is not known */
    private function warmers(): ?array
    {
        $all = $this->laravel['config']->get('libcache.warmers', []);
        $chosen = [];

        foreach ($this->argument('warmer') as $name) {
            $found = array_filter($all, fn ($class) => $class === ltrim($name, '\\') || class_basename($class) === $name);

            if (! $found) {
                $this->error("There is no warmer [{$name}] in config/libcache.php.");

                return null;
            }

            array_push($chosen, ...$found);
        }

        if (! $all) {
            $this->warn('config/libcache.php lists no warmers.');
        }

        return $chosen ?: $all;
    }
}
