<?php

namespace Libcache\Laravel\Tests;

use Illuminate\Http\Request;
use Illuminate\Http\Response;
use Libcache\Laravel\Http\ServerTiming;
use Libcache\Laravel\Tests\Support\WithRedis;

class HttpTest extends Support\TestCase
{
    use WithRedis;

    protected function config(): array
    {
        return ['libcache' => [
            'routes' => ['metrics' => 'metrics', 'ready' => 'ready'],
            'timing' => ['channel' => 'slow'],
        ]];
    }

    private function ask(string $path): Response|\Illuminate\Http\JsonResponse
    {
        return $this->app['router']->dispatch(Request::create($path));
    }

    private function timed(callable $work, array $timing = []): Response
    {
        foreach ($timing as $key => $value) {
            $this->app['config']->set("libcache.timing.{$key}", $value);
        }

        return $this->app->make(ServerTiming::class)->handle(Request::create('/page'), function () use ($work) {
            $work();

            return new Response('body');
        });
    }

    public function test_headers_say_what_the_cache_did()
    {
        $this->otherHost()->put('there', 'v', 60);
        $this->cache()->put('k', 'v', 60);

        $response = $this->timed(function () {
            $this->cache()->get('k');
            $this->cache()->get('k');
            $this->cache()->get('there');
            $this->cache()->get('x');
        });

        $this->assertMatchesRegularExpression('/^\d+(\.\d)?ms$/', $response->headers->get('X-Response-Time'));
        $timing = $response->headers->get('Server-Timing');
        $this->assertMatchesRegularExpression(
            '/^total;dur=[\d.]+, l1;desc="2 hits", l2;desc="1 hit, 1 miss";dur=([\d.]+)$/', $timing);
        preg_match('/l2.*dur=([\d.]+)$/', $timing, $match);
        $this->assertGreaterThan(0, (float) $match[1]);
    }

    public function test_headers_can_be_switched_off()
    {
        $response = $this->timed(fn () => null, ['headers' => false]);
        $this->assertFalse($response->headers->has('X-Response-Time'));
        $this->assertFalse($response->headers->has('Server-Timing'));
    }

    public function test_slow_requests_are_logged()
    {
        $this->timed(fn () => usleep(3000), ['slow' => 60.0]);
        $this->assertSame('', $this->logged('slow'));

        $this->timed(fn () => [usleep(3000), $this->cache()->get('x')], ['slow' => 0.001]);
        $this->assertMatchesRegularExpression(
            '#WARNING: Slow request: GET /page \{"ms":[\d.]+,"status":200,"l1_hits":0,"l2_hits":0,"misses":1[,}]#',
            $this->logged('slow'),
        );
        $this->assertSame('', $this->logged());

        unlink($this->logFile('slow'));
        $this->timed(fn () => usleep(3000), ['slow' => null]);
        $this->assertSame('', $this->logged('slow'));
    }

    public function test_other_stores_are_timed_without_the_cache()
    {
        $this->app['config']->set('libcache.store', 'array');
        $this->assertMatchesRegularExpression('/^total;dur=[\d.]+$/', $this->timed(fn () => null)->headers->get('Server-Timing'));
    }

    public function test_metrics()
    {
        $this->cache()->put('k', 'v', 60);
        $response = $this->ask('metrics');

        $this->assertSame(200, $response->getStatusCode());
        $this->assertSame('application/openmetrics-text; version=1.0.0; charset=utf-8', $response->headers->get('Content-Type'));
        $this->assertStringContainsString("\nlibcache_writes_total{namespace=\"tests\",operation=\"set\"} 1\n", $response->getContent());
        $this->assertStringContainsString("\nlibcache_entries{namespace=\"tests\"} 1\n", $response->getContent());
        $this->assertStringEndsWith("\n# EOF\n", $response->getContent());
    }

    public function test_ready()
    {
        self::until(function () use (&$response) { // Redis has 250 ms for its answer
            $response = $this->ask('ready');

            return $response->getData(true)['status'] === 'ok';
        }, 'it is ready');
        $this->assertSame(200, $response->getStatusCode());
        $this->assertSame('up', $response->getData(true)['redis']);

        self::$redis->stop();
        try {
            $response = $this->ask('ready');
            $this->assertSame(200, $response->getStatusCode());
            $this->assertSame('degraded', $response->getData(true)['status']);
            $this->assertNotSame('up', $response->getData(true)['redis']);
        } finally {
            self::$redis->start();
        }

        self::until(fn () => $this->ask('ready')->getData(true)['status'] === 'ok', 'it is ready again');
    }

    public function test_ready_without_redis()
    {
        $this->app = $this->newApp(['cache' => ['stores' => ['libcache' => ['cache' => ['redis_url' => '']]]]]);
        $this->assertSame(
            ['status' => 'ok', 'redis' => 'none', 'coherence_age_ms' => 0, 'owed_bytes' => 0],
            $this->ask('ready')->getData(true),
        );
    }

    public function test_a_cache_that_cannot_be_opened_is_not_ready()
    {
        $this->app = $this->newApp(['libcache' => ['cache' => ['memory' => '1']]]);
        $this->app['config']->set('cache.stores.libcache.cache.memory', '1');
        $response = $this->ask('ready');
        $this->assertSame(503, $response->getStatusCode());
        $this->assertSame('failed', $response->getData(true)['status']);
    }

    public function test_without_configuration_there_are_no_routes()
    {
        $this->app = $this->newApp(['libcache' => ['routes' => ['metrics' => null, 'ready' => null]]]);
        $this->expectException(\Symfony\Component\HttpKernel\Exception\NotFoundHttpException::class);
        $this->ask('metrics');
    }
}
