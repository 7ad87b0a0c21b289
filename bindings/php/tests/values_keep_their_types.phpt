--TEST--
Values keep their types: scalars, arrays of every kind, references, a stored null
--FILE--
<?php
require __DIR__ . '/common.inc';
$c = test_cache();
$long = str_repeat('x', 100000);
$holes = [1, 2, 3, 4];
unset($holes[1]);
$keys = ['a' => 1, 'b' => 2, 'c' => 3];
unset($keys['b']);
$negative = [-5 => 'a', 'b', 'c'];
$values = [
    null, true, false, 0, -1, 127, -128, 128, 255, 32767, -32769, 2147483647, -2147483649, PHP_INT_MAX, PHP_INT_MIN,
    0.0, -0.0, 1.5, 1e300, -INF, INF, '', 'a', "\0", '12', 'ab', str_repeat('y', 255), str_repeat('y', 256), $long, "\xff\xfe",
    [], [[]], [null], ['a' => null], [1, 2, 3], range(0, 999), ['x' => 1, 'y' => ['z' => []]], ['' => 'empty key'],
    [3 => 'a', 1 => 'b'], $holes, $keys, $negative, ['1.5' => 1, '01' => 2, '-0' => 3, 7 => 4, 'k' => 5],
    array_fill_keys(array_map(fn ($i) => "key $i", range(1, 64)), 1),
    array_fill_keys(array_map(fn ($i) => "key $i", range(1, 65)), 'v'),
    [str_repeat('k', 255) => 1], [str_repeat('k', 256) => 1], ["a\0b" => 1],
    array_map(fn ($i) => ['id' => $i, 'same' => 'same', 'list' => ['a', 'b'], 'mixed' => $i % 2 ? 'x1' : null], range(1, 200)),
    array_map(fn ($i) => ["k$i" => $i], range(1, 100)),
    [['a' => ['a' => 'xx', 'b' => 'yy'], 'b' => 'yy'], ['a' => ['a' => 'xx', 'b' => 'yy'], 'b' => 'yy']],
    [PHP_INT_MAX => 1, PHP_INT_MIN => 2],
    array_map(fn ($i) => ['l' => ['plan' => $i % 4, 'x' => 'yy'], 'm' => [$i % 3, 1.5], 'n' => ['a' => [$i % 2]], 's' => 's' . $i % 5, 'i' => $i % 2, 'e' => [],
        'z' => $i % 2 ? ['p' => 0.0] : ['p' => -0.0], 'k' => $i % 2 ? ['p' => 1] : ['q' => 1], 'w' => range(1, 17)], range(1, 40)),
    array_map(fn ($i) => $i > 1 ? ['c' => ['c' => ['c' => 'deep'], 'd' => 'dd'], 'd' => 'dd'] : ['c' => 'cc', 'd' => 'dd'], range(1, 6)),
];
foreach ($values as $i => $v) {
    check($c->set("k$i", $v), "set $i");
    for ($j = 0; $j < 4; $j++) { // shapes are kept from the second time on
        same($c->get("k$i", 'default'), $v, "value $i");
    }
}
same($c->getMany(array_map(fn ($i) => "k$i", array_keys($values))), array_combine(array_map(fn ($i) => "k$i", array_keys($values)), $values), 'many');
$c->set('nan', NAN);
check(is_nan($c->get('nan')), 'nan');
$v = [1, 2, [3]];
foreach ($v as &$r) {
}
$v['self'] = &$v[0];
$c->set('ref', $v);
same($c->get('ref'), [0 => 1, 1 => 2, 2 => [3], 'self' => 1], 'references become what they refer to');
// What was got may be changed without changing what others get.
$a = $c->get('k37');
$a[] = 'more';
$row = $c->get('k48');
$row[0]['id'] = 'changed';
$row[1]['list'][] = 'changed';
unset($row[2]['same']);
$row[3]['new'] = 1;
same($c->get('k48'), $values[48], 'rows are copies');
same($row[1]['list'], ['a', 'b', 'changed'], 'own copy');
same($row[2], ['id' => 3, 'list' => ['a', 'b'], 'mixed' => 'x1'], 'own copy, key removed');
same(array_keys($row[3]), ['id', 'same', 'list', 'mixed', 'new'], 'own copy, key added');
same($row[4]['same'] . $row[4]['id'], 'same5', 'rows');
$list = $c->get('k34');
$list[] = 9;
same($list, [1, 2, 3, 9], 'a list goes on at its end');
same($c->get('none'), null, 'miss');
same($c->get('none', 7), 7, 'default');
same($c->get('k0', 7), null, 'a stored null is a hit');
same($c->has('k0'), true, 'has null');
same($c->getMany(['k0', 'none', 'k1']), ['k0' => null, 'k1' => true], 'getMany leaves misses out');
same($c->getMany(['k0', 'none', 'k1'], 5), ['k0' => null, 'none' => 5, 'k1' => true], 'getMany with a default');
same($c->getMany([]), [], 'getMany of nothing');
same($c->setMany([5 => 'five', 'six' => 6]), true, 'setMany');
same($c->getMany([5, 'six', '5']), [5 => 'five', 'six' => 6], 'integer keys');
same($c->setMany(array_fill_keys(range(1, 200), ['a' => 1])), true, 'setMany of many');
same(count($c->getMany(range(1, 200))), 200, 'getMany of many');
echo "done\n";
?>
--EXPECT--
done
