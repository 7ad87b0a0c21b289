--TEST--
Locks and rates
--FILE--
<?php
require __DIR__ . '/common.inc';
$c = test_cache($clock);
$a = $c->lock('job', 10);
$b = $c->lock('job', 10);
same($a->take(), true, 'take');
same($b->take(), false, 'taken');
same($c->lastError(), 0, 'no error');
same($a->isMine(), true, 'mine');
same($b->isMine(), false, 'not mine');
same($a->holder(), $a->owner(), 'holder');
same(strlen($a->owner()), 32, 'owner');
same($a->left(), 10.0, 'left');
same($c->lock('job', 10, $a->owner())->keep(60), true, 'another object goes on with it');
same($a->left(), 60.0, 'left');
same($b->free(), false, 'not his to free');
same($a->free(), true, 'free');
same($a->free(), false, 'twice');
same($b->take(0), true, 'now the other');
same($b->take(0), true, 'again');
same($b->break(), true, 'break');
same($b->break(), false, 'nobody has it');
same($b->holder(), null, 'nobody');
same($b->left(), null, 'nobody');
$mine = $c->lock('named', 5, 'worker-7');
same($mine->owner(), 'worker-7', 'an owner of any text');
same($mine->take(), true, 'take');
same($c->lock('named', 5, 'worker-8')->take(), false, 'another');
same($c->lock('named', 5, 'worker-7')->isMine(), true, 'the same');
$clock->advance(6);
same($mine->keep(), false, 'lost');
same($mine->name(), 'named', 'name');
for ($i = 1; $i <= 3; $i++) {
    $r = $c->rateHit('r', 2, 60);
    same([$r['allowed'], $r['hits'], $r['remaining']], [$i <= 2, $i, max(0, 2 - $i)], "hit $i");
}
check($r['reset'] > 0 && $r['reset'] <= 60, 'reset');
$clock->advance(61);
same($c->rateHit('r', 2, '60s')['hits'], 1, 'a new window');
echo "done\n";
?>
--EXPECT--
done
