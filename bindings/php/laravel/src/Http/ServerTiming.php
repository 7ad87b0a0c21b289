<?php

namespace Libcache\Laravel\Http;

use Closure;
use Illuminate\Contracts\Cache\Factory as CacheFactory;
use Illuminate\Contracts\Config\Repository as Config;
use Illuminate\Http\Request;
use Libcache\Laravel\Repository;
use Psr\Log\LoggerInterface;
use Symfony\Component\HttpFoundation\Response;

/**
 * Says in the response's headers how long it took and what the cache did for it, and logs slow requests.
 *
 *     X-Response-Time: 12.3ms
 *     Server-Timing: total;dur=12.3, l1;desc="7 hits", l2;desc="2 hits, 1 miss";dur=0.4
 *
 * The numbers are those of this process: where several requests run in one process at a time (not under PHP-FPM), they mix.
 */
class ServerTiming
{
    public function __construct(private Config $config, private CacheFactory $caches, private LoggerInterface $log) {}

    public function handle(Request $request, Closure $next): Response
    {
        $start = hrtime(true);
        $before = $this->counts();

        $response = $next($request);

        $ms = (hrtime(true) - $start) / 1e6;
        $did = $this->between($before, $this->counts());

        if ($this->config->get('libcache.timing.headers')) {
            $response->headers->set('X-Response-Time', round($ms, 1).'ms');
            $response->headers->set('Server-Timing', $this->header($ms, $did), false);
        }

        $slow = $this->config->get('libcache.timing.slow');

        if ($slow !== null && $ms > $slow * 1000) {
            $this->logSlow($request, $response, $ms, $did);
        }

        return $response;
    }

    /** @param  array<string, int|float>  $did */
    private function header(float $ms, array $did): string
    {
        $entries = ['total;dur='.round($ms, 1)];

        if ($did) {
            $entries[] = sprintf('l1;desc="%s"', self::of($did['l1_hits'], 'hit'));
            $entries[] = sprintf('l2;desc="%s, %s"', self::of($did['l2_hits'], 'hit'), self::of($did['misses'], 'miss'))
                .';dur='.round($did['l2_ms'], 2);
        }

        return implode(', ', $entries);
    }

    private function logSlow(Request $request, Response $response, float $ms, array $did): void
    {
        $channel = $this->config->get('libcache.timing.channel');
        $log = $channel !== null && method_exists($this->log, 'channel') ? $this->log->channel($channel) : $this->log;

        $log->warning('Slow request: '.$request->getMethod().' '.$request->getPathInfo(), [
            'ms' => round($ms, 1),
            'status' => $response->getStatusCode(),
        ] + $did);
    }

    /** @return array<string, int>|null null: the store is not libcache's */
    private function counts(): ?array
    {
        $cache = $this->caches->store($this->config->get('libcache.store'));

        return $cache instanceof Repository ? $cache->getStore()->cache()->stats() : null;
    }

    /** @return array{l1_hits: int, l2_hits: int, misses: int, l2_ms: float}|array{} */
    private function between(?array $before, ?array $after): array
    {
        if (! $before || ! $after) {
            return [];
        }

        $more = fn (string $count) => ($after[$count] ?? 0) - ($before[$count] ?? 0);
        $found = $more('hits') + $more('stale') + $more('negatives');

        return [
            'l1_hits' => $found - $more('l2_hits'),
            'l2_hits' => $more('l2_hits'),
            'misses' => $more('misses'),
            'l2_ms' => $more('l2_time_us') / 1000,
        ];
    }

    private static function of(int $n, string $word): string
    {
        return "{$n} {$word}".($n === 1 ? '' : ($word === 'miss' ? 'es' : 's'));
    }
}
