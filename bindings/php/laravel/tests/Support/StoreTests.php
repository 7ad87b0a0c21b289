<?php

namespace Libcache\Laravel\Tests\Support;

use ArrayObject;
use DateInterval;
use DateTimeImmutable;
use InvalidArgumentException;

/** What Laravel promises of a cache store, whatever it keeps its entries in. */
trait StoreTests
{
    public function test_what_is_not_there_is_null_or_the_default()
    {
        $this->assertNull($this->cache()->get('k'));
        $this->assertSame('d', $this->cache()->get('k', 'd'));
        $this->assertSame('d', $this->cache()->get('k', fn () => 'd'));
        $this->assertFalse($this->cache()->has('k'));
        $this->assertTrue($this->cache()->missing('k'));
    }

    /** @dataProvider values */
    public function test_values_keep_their_types($value)
    {
        $this->assertTrue($this->cache()->put('k', $value, 60));
        $this->assertSame(serialize($value), serialize($this->cache()->get('k')));
        $this->assertTrue($this->cache()->has('k'));
    }

    public static function values(): array
    {
        return array_map(fn ($value) => [$value], [
            'an int' => 1, 'nought' => 0, 'minus' => -5, 'large' => PHP_INT_MAX, 'a float' => 1.5, 'a whole float' => 1.0,
            'infinity' => INF, 'not a number' => NAN, 'true' => true, 'false' => false, 'a string' => 'text', 'digits' => '1',
            'empty string' => '',
            'bytes' => "\0\xff", 'a list' => [1, 2, 3], 'empty array' => [], 'a map' => ['a' => 1, 'b' => ['c' => null], 7 => 'x'],
            'rows' => [['id' => 1, 'name' => 'a'], ['id' => 2, 'name' => 'b']], 'an object' => new ArrayObject(['a' => 1]),
            'objects in an array' => ['o' => (object) ['a' => 1]],
        ]);
    }

    public function test_a_stored_null_is_a_miss()
    {
        $this->cache()->put('k', null, 60);

        $this->assertNull($this->cache()->get('k'));
        $this->assertSame('d', $this->cache()->get('k', 'd'));
        $this->assertFalse($this->cache()->has('k'));
        $this->assertSame('v', $this->cache()->remember('k', 60, fn () => 'v'));
        $this->assertSame('v', $this->cache()->get('k'));
    }

    public function test_put_takes_all_kinds_of_ttl()
    {
        $cache = $this->cache();

        $cache->put('seconds', 1, 100);
        $cache->put('interval', 1, new DateInterval('PT100S'));
        $cache->put('date', 1, new DateTimeImmutable('+100 seconds'));
        $cache->put('forever', 1);
        $cache->set('psr', 1, 100);
        $cache->put('centuries', 1, 100 * 365 * 86400);

        foreach (['seconds', 'interval', 'date', 'psr'] as $key) {
            $this->assertEqualsWithDelta(100, $this->native()->ttlLeft($key), 2, $key);
        }

        $this->assertSame(INF, $this->native()->ttlLeft('forever'));
        $this->assertSame(INF, $this->native()->ttlLeft('centuries'));
    }

    public function test_a_ttl_that_the_value_decides()
    {
        $this->assertSame(7, $this->cache()->remember('k', fn ($value) => $value, fn () => 7));
        $this->assertEqualsWithDelta(7, $this->native()->ttlLeft('k'), 1);
        $this->cache()->remember('none', fn () => null, fn () => 7);
        $this->assertSame(INF, $this->native()->ttlLeft('none'));
    }

    public function test_numbers_may_be_text()
    {
        $this->assertTrue($this->cache()->getStore()->put('k', 1, '60'));
        $this->assertEqualsWithDelta(60, $this->native()->ttlLeft('k'), 1);
        $this->assertTrue($this->cache()->lock('l', '60')->get());
    }

    public function test_a_ttl_of_nought_or_less_forgets()
    {
        foreach ([0, -1, new DateTimeImmutable('-1 minute')] as $ttl) {
            $this->cache()->put('k', 'v', 60);
            $this->cache()->put('k', 'w', $ttl);
            $this->assertNull($this->cache()->get('k'));

            $this->cache()->put('k', 'v', 60);
            $this->cache()->putMany(['k' => 'w'], $ttl);
            $this->assertNull($this->cache()->get('k'));

            $this->assertFalse($this->cache()->add('k', 'v', $ttl));
            $this->assertNull($this->cache()->get('k'));
        }
    }

    public function test_many_are_read_and_written_at_once()
    {
        $cache = $this->cache();

        $this->assertTrue($cache->put(['a' => 1, 'b' => [2]], 60));
        $this->assertTrue($cache->putMany(['c' => 3, 7 => 'seven']));
        $this->assertTrue($cache->setMultiple(['d' => 4], 60));

        $this->assertSame(['a' => 1, 'x' => null, 'b' => [2]], $cache->many(['a', 'x', 'b']));
        $this->assertSame(['a' => 1, 'x' => 'd', 'y' => 'e'], $cache->get(['a' => 'other', 'x' => 'd', 'y' => fn () => 'e']));
        $this->assertSame([7 => 'seven', 'c' => 3], $cache->many([7, 'c']));
        $this->assertSame(['d' => 4, 'x' => 'default'], $cache->getMultiple(['d', 'x'], 'default'));
        $this->assertSame([], $cache->many([]));
        $this->assertSame(INF, $this->native()->ttlLeft('c'));
        $this->assertEqualsWithDelta(60, $this->native()->ttlLeft('d'), 1);

        $this->assertFalse($cache->deleteMultiple(['a', 'x']));
        $this->assertTrue($cache->deleteMultiple(['b', 'c']));
        $this->assertSame(['a' => null, 'b' => null, 'c' => null, 7 => 'seven'], $cache->many(['a', 'b', 'c', 7]));
    }

    public function test_add_stores_only_what_is_not_there()
    {
        $this->assertTrue($this->cache()->add('k', 1, 60));
        $this->assertFalse($this->cache()->add('k', 2, 60));
        $this->assertSame(1, $this->cache()->get('k'));

        $this->assertTrue($this->cache()->add('forever', 1));
        $this->assertFalse($this->cache()->add('forever', 2));
        $this->assertSame(INF, $this->native()->ttlLeft('forever'));
    }

    public function test_counters()
    {
        $cache = $this->cache();

        $this->assertSame(1, $cache->increment('n'));
        $this->assertSame(6, $cache->increment('n', 5));
        $this->assertSame(5, $cache->decrement('n'));
        $this->assertSame(-5, $cache->decrement('n', 10));
        $this->assertSame(-5, $cache->get('n'));
        $this->assertSame(INF, $this->native()->ttlLeft('n'));

        $cache->put('m', 7, 60);
        $this->assertSame(8, $cache->increment('m'));
        $this->assertEqualsWithDelta(60, $this->native()->ttlLeft('m'), 1);

        $cache->put('text', 'abc', 60);
        $this->assertFalse($cache->increment('text'));
        $this->assertSame('abc', $cache->get('text'));

        $cache->put('most', PHP_INT_MAX, 60);
        $this->assertFalse($cache->increment('most'));

        $this->expectException(InvalidArgumentException::class);
        $this->expectExceptionMessage('whole numbers');
        $cache->increment('n', 1.5);
    }

    public function test_forget_says_whether_it_was_there()
    {
        $this->cache()->put('k', 'v', 60);

        $this->assertTrue($this->cache()->forget('k'));
        $this->assertFalse($this->cache()->forget('k'));
        $this->assertFalse($this->cache()->delete('k'));

        $this->cache()->put('k', 'v', 60);
        $this->assertSame('v', $this->cache()->pull('k'));
        $this->assertNull($this->cache()->pull('k'));
    }

    public function test_touch_gives_a_new_life()
    {
        $this->cache()->put('k', 'v', 60);

        $this->assertTrue($this->cache()->touch('k', 600));
        $this->assertEqualsWithDelta(600, $this->native()->ttlLeft('k'), 1);
        $this->assertTrue($this->cache()->touch('k'));
        $this->assertSame(INF, $this->native()->ttlLeft('k'));
        $this->assertSame('v', $this->cache()->get('k'));
        $this->assertTrue($this->cache()->getStore()->touch('k', 5));
        $this->assertFalse($this->cache()->touch('x', 60));
    }

    public function test_flush_clears_this_prefix_only()
    {
        $this->app['config']->set('cache.stores.other', ['prefix' => 'other'] + $this->app['config']->get('cache.stores.libcache'));
        $other = $this->app['cache']->store('other');

        $this->cache()->put('k', 'v', 60);
        $other->put('k', 'w', 60);

        $this->assertSame('tests', $this->cache()->getStore()->getPrefix());
        $this->assertTrue($this->cache()->clear());
        $this->assertNull($this->cache()->get('k'));
        $this->assertSame('w', $other->get('k'));
        $this->assertTrue($other->flush());
        $this->assertNull($other->get('k'));
    }

    /** @dataProvider keys */
    public function test_any_string_is_a_key($key)
    {
        $this->assertTrue($this->cache()->put($key, 'v', 60));
        $this->assertSame('v', $this->cache()->get($key));
        $this->assertSame([$key => 'v'], $this->cache()->many([$key]));
        $this->assertFalse($this->cache()->add($key, 'w', 60));
        $this->assertSame('v', $this->cache()->remember($key, 60, fn () => 'w'));
        $this->assertSame(['other' => null], $this->cache()->many(['other']));
        $this->assertTrue($this->cache()->touch($key, 60));
        $this->assertTrue($this->cache()->putMany([$key => 'x'], 60));
        $this->assertSame('x', $this->cache()->get($key));
        $this->assertFalse($this->cache()->has($key.'x'));
        $this->assertTrue($this->cache()->forget($key));
        $this->assertSame(1, $this->cache()->increment($key));
    }

    public static function keys(): array
    {
        return [
            ['k'], [''], [str_repeat('k', 5000)], [str_repeat('k', 4095)], ["\0\xff\n"], ['123'], ['a b:c{d}'], ['illuminate:cache:é'],
        ];
    }

    public function test_the_repository_is_an_array()
    {
        $cache = $this->cache();
        $cache['k'] = 'v';

        $this->assertTrue(isset($cache['k']));
        $this->assertSame('v', $cache['k']);
        $this->assertEqualsWithDelta(3600, $this->native()->ttlLeft('k'), 1);
        unset($cache['k']);
        $this->assertFalse(isset($cache['k']));
    }

    public function test_remember_runs_its_callback_once()
    {
        $calls = 0;
        $callback = function () use (&$calls) {
            $calls++;

            return ['n' => $calls];
        };

        $this->assertSame(['n' => 1], $this->cache()->remember('k', 60, $callback));
        $this->assertSame(['n' => 1], $this->cache()->remember('k', 60, $callback));
        $this->assertEqualsWithDelta(60, $this->native()->ttlLeft('k'), 1);

        $this->assertSame(['n' => 2], $this->cache()->rememberForever('f', $callback));
        $this->assertSame(['n' => 2], $this->cache()->sear('f', $callback));
        $this->assertSame(INF, $this->native()->ttlLeft('f'));

        $this->assertSame(['n' => 3], $this->cache()->remember('null ttl', null, $callback));
        $this->assertSame(INF, $this->native()->ttlLeft('null ttl'));
    }

    public function test_remember_lets_the_value_say_its_ttl()
    {
        $this->cache()->remember('k', fn () => 100, fn () => 'v');
        $this->assertEqualsWithDelta(100, $this->native()->ttlLeft('k'), 1);

        $this->cache()->remember('l', fn ($value = 0) => $value * 2, fn () => 50);
        $this->assertEqualsWithDelta(100, $this->native()->ttlLeft('l'), 1);

        $this->assertSame('w', $this->cache()->remember('m', 0, fn () => 'w'));
        $this->assertNull($this->cache()->get('m'));
    }

    public function test_remember_does_not_keep_null_or_failures()
    {
        $calls = 0;
        $this->assertNull($this->cache()->remember('k', 60, function () use (&$calls) {
            $calls++;
        }));
        $this->cache()->remember('k', 60, function () use (&$calls) {
            $calls++;
        });
        $this->assertSame(2, $calls);
        $this->assertFalse($this->native()->has('k'));

        for ($i = 0; $i < 3; $i++) {
            try {
                $this->cache()->remember('k', 60, fn () => throw new InvalidArgumentException("failure {$i}"));
                $this->fail('no exception');
            } catch (InvalidArgumentException $e) {
                $this->assertSame("failure {$i}", $e->getMessage());
            }
        }

        $this->assertSame('v', $this->cache()->remember('k', 60, fn () => 'v'));
        $this->assertSame('v', $this->cache()->get('k'));
    }

    public function test_callbacks_may_use_the_cache()
    {
        $this->assertSame('inner outer', $this->cache()->remember('outer', 60, function () {
            return $this->cache()->remember('inner', 60, fn () => 'inner').' outer';
        }));
        $this->assertSame('inner', $this->cache()->get('inner'));
    }

    public function test_what_is_invalidated_during_a_load_is_not_stored()
    {
        $this->assertSame('old', $this->cache()->remember('k', 60, function () {
            $this->cache()->forget('k');

            return 'old';
        }));
        $this->assertNull($this->cache()->get('k'));

        $this->assertSame('old', $this->cache()->tags('t')->remember('k', 60, function () {
            $this->cache()->tags('t')->flush();

            return 'old';
        }));
        $this->assertNull($this->cache()->tags('t')->get('k'));
    }

    public function test_null_can_be_remembered()
    {
        $calls = 0;
        $find = function () use (&$calls) {
            $calls++;
        };

        $this->assertNull($this->cache()->rememberNullable('k', 60, $find));
        $this->assertNull($this->cache()->rememberNullable('k', 60, $find));
        $this->assertSame(1, $calls);
        $this->assertNull($this->cache()->get('k'));
        $this->assertFalse($this->cache()->has('k'));
    }

    public function test_many_are_remembered_at_once()
    {
        $this->cache()->put('b', 'B', 60);
        $asked = [];
        $load = function (array $keys) use (&$asked) {
            $asked[] = $keys;

            return ['a' => 'A', 7 => 'seven'];
        };

        $this->assertSame(['a' => 'A', 'b' => 'B', 7 => 'seven', 'x' => null], $this->cache()->rememberMany(['a', 'b', 7, 'x'], 60, $load));
        $this->assertSame(['a' => 'A', 'x' => null], $this->cache()->rememberMany(['a', 'x'], 60, $load));
        $this->assertSame([['a', '7', 'x'], ['x']], $asked);
        $this->assertEqualsWithDelta(60, $this->native()->ttlLeft('7'), 1);
    }

    public function test_processes_of_a_host_see_each_others_changes_at_once()
    {
        $this->useNamedSegment();
        $cache = $this->cache();
        $cache->put('k', 'old', 60);
        $cache->tags('t')->put('k', 'old', 60);
        $cache->put('gone', 'old', 60);

        self::fork(function () use ($cache) {
            $cache->put('k', 'new', 60);
            $cache->tags('t')->flush();
            $cache->forget('gone');
            $cache->increment('n', 5);
        })();

        $this->assertSame(['k' => 'new', 'gone' => null, 'n' => 5], $cache->many(['k', 'gone', 'n']));
        $this->assertNull($cache->tags('t')->get('k'));
    }

    public function test_what_is_too_large_is_not_stored()
    {
        $this->cache()->put('k', 'old', 60);

        $this->assertFalse($this->cache()->put('k', random_bytes(3 << 20), 60));
        $this->assertNull($this->cache()->get('k')); // nor what was there before
        $this->assertStringContainsString('libcache: put failed: ', $this->logged());
    }

    public function test_a_namespace_has_its_own_entries_and_ttl()
    {
        $profiles = $this->cache()->namespace('profiles', ['ttl' => 300]);
        $profiles->put('k', 'p');
        $profiles->put('long', 'p', 900);
        $profiles->forever('forever', 'p');
        $profiles->remember('r', null, fn () => 'p');
        $profiles->putMany(['m' => 'p']);
        $profiles->add('a', 'p');
        $this->cache()->put('k', 'v');

        $native = $profiles->getStore()->cache();
        foreach (['k' => 300, 'long' => 900, 'r' => 300, 'm' => 300, 'a' => 300] as $key => $ttl) {
            $this->assertEqualsWithDelta($ttl, $native->ttlLeft($key), 1, $key);
        }
        $this->assertSame(INF, $native->ttlLeft('forever'));

        $this->cache()->clear();
        $this->assertSame('p', $profiles->get('k'));
        $this->assertNull($this->cache()->get('k'));
        $profiles->clear();
        $this->assertNull($profiles->get('k'));
    }
}
