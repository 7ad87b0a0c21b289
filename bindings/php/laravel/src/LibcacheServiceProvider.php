<?php

namespace Libcache\Laravel;

use Illuminate\Cache\CacheManager;
use Illuminate\Cache\RateLimiter as BaseRateLimiter;
use Illuminate\Contracts\Events\Dispatcher;
use Illuminate\Contracts\Foundation\CachesConfiguration;
use Illuminate\Contracts\Foundation\CachesRoutes;
use Illuminate\Session\CacheBasedSessionHandler;
use Illuminate\Support\Facades\Route;
use Illuminate\Support\ServiceProvider;
use Libcache\Cache;

class LibcacheServiceProvider extends ServiceProvider
{
    public function register()
    {
        $config = $this->app['config'];

        if (! ($this->app instanceof CachesConfiguration && $this->app->configurationIsCached())) {
            $config->set('libcache', $this->completed($config->get('libcache', [])));
        }

        $store = $config->get('libcache.store', 'libcache');

        if ($config->get("cache.stores.{$store}") === null) {
            $config->set("cache.stores.{$store}", ['driver' => 'libcache']);
        }

        $this->registerStore();
        $this->registerSession();
        $this->registerRateLimiter();
    }

    public function boot()
    {
        $this->publishes([$this->configFile() => $this->app->configPath('libcache.php')], 'libcache-config');

        if ($this->app->runningInConsole()) {
            $this->commands([
                Console\StatsCommand::class,
                Console\WarmCommand::class,
                Console\ClearCommand::class,
                Console\MonitorCommand::class,
            ]);
        }

        if (class_exists('Illuminate\Foundation\Console\AboutCommand')) {
            \Illuminate\Foundation\Console\AboutCommand::add('libcache', fn () => ['Version' => Cache::version()]);
        }

        $this->registerRoutes();
    }

    private function registerStore(): void
    {
        $provider = $this;

        $this->callAfterResolving('cache', function (CacheManager $manager) use ($provider) {
            $manager->extend('libcache', fn ($app, array $config) => $provider->makeRepository($app, $config));
        });
    }

    /**
     * The cache of a store of config/cache.php. "events" => false: it announces nothing, even if somebody listens.
     *
     * @internal
     */
    public function makeRepository($app, array $config): Repository
    {
        $prefix = (string) ($config['prefix'] ?? $app['config']->get('cache.prefix'));
        $connector = $app->make(Connector::class);
        $cache = $connector->open($config, $prefix);
        $tags = $config['tags'] ?? $app['config']->get('libcache.tags');

        $repository = new Repository(
            new Store($cache, $prefix, $connector->namespaces(), $this->faults($app), $tags === 'shared'),
            $config,
        );

        if (($config['events'] ?? true) && $app->bound(Dispatcher::class)) {
            $repository->setEventDispatcher($app->make(Dispatcher::class));
        }

        return $repository;
    }

    private function faults($app): ?Faults
    {
        $channel = $app['config']->get('libcache.fault_channel');

        return $channel === false ? null : $app->make(Faults::class, ['log' => fn () => $app->make('log')->channel($channel)]);
    }

    private function registerSession(): void
    {
        $this->callAfterResolving('session', function ($manager) {
            $manager->extend('libcache', function ($app) {
                $config = $app['config'];
                $cache = $app->make(Connector::class)->repository($app['cache'], $config->get('session.store'));
                $policy = array_filter($config->get('libcache.sessions.policy') ?? [], fn ($value) => $value !== null);

                // A host that has not yet heard of a change must not give out an older session: they live in Redis alone, if there is one.
                if (str_contains($cache->getStore()->cache()->policy()['tiers'], 'l2')) {
                    $policy += ['tiers' => 'l2'];
                }

                return new CacheBasedSessionHandler(
                    $cache->namespace($config->get('libcache.sessions.namespace'), $policy),
                    $config->get('session.lifetime'),
                );
            });
        });
    }

    private function registerRateLimiter(): void
    {
        $this->app->extend(BaseRateLimiter::class, function (BaseRateLimiter $limiter, $app) {
            $cache = $app['cache']->store($app['config']->get('cache.limiter'));

            return $cache instanceof Repository ? RateLimiter::insteadOf($limiter, $cache) : $limiter;
        });
    }

    private function registerRoutes(): void
    {
        $config = $this->app['config']->get('libcache.routes');
        $paths = array_filter(['metrics' => $config['metrics'], 'ready' => $config['ready']]);

        if (! $paths || ($this->app instanceof CachesRoutes && $this->app->routesAreCached())) {
            return;
        }

        foreach ($paths as $name => $path) {
            Route::get($path, ['metrics' => Http\Metrics::class, 'ready' => Http\Ready::class][$name])
                ->middleware($config['middleware'])->name("libcache.{$name}");
        }
    }

    /** The configuration, with what it leaves out: sections may be given in part. */
    private function completed(array $own): array
    {
        $defaults = require $this->configFile();

        foreach ($defaults as $name => $default) {
            if (is_array($default) && is_array($own[$name] ?? null)) {
                $own[$name] += $default;
            }
        }

        return $own + $defaults;
    }

    private function configFile(): string
    {
        return __DIR__.'/../config/libcache.php';
    }
}
