--TEST--
Writing: ttl, add, delete, touch, increment, negative entries
--FILE--
<?php
require __DIR__ . '/common.inc';
use Libcache\Cache;
$c = test_cache($clock, ['ttl' => 100, 'negative_ttl' => 5]);
$c->set('a', 1);
same($c->ttlLeft('a'), 100.0, 'policy ttl');
$c->set('a', 1, 2.5);
same($c->ttlLeft('a'), 2.5, 'float');
$c->set('b', 1, '3m');
same($c->ttlLeft('b'), 180.0, 'text');
$c->set('c', 1, Cache::FOREVER);
same($c->ttlLeft('c'), INF, 'forever');
$c->set('d', 1, 'forever');
same($c->ttlLeft('d'), INF, 'forever');
$clock->advance(3);
same($c->get('a'), null, 'expired');
same($c->ttlLeft('a'), null, 'no ttl of what is not there');
$c->set('b', 1, 0);
same($c->has('b'), false, 'a ttl of 0 deletes');
$c->set('d', 1, -5);
same($c->has('d'), false, 'so does a negative one');
same($c->add('e', 'x'), true, 'add');
same($c->add('e', 'y'), false, 'add again');
same($c->lastError(), 0, 'that is no error');
same($c->get('e'), 'x', 'add kept the first');
same($c->add('f', 'y', 0), false, 'add of nothing');
same($c->touch('e', 7), true, 'touch');
same($c->ttlLeft('e'), 7.0, 'touched');
same($c->touch('none'), false, 'touch of nothing');
same($c->delete('e'), true, 'delete');
same($c->delete('e'), false, 'delete again');
$c->setMany(['x' => 1, 'y' => 2]);
same($c->deleteMany(['x', 'y', 'z']), 2, 'deleteMany');
same($c->increment('n'), 1, 'increment');
same($c->increment('n', 41), 42, 'by');
same($c->decrement('n', 2), 40, 'decrement');
same($c->get('n'), 40, 'an int');
$c->set('n', -7, 50);
same($c->increment('n', 3), -4, 'of a stored int');
same($c->get('n'), -4, 'negative');
same($c->ttlLeft('n'), 50.0, 'keeps its ttl');
$c->set('s', 'abc');
same(thrown(fn () => $c->increment('s')), 'Libcache\Exception -8', 'no number');
$c->set('max', PHP_INT_MAX);
same(thrown(fn () => $c->increment('max')), 'Libcache\Exception -9', 'overflow');
same($c->get('max'), PHP_INT_MAX, 'unchanged');
$c->set('min', PHP_INT_MIN);
same($c->get('min'), PHP_INT_MIN, 'least');
same($c->setMissing('m'), true, 'setMissing');
same($c->get('m', 'default'), null, 'known missing reads as null');
same($c->has('m'), true, 'and is known');
$clock->advance(5);
same($c->get('m', 'default'), 'default', 'for its own ttl');
same($c->set('big', str_repeat('x', 4 << 20)), false, 'too big');
same($c->lastError(), Libcache\Exception::ETOOBIG, 'says so');
same($c->setMany(['ok' => 1, 'big' => str_repeat('x', 4 << 20)]), false, 'one is too big');
same($c->lastError(), Libcache\Exception::ETOOBIG, 'says so');
same($c->get('ok'), 1, 'the other is there');
// Policies
$other = $c->namespace('other', ['ttl' => '1h', 'jitter' => '10%', 'max_value' => '64K']);
same($other->get('n'), null, 'namespaces are apart');
same($other->policy()['ttl'], 3600.0, 'policy');
same($other->policy()['max_value'], 65536, 'policy');
same($other->name(), 'other', 'name');
same($c->namespace('other')->name(), 'other', 'again');
same(thrown(fn () => $c->namespace('other', ['ttl' => 5])), 'Libcache\Exception -6', 'another policy');
echo "done\n";
?>
--EXPECT--
done
