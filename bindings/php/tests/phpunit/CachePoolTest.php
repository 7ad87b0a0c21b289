<?php

use Libcache\Cache;
use Libcache\CachePool;
use Libcache\Clock;
use PHPUnit\Framework\TestCase;

final class CachePoolTest extends TestCase
{
    private Clock $clock;
    private Cache $cache;
    private CachePool $pool;

    protected function setUp(): void
    {
        if (!interface_exists(Psr\Cache\CacheItemPoolInterface::class)) {
            $this->markTestSkipped('psr/cache is not installed');
        }
        $this->clock = new Clock();
        $this->cache = Cache::open(['segment' => 'private', 'memory' => '4MiB', 'clock' => $this->clock, 'policy' => ['allowed_classes' => true]]);
        $this->pool = new CachePool($this->cache);
    }

    public function test_save_and_get(): void
    {
        $item = $this->pool->getItem('key');
        $this->assertFalse($item->isHit());
        $this->assertNull($item->get());
        $item->set('value');
        $this->assertNull($item->get(), 'not stored yet, so no hit');
        $this->assertFalse($this->pool->hasItem('key'));
        $this->assertTrue($this->pool->save($item));
        $this->assertTrue($this->pool->hasItem('key'));
        $this->assertSame('value', $this->pool->getItem('key')->get());
        $this->assertSame('key', $this->pool->getItem('key')->getKey());
        $this->assertTrue($this->pool->deleteItem('key'));
        $this->assertTrue($this->pool->deleteItem('key'));
        $this->assertFalse($this->pool->getItem('key')->isHit());
    }

    public function test_a_stored_null_is_a_hit(): void
    {
        $this->pool->save($this->pool->getItem('null')->set(null));
        $this->assertTrue($this->pool->getItem('null')->isHit());
        $this->assertTrue($this->pool->getItems(['null'])['null']->isHit());
    }

    public function test_expiry(): void
    {
        $this->pool->save($this->pool->getItem('after')->set(1)->expiresAfter(10));
        $this->pool->save($this->pool->getItem('at')->set(1)->expiresAt(new DateTimeImmutable('+20 seconds')));
        $this->pool->save($this->pool->getItem('interval')->set(1)->expiresAfter(new DateInterval('PT30S')));
        $this->pool->save($this->pool->getItem('default')->set(1)->expiresAfter(5)->expiresAfter(null));
        $this->assertLessThanOrEqual(20, $this->cache->ttlLeft('at'));
        $this->assertGreaterThan(10, $this->cache->ttlLeft('at')); // the machine may be busy
        foreach (['after', 'at', 'interval'] as $i => $key) {
            $this->assertTrue($this->pool->hasItem($key));
            $this->clock->advance(10);
            $this->assertFalse($this->pool->hasItem($key), $key);
        }
        $this->assertTrue($this->pool->hasItem('default'));
        $this->pool->save($this->pool->getItem('default')->set(1)->expiresAt(new DateTimeImmutable('-1 second')));
        $this->assertFalse($this->pool->hasItem('default'), 'an expiry that is over');
    }

    public function test_many(): void
    {
        $this->assertSame([], $this->pool->getItems([]));
        $this->pool->save($this->pool->getItem('b')->set('vb'));
        $items = $this->pool->getItems(['a', 'b', '5']);
        $this->assertSame(['a', 'b', 5], array_keys($items));
        $this->assertSame([null, 'vb', null], array_values(array_map(fn ($i) => $i->get(), $items)));
        $this->assertTrue($this->pool->deleteItems(['a', 'b']));
        $this->assertFalse($this->pool->hasItem('b'));
        $this->pool->save($this->pool->getItem('b')->set('vb'));
        $this->assertTrue($this->pool->clear());
        $this->assertFalse($this->pool->hasItem('b'));
    }

    public function test_deferred_items_are_seen_here_and_stored_by_commit(): void
    {
        foreach (['x', 'y', 'z'] as $i => $key) {
            $this->assertTrue($this->pool->saveDeferred($this->pool->getItem($key)->set($i)->expiresAfter(100)->tag($i ? 'odd' : 'even')));
        }
        $this->assertTrue($this->pool->getItem('y')->isHit());
        $this->assertSame(1, $this->pool->getItem('y')->get());
        $this->assertSame(2, $this->pool->getItems(['z'])['z']->get());
        $this->assertFalse($this->cache->has('y'));
        $this->pool->deleteItem('z');
        $this->assertTrue($this->pool->commit());
        $this->assertSame(['x' => 0, 'y' => 1], $this->cache->getMany(['x', 'y', 'z']));
        $this->pool->saveDeferred($this->pool->getItem('late')->set(1));
        $this->pool = new CachePool($this->cache);
        $this->assertTrue($this->pool->hasItem('late'), 'a pool that goes stores what is deferred');
        $gone = $this->pool->getItem('gone')->set(1)->expiresAfter(-1);
        $this->pool->saveDeferred($gone);
        $this->assertFalse($this->pool->hasItem('gone'));
    }

    public function test_tags(): void
    {
        $this->pool->save($this->pool->getItem('a')->set(1)->tag('t1'));
        $this->pool->save($this->pool->getItem('b')->set(2)->tag(['t1', 't2']));
        $this->pool->save($this->pool->getItem('c')->set(3)->tag('t3'));
        $this->pool->saveDeferred($this->pool->getItem('d')->set(4)->tag('t2'));
        $this->assertTrue($this->pool->invalidateTags(['t2']));
        $this->assertSame([true, false, true, false], array_values(array_map(fn ($i) => $i->isHit(), $this->pool->getItems(['a', 'b', 'c', 'd']))));
        $this->pool->invalidateTags(['t1', 't3']);
        $this->assertFalse($this->pool->hasItem('a') || $this->pool->hasItem('c'));
    }

    public function test_bad_input_is_refused(): void
    {
        $item = $this->pool->getItem('ok');
        foreach ([fn () => $this->pool->getItem(''), fn () => $this->pool->getItem('a:b'), fn () => $this->pool->getItems(['a', 5]), fn () => $this->pool->hasItem(null),
            fn () => $this->pool->deleteItem('{}'), fn () => $this->pool->deleteItems(['a', '@']), fn () => $item->expiresAt('soon'),
            fn () => $item->expiresAfter('soon'), fn () => $item->tag(''), fn () => $item->tag([5])] as $i => $call) {
            try {
                $call();
                $this->fail("call $i went well");
            } catch (Psr\Cache\InvalidArgumentException $e) {
                $this->assertNotSame('', $e->getMessage());
            }
        }
    }
}
