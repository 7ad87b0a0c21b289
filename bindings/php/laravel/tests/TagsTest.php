<?php

namespace Libcache\Laravel\Tests;

use Illuminate\Cache\TaggedCache as BaseTaggedCache;
use Libcache\Laravel\TaggedCache;

class TagsTest extends Support\TestCase
{
    public function test_tagged_entries_are_found_with_the_same_tags()
    {
        $cache = $this->cache()->tags(['people', 'artists']);

        $this->assertInstanceOf(BaseTaggedCache::class, $cache);
        $this->assertTrue($cache->put('john', 'v', 60));
        $this->assertSame('v', $this->cache()->tags(['people', 'artists'])->get('john'));
        $this->assertSame('v', $this->cache()->tags('people', 'artists')->get('john'));
        $this->assertNull($this->cache()->get('john'));
        $this->assertNull($this->cache()->tags('people')->get('john'));
    }

    public function test_reading_does_not_depend_on_the_order_of_tags()
    {
        $this->cache()->tags(['a', 'b'])->put('k', 'v', 60);

        $this->assertSame('v', $this->cache()->tags(['b', 'a'])->get('k'));
        $this->assertSame('v', $this->cache()->tags(['b', 'a', 'b'])->get('k'));
        $this->assertSame('w', $this->cache()->tags(['b', 'a', 'c'])->remember('k', 60, fn () => 'w'));
    }

    public function test_names_that_look_alike_when_joined_are_apart()
    {
        $this->cache()->tags(['a|1:b'])->put('k', 1, 60);
        $this->cache()->tags(['a', 'b'])->put('k', 2, 60);
        $this->cache()->tags(['a|b'])->put('k', 3, 60);

        $this->assertSame([1, 2, 3], [
            $this->cache()->tags(['a|1:b'])->get('k'), $this->cache()->tags(['a', 'b'])->get('k'), $this->cache()->tags(['a|b'])->get('k'),
        ]);
    }

    public function test_flushing_one_tag_flushes_all_that_carry_it()
    {
        $this->cache()->put('k', 'untagged', 60);
        $this->cache()->tags(['people', 'artists'])->put('k', 1, 60);
        $this->cache()->tags(['people', 'authors'])->put('k', 2, 60);
        $this->cache()->tags('artists')->put('k', 3, 60);

        $this->assertTrue($this->cache()->tags('authors')->flush());
        $this->assertSame(1, $this->cache()->tags(['artists', 'people'])->get('k'));
        $this->assertNull($this->cache()->tags(['people', 'authors'])->get('k'));

        $this->cache()->tags(['people', 'nobody'])->flush();
        $this->assertNull($this->cache()->tags(['people', 'artists'])->get('k'));
        $this->assertSame(3, $this->cache()->tags('artists')->get('k'));
        $this->assertSame('untagged', $this->cache()->get('k'));
    }

    public function test_what_is_put_after_a_flush_stays()
    {
        $this->cache()->tags('t')->put('k', 1, 60);
        $this->cache()->tags('t')->flush();
        $this->cache()->tags('t')->put('k', 2, 60);

        $this->assertSame(2, $this->cache()->tags('t')->get('k'));
    }

    public function test_every_way_of_writing_carries_the_tags()
    {
        $cache = $this->cache()->tags(['t', 'u']);
        $writes = [
            'put' => fn () => $cache->put('k', 1, 60),
            'put for ever' => fn () => $cache->put('k', 1),
            'putMany' => fn () => $cache->putMany(['k' => 1], 60),
            'putMany for ever' => fn () => $cache->putMany(['k' => 1]),
            'forever' => fn () => $cache->forever('k', 1),
            'add' => fn () => $cache->add('k', 1, 60),
            'add for ever' => fn () => $cache->add('k', 1),
            'increment' => fn () => $cache->increment('k'),
            'remember' => fn () => $cache->remember('k', 60, fn () => 1),
            'rememberForever' => fn () => $cache->rememberForever('k', fn () => 1),
            'rememberNullable' => fn () => $cache->rememberNullable('k', 60, fn () => 1),
            'rememberMany' => fn () => $cache->rememberMany(['k'], 60, fn () => ['k' => 1]),
            'flexible' => fn () => $cache->flexible('k', [10, 60], fn () => 1),
            'offsetSet' => fn () => $cache['k'] = 1,
        ];

        foreach ([false, true] as $heard) {
            if ($heard) {
                $this->app['events']->listen('Illuminate\Cache\Events\*', fn () => null);
            }
            foreach ($writes as $name => $write) {
                $write();
                $this->assertSame(1, $this->cache()->tags(['u', 't'])->get('k'), $name);
                $this->cache()->tags('u')->flush();
                $this->assertNull($cache->get('k'), $name);
                $this->assertNull($this->cache()->get('k'), $name);
            }
        }
    }

    public function test_many_are_read_and_forgotten_at_once()
    {
        $cache = $this->cache()->tags('t');
        $cache->putMany(['a' => 1, 'b' => 2, 5 => 'five'], 60);

        $this->assertSame(['a' => 1, 'x' => null, 5 => 'five'], $cache->many(['a', 'x', 5]));
        $this->assertSame(['b' => 2, 'x' => 'd'], $cache->getMultiple(['b', 'x'], 'd'));
        $this->assertTrue($cache->deleteMultiple(['a', 'b']));
        $this->assertSame(['a' => null, 'b' => null, 5 => 'five'], $cache->many(['a', 'b', 5]));
        $this->assertSame(3, $cache->increment('n', 3));
        $this->assertSame(1, $cache->decrement('n', 2));
        $this->assertSame(1, $cache->get('n'));
        $this->assertTrue($cache->touch('n', 60));
        $this->assertTrue($cache->forget('n'));
        $this->assertSame('five', $cache->pull(5));
    }

    public function test_shared_tags_are_only_for_flushing()
    {
        $this->app['config']->set('libcache.tags', 'shared');
        $this->app['cache']->forgetDriver('libcache');
        $this->cache()->clear();

        $this->cache()->tags(['a', 'b'])->put('k', 'v', 60);
        $this->assertSame('v', $this->cache()->get('k'));
        $this->assertSame('v', $this->cache()->tags('a')->get('k'));
        $this->cache()->tags('b')->flush();
        $this->assertNull($this->cache()->get('k'));
    }

    public function test_tags_hold_in_all_namespaces()
    {
        $other = $this->cache()->namespace('other');
        $other->tags('t')->put('k', 1, 60);
        $this->assertNull($this->cache()->tags('t')->get('k'));
        $this->cache()->tags('t')->flush();
        $this->assertNull($other->tags('t')->get('k'));
        $this->assertSame([], $this->cache()->tags('t')->getStore()->namespace('other')->boundTags());
    }

    public function test_settings_of_a_tagged_cache_are_its_own()
    {
        $cache = $this->cache()->tags('t');
        $this->assertSame($cache, $this->cache()->tags('t'));
        $cache->setDefaultCacheTime(7);

        $this->assertSame(7, $cache->getDefaultCacheTime());
        $this->assertSame(3600, $this->cache()->tags('t')->getDefaultCacheTime());

        $this->cache()->setDefaultCacheTime(9);
        $this->assertSame(9, $this->cache()->tags('t')->getDefaultCacheTime());
    }

    public function test_parts_that_packages_use()
    {
        $cache = $this->cache()->tags('b', 'a');

        $this->assertInstanceOf(TaggedCache::class, $cache);
        $this->assertSame(['b', 'a'], $cache->getTags()->getNames());
        $this->assertSame($cache->taggedItemKey('k'), $this->cache()->tags('a', 'b')->taggedItemKey('k'));
        $this->assertNull($this->cache()->getStore()->flushStaleTags());
        $this->assertSame('tests', $cache->getStore()->getPrefix());
        $this->assertTrue($cache->lock('l')->get());

        $cache->put('k', 'v', 60);
        $cache->getTags()->flushTag('a');
        $this->assertNull($cache->get('k'));
        $cache->put('k', 'v', 60);
        $cache->clear(); // as in Laravel: the whole store
        $this->assertNull($cache->get('k'));
    }

    public function test_a_copy_of_the_repository_works_on()
    {
        $copy = clone $this->cache();
        $copy->tags('t')->put('k', 'v', 60);

        $this->assertSame('v', $this->cache()->tags('t')->get('k'));
        $this->assertSame('v', (clone $copy->tags('t'))->get('k'));
    }

    public function test_a_flush_costs_the_same_however_many_entries_there_are()
    {
        $cache = $this->cache()->tags('t');
        for ($i = 0; $i < 5000; $i += 500) {
            $cache->putMany(array_fill_keys(range($i, $i + 499), 'v'), 60);
        }

        $before = $this->native()->stats();
        $cache->flush();
        $after = $this->native()->stats();

        $this->assertNull($cache->get('17'));
        $this->assertSame(1, $after['invalidations'] - $before['invalidations']);
        $this->assertSame(0, $after['deletes'] - $before['deletes']);
    }
}
