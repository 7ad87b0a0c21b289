--TEST--
The memo: what was decoded is given again while the entry is unchanged, and not a moment longer
--FILE--
<?php
require __DIR__ . '/common.inc';
$c = test_cache($clock, ['ttl' => 100]);
$m = $c->namespace('default', ['memo' => true]);
$rows = array_map(fn ($i) => ['id' => $i, 'name' => "n$i"], range(1, 100));
$c->set('k', $rows, 60, ['tag']);
same($m->get('k'), $rows, 'first');
$before = memory_get_usage();
$again = [];
for ($i = 0; $i < 50; $i++) {
    $again[] = $m->get('k');
}
check(memory_get_usage() - $before < 20000, 'one array for all: ' . (memory_get_usage() - $before));
same($again[49], $rows, 'again');
$again[3][0]['id'] = 'mine';
same($m->get('k'), $rows, 'what is changed is a copy');
$c->set('k', ['new' => 1]);
same($m->get('k'), ['new' => 1], 'set by another');
$c->set('k', ['new' => 1]);
same($m->get('k'), ['new' => 1], 'the same again');
$c->delete('k');
same($m->get('k', 'd'), 'd', 'deleted');
$c->set('k', $rows, 60, ['tag']);
same($m->get('k'), $rows, 'back');
$c->invalidateTags('tag');
same($m->get('k', 'd'), 'd', 'invalidated');
$c->set('k', $rows, 10);
same($m->get('k'), $rows, 'back');
$clock->advance(11);
same($m->get('k', 'd'), 'd', 'expired');
$c->set('k', 5);
same($m->get('k'), 5, 'an int');
$c->increment('k');
same($m->get('k'), 6, 'and its change');
for ($i = 0; $i < 3000; $i++) {
    $c->set("k$i", ['i' => $i]);
    same($m->get("k$i"), ['i' => $i], 'many');
}
same($m->get('k7'), ['i' => 7], 'one of many');
$m->forgetMemo();
same($m->get('k7'), ['i' => 7], 'forgotten');
$c->clear();
same($m->get('k7'), null, 'cleared');
echo "done\n";
?>
--EXPECT--
done
