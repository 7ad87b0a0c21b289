<?php

namespace Libcache\Laravel\Tests;

use Illuminate\Contracts\Cache\Store as StoreContract;
use Libcache\Exception;
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

    public function test_items_expire()
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

        $this->assertInstanceOf(\__PHP_Incomplete_Class::class, $strict->get('o'));
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

    public function test_the_redis_connection_of_the_application_may_be_used()
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
