<?php

namespace Libcache\Laravel\Tests;

use Illuminate\Contracts\Cache\Store as StoreContract;
use Libcache\Exception;
use Libcache\Laravel\Connector;
use Libcache\Laravel\Repository;
use Libcache\Laravel\Store;

class StoreTest extends Support\TestCase
{
    use Support\StoreTests;

    public function test_the_driver_is_found_by_its_name()
    {
        $this->assertInstanceOf(Repository::class, $this->cache());
        $this->assertInstanceOf(Store::class, $this->cache()->getStore());
        $this->assertInstanceOf(StoreContract::class, $this->cache()->getStore());
        $this->assertTrue($this->cache()->supportsTags());
    }

    public function test_entries_expire()
    {
        $this->cache()->put('k', 'v', 10);
        $this->cache()->add('a', 'v', 10);
        $this->cache()->forever('f', 'v');
        $this->cache()->remember('r', 10, fn () => 'v');
        $this->cache()->put('t', 'v', 10);
        $this->cache()->touch('t', 20);

        $this->clock->advance(9);
        $this->assertSame('v', $this->cache()->get('k'));
        $this->clock->advance(2);

        $this->assertSame(['k' => null, 'a' => null, 'f' => 'v', 'r' => null, 't' => 'v'], $this->cache()->many(['k', 'a', 'f', 'r', 't']));
        $this->assertTrue($this->cache()->add('a', 'w', 10));
        $this->assertSame('w', $this->cache()->remember('r', 10, fn () => 'w'));
    }

    public function test_objects_that_are_not_allowed_are_refused()
    {
        $app = $this->newApp(['libcache' => ['serializable_classes' => false]]);
        $store = $app['cache']->store();

        $this->assertTrue($store->put('k', ['a' => 1], 60));

        $this->expectException(Exception::class);
        $this->expectExceptionCode(Exception::EVALUE);
        $store->put('k', new \ArrayObject, 60);
    }

    public function test_objects_that_are_not_allowed_are_read_without_their_class()
    {
        $this->cache()->put('o', new \ArrayObject, 60);
        $strict = $this->cache()->namespace('tests', ['allowed_classes' => false]);

        // Such a value is read once more by Laravel's own get(), which in newer versions tells those who want to know
        $before = $this->native()->stats()['hits'];
        $this->assertInstanceOf(\__PHP_Incomplete_Class::class, $strict->get('o'));
        $this->assertSame(2, $this->native()->stats()['hits'] - $before);

        $this->assertInstanceOf(\__PHP_Incomplete_Class::class, $strict->many(['o'])['o']);
        $this->assertInstanceOf(\__PHP_Incomplete_Class::class, $strict->remember('o', 60, fn () => 'v'));
        $this->assertInstanceOf(\ArrayObject::class, $this->cache()->get('o'));
    }

    public function test_laravels_own_list_of_classes_counts()
    {
        $app = $this->newApp(['cache' => ['serializable_classes' => [\ArrayObject::class]]]);
        $store = $app['cache']->store();

        $this->assertTrue($store->put('k', new \ArrayObject([1]), 60));
        $this->assertEquals(new \ArrayObject([1]), $store->get('k'));
        $this->expectExceptionCode(Exception::EVALUE);
        $store->put('k', new \SplObjectStorage, 60);
    }

    public function test_a_wrong_option_is_named()
    {
        $this->expectException(Exception::class);
        $this->expectExceptionMessageMatches('/memry/');
        $this->newApp(['libcache' => ['cache' => ['memry' => '8MiB']]])['cache']->store()->get('k');
    }

    public function test_other_languages_find_what_is_shared_under_the_same_names()
    {
        $this->app['config']->set('libcache.namespaces', ['shared' => ['codec' => 'msgpack', 'ttl' => 60]]);
        $this->app['cache']->forgetDriver('libcache');

        $shared = $this->cache()->namespace('shared');
        $shared->put('k', ['a' => 1.5, 'b' => [true, null]]);

        $this->assertSame(['a' => 1.5, 'b' => [true, null]], $shared->get('k'));
        $this->assertSame(['a' => 1.5, 'b' => [true, null]], $this->native()->namespace('shared', ['codec' => 'msgpack'])->get('k'));
    }

    /** @dataProvider connections */
    public function test_redis_connections_become_urls(array $connection, string $url)
    {
        $this->app['config']->set('database.redis.cache', $connection);
        $this->assertSame($url, $this->app->make(Connector::class)->redisUrl('cache'));
    }

    public static function connections(): array
    {
        return [
            [[], 'redis://127.0.0.1:6379/0'],
            [['host' => 'redis', 'port' => '6380', 'database' => '2', 'password' => null], 'redis://redis:6380/2'],
            [['host' => 'r', 'password' => 'p@ss/word'], 'redis://:p%40ss%2Fword@r:6379/0'],
            [['host' => 'r', 'username' => 'u', 'password' => 'p'], 'redis://u:p@r:6379/0'],
            [['host' => '/run/redis.sock', 'port' => 0, 'database' => 1], 'unix:///run/redis.sock?db=1'],
            [['host' => '/run/redis.sock', 'password' => 'p'], 'unix://:p@/run/redis.sock?db=0'],
            [['host' => 'r', 'scheme' => 'tls'], 'rediss://r:6379/0'],
            [['url' => 'redis://elsewhere:1/3', 'host' => 'r'], 'redis://elsewhere:1/3'],
        ];
    }

    public function test_a_redis_connection_that_is_not_there_is_named()
    {
        $app = $this->newApp([
            'libcache' => ['redis_connection' => 'nope'],
            'cache' => ['stores' => ['libcache' => ['cache' => ['redis_url' => null]]]],
        ]);

        $this->expectException(\InvalidArgumentException::class);
        $this->expectExceptionMessage('no Redis connection [nope]');
        $app['cache']->store();
    }
}
