<?php

namespace Libcache\Laravel;

use Closure;
use Libcache\Cache;

/**
 * Logs what went wrong with a change, which Laravel's contract can only say by "false": at most one line in ten seconds, with
 * a count of those that were not logged. A fault of a read is a miss, and no news.
 */
class Faults
{
    private const PAUSE_SECONDS = 10;

    private float $quietUntil = 0;

    private int $untold = 0;

    /** @param  Closure(): \Psr\Log\LoggerInterface  $log */
    public function __construct(private Closure $log) {}

    public function tell(string $call, int $code): void
    {
        $now = hrtime(true) / 1e9;

        if ($now < $this->quietUntil) {
            $this->untold++;

            return;
        }

        ($this->log)()->warning("libcache: {$call} failed: ".Cache::describe($code), ['code' => $code, 'untold' => $this->untold]);

        $this->quietUntil = $now + self::PAUSE_SECONDS;
        $this->untold = 0;
    }
}
