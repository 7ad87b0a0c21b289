<?php

use Libcache\Cache;
use Libcache\Clock;
use Libcache\SimpleCache;
use PHPUnit\Framework\TestCase;

final class SimpleCacheTest extends TestCase
{
    private Clock $clock;
    private SimpleCache $cache;

    protected function setUp(): void
    {
        $this->clock = new Clock();
        $this->cache = new SimpleCache(Cache::open(['segment' => 'private', 'memory' => '4MiB', 'clock' => $this->clock,
            'policy' => ['allowed_classes' => true]]));
    }

    public function test_it_is_a_psr_16_cache(): void
    {
        $this->assertInstanceOf(Psr\SimpleCache\CacheInterface::class, $this->cache);
    }

    public function test_set_get_has_delete(): void
    {
        $this->assertTrue($this->cache->set('key', 'value'));
        $this->assertSame('value', $this->cache->get('key'));
        $this->assertTrue($this->cache->has('key'));
        $this->assertTrue($this->cache->delete('key'));
        $this->assertTrue($this->cache->delete('key'), 'deleting nothing is no failure');
        $this->assertNull($this->cache->get('key'));
        $this->assertSame('default', $this->cache->get('key', 'default'));
        $this->assertFalse($this->cache->has('key'));
    }

    public function test_ttls(): void
    {
        $this->cache->set('a', 1, 2);
        $this->cache->set('b', 1, new DateInterval('PT5S'));
        $this->clock->advance(2);
        $this->assertFalse($this->cache->has('a'));
        $this->assertTrue($this->cache->has('b'));
        $this->clock->advance(3);
        $this->assertFalse($this->cache->has('b'));
        $this->cache->set('c', 1);
        $this->assertTrue($this->cache->set('c', 2, 0));
        $this->assertFalse($this->cache->has('c'), 'a ttl of 0 deletes');
        $this->cache->setMultiple(['d' => 1, 'e' => 2], -1);
        $this->assertFalse($this->cache->has('d'));
        $this->cache->setMultiple(['d' => 1, 'e' => 2], 10);
        $this->clock->advance(10);
        $this->assertFalse($this->cache->has('e'));
    }

    public function test_multiple(): void
    {
        $this->assertTrue($this->cache->setMultiple(['k0' => 'v0', 'k1' => 'v1', 7 => 'seven']));
        $this->assertSame(['k0' => 'v0', 'k2' => 'd', 'k1' => 'v1'], $this->cache->getMultiple(['k0', 'k2', 'k1'], 'd'));
        $this->assertSame('seven', $this->cache->get('7'));
        $this->assertTrue($this->cache->deleteMultiple((fn () => yield from ['k0', 'k1'])()));
        $this->assertSame(['k0' => null, 'k1' => null], $this->cache->getMultiple(new ArrayIterator(['k0', 'k1'])));
        $this->assertTrue($this->cache->setMultiple((function () { yield 'g' => 1; yield 'h' => 2; })()));
        $this->assertSame(2, $this->cache->get('h'));
        $this->assertTrue($this->cache->clear());
        $this->assertFalse($this->cache->has('g'));
    }

    /** @dataProvider values */
    public function test_values_keep_their_types(mixed $value): void
    {
        $this->cache->set('key', $value);
        $this->assertEquals($value, $this->cache->get('key', 'default'));
        $this->assertSame(get_debug_type($value), get_debug_type($this->cache->get('key', 'default')));
        $this->assertTrue($this->cache->has('key'));
    }

    public function values(): array
    {
        return [[null], [true], [false], [0], [42], [1.5], [''], ["bin\0ary\xff"], [[]], [['a' => [1, 2], 'b' => null]], [new ArrayObject([1])],
            [new DateTimeImmutable('2026-11-21')], [implode('', array_map('chr', range(0, 255)))]];
    }

    public function test_an_object_that_is_changed_is_not_changed_in_the_cache(): void
    {
        $object = new ArrayObject(['x' => 1]);
        $this->cache->set('key', $object);
        $object['x'] = 2;
        $this->assertSame(1, $this->cache->get('key')['x']);
    }

    /** @dataProvider bad_keys */
    public function test_bad_keys_are_refused(mixed $key): void
    {
        $calls = [fn () => $this->cache->get($key), fn () => $this->cache->set($key, 1), fn () => $this->cache->delete($key),
            fn () => $this->cache->has($key), fn () => $this->cache->getMultiple(['ok', $key]), fn () => $this->cache->deleteMultiple(['ok', $key]),
            fn () => $this->cache->setMultiple((function () use ($key) { yield 'ok' => 1; yield $key => 1; })())];
        foreach ($calls as $i => $call) {
            if ($i === 6 && is_int($key)) {
                continue; // arrays make integers of such keys
            }
            try {
                $call();
                $this->fail("call $i took it");
            } catch (Psr\SimpleCache\InvalidArgumentException $e) {
                $this->assertStringContainsString('key', $e->getMessage());
            }
        }
    }

    public function bad_keys(): array
    {
        return [[''], [null], [true], [2], [2.5], [new stdClass], [['array']], ['{str'], ['rand}str'], ['r(and'], ['r)and'], ['r/and'], ['r\\and'], ['r@and'],
            ['r:and'], [str_repeat('k', 4096)]];
    }

    public function test_bad_ttls_and_lists_are_refused(): void
    {
        foreach ([fn () => $this->cache->set('k', 1, 'soon'), fn () => $this->cache->set('k', 1, 1.5), fn () => $this->cache->getMultiple('k'),
            fn () => $this->cache->setMultiple(5), fn () => $this->cache->deleteMultiple(null)] as $i => $call) {
            try {
                $call();
                $this->fail("call $i went well");
            } catch (Psr\SimpleCache\InvalidArgumentException $e) {
                $this->assertNotSame('', $e->getMessage());
            }
        }
    }

    public function test_faults_of_redis_are_false_and_not_thrown(): void
    {
        $redis = new PrivateRedis();
        $cache = new SimpleCache(Cache::open(['segment' => 'private', 'memory' => '4MiB', 'redis_url' => $redis->url()]));
        $this->assertTrue($cache->set('k', 1));
        $redis->stop();
        $this->assertFalse($cache->set('k', 2));
        $this->assertNull($cache->get('other'));
        $this->assertFalse($cache->delete('k'));
        $this->assertFalse($cache->clear());
    }
}
