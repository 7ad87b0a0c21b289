<?php

namespace Libcache\Laravel\Tests\Support;

use Libcache\Laravel\Repository;

/** The cache has a Redis tier: a private server for the tests of a class, a prefix of its own for each test. */
trait WithRedis
{
    protected static ?RedisServer $redis = null;

    private string $redisPrefix;

    public static function setUpBeforeClass(): void
    {
        self::$redis = new RedisServer;
    }

    public static function tearDownAfterClass(): void
    {
        self::$redis = null;
    }

    protected function setUp(): void
    {
        $this->redisPrefix = 'test-'.bin2hex(random_bytes(6));

        parent::setUp();
    }

    protected function cacheOptions(): array
    {
        return [
            'redis_url' => self::$redis->url(),
            'redis_prefix' => $this->redisPrefix,
            'redis_timeout' => 5, // the machine may be busy
            'poll' => 0.001,
            'breaker_backoff' => 0.01,
            'breaker_backoff_max' => 0.02,
        ] + parent::cacheOptions();
    }

    /** The cache of another host: with a segment of its own, and the same Redis. */
    protected function otherHost(): Repository
    {
        return $this->newApp(['cache' => ['stores' => ['libcache' => ['cache' => ['memory' => '9MiB']]]]])['cache']->store();
    }
}
