--TEST--
Loads: remember, rememberMany, begin and its steps
--FILE--
<?php
require __DIR__ . '/common.inc';
use Libcache\Cache;
use Libcache\Load;
$c = test_cache($clock, ['ttl' => 100, 'load_backoff' => 10, 'grace' => 50, 'negative_ttl' => 20, 'allowed_classes' => false]);
$calls = 0;
$loader = function (string $key, Load $load) use (&$calls) {
    $calls++;
    return ['key' => $key, 'call' => $calls];
};
same($c->remember('a', $loader), ['key' => 'a', 'call' => 1], 'loaded');
same($c->remember('a', $loader), ['key' => 'a', 'call' => 1], 'remembered');
same($c->remember('a', $loader, flags: Cache::REFRESH), ['key' => 'a', 'call' => 2], 'refreshed');
same($c->get('a')['call'], 2, 'stored');
same($c->remember('null', fn () => null), null, 'null');
same($c->has('null'), true, 'is stored');
same($c->remember('t', fn ($k, $l) => $l->ttl(7)->tags('x')->tags(['y', 'z']) && 0 ?: 'v', 50, ['w']), 'v', 'said by the loader');
same($c->ttlLeft('t'), 7.0, 'its ttl');
$c->invalidateTags('y');
same($c->has('t'), false, 'its tags');
$c->remember('t', fn () => 'v', 50, ['w']);
$c->invalidateTags(['w']);
same($c->has('t'), false, 'tags of the call');
same($c->remember('m', function ($k, $l) { $l->missing(); return 5; }), null, 'missing');
same($c->ttlLeft('m'), 20.0, 'its ttl');
same($c->remember('m', $loader), null, 'is known');
same($c->remember('d', fn ($k, $l) => $l->dontStore() ? 5 : 0), 5, 'for the caller');
same($c->has('d'), false, 'only');
same($c->remember('d', fn () => 5, 0), 5, 'a ttl that is over');
same($c->has('d'), false, 'is not stored');
same($c->remember('upper', 'strtoupper'), 'UPPER', 'an internal function gets what it takes');
// An invalidation while the loader runs
same($c->remember('f', function ($k) use ($c) { $c->delete($k); return 1; }), 1, 'fenced: given');
same($c->has('f'), false, 'not stored');
// Failures
same(thrown(fn () => $c->remember('e', fn () => throw new DomainException('x', 3))), 'DomainException 3', 'exceptions come out');
same(thrown(fn () => $c->remember('e', $loader)), 'Libcache\Exception -22', 'and nobody tries again at once');
same($c->lastError(), -22, 'code');
$clock->advance(11);
same($c->remember('e', $loader, 10)['key'], 'e', 'but later');
$clock->advance(12);
same($c->get('e'), null, 'expired');
same($c->remember('e', fn () => throw new DomainException('x'))['key'], 'e', 'within its grace the old value is given');
same($c->lastError(), -22, 'code');
$clock->advance(12);
same(thrown(fn () => $c->remember('e', fn () => throw new Error('x', 4))), 'Error 4', 'a mistake of the program always comes out');
same(thrown(fn () => $c->remember('v', fn () => new ArrayObject())), 'Libcache\Exception -100', 'a value that cannot be stored');
same($c->remember('v', fn () => 1), 1, 'keeps nobody waiting');
same(thrown(fn () => $c->remember('tag', fn ($k, $l) => $l->tags('') ? 1 : 0)), 'nothing', 'a bad tag of the loader: its value is given');
same($c->has('tag'), false, 'and not stored');
// Many
$asked = [];
$many = function (array $keys, Load $load) use (&$asked) {
    $asked[] = $keys;
    return array_combine($keys, array_map(fn ($k) => "v$k", $keys));
};
$c->set('2', 'two');
same($c->rememberMany([1, '2', 'x'], $many), [1 => 'v1', 2 => 'two', 'x' => 'vx'], 'many');
same($asked, [['1', 'x']], 'asked once for those that are missing');
same($c->rememberMany([1, '2', 'x'], $many), [1 => 'v1', 2 => 'two', 'x' => 'vx'], 'remembered');
same(count($asked), 1, 'not asked');
same($c->rememberMany(['p', 'q'], fn ($keys) => ['p' => 1]), ['p' => 1], 'left out');
same($c->has('q'), false, 'is not stored');
same(thrown(fn () => $c->rememberMany(['r1', 'r2'], fn () => throw new DomainException('x', 9))), 'DomainException 9', 'exceptions');
same($c->rememberMany([], $many), [], 'none');
// In steps
$load = $c->begin('s', $value);
same($load->state(), Load::LEAD, 'lead');
same($value, null, 'no value');
same($c->begin('s', $value, flags: Cache::NO_BLOCK)->state(), Load::WAIT, 'another waits');
$waits = $c->begin('s', $value, flags: Cache::NO_BLOCK);
same($waits->wait($value), false, 'not yet');
same($load->commit(['v' => 1], 30, ['t1']), true, 'commit');
same($load->state(), Load::ENDED, 'ended');
same($waits->wait($value), true, 'who waited has it');
same($value, ['v' => 1], 'the value');
same($c->begin('s', $value), null, 'nothing to do');
same($value, ['v' => 1], 'the value');
same(thrown(fn () => $load->commit(1)), 'Libcache\Exception -1', 'twice');
$load = $c->begin('s2');
$c->clear();
same($load->commit(1), false, 'fenced');
same($c->has('s2'), false, 'not stored');
$load = $c->begin('s3');
unset($load);
same($c->begin('s3')->state(), Load::LEAD, 'a load that is dropped has ended');
$c->begin('s4')->abort(true);
same(thrown(fn () => $c->begin('s4')), 'Libcache\Exception -22', 'failed');
$c->set('s5', 1);
$load = $c->begin('s5', $value, flags: Cache::REFRESH);
same([$load->state(), $load->recheck($v)], [Load::LEAD, false], 'refresh');
$load->missing()->commit(5);
same($c->get('s5', 'd'), null, 'missing');
same(thrown(fn () => $c->remember('b', fn ($k, $l) => $l->commit(1))), 'Libcache\Exception -1', 'the Load of a loader is ended for it');
echo "done\n";
?>
--EXPECT--
done
