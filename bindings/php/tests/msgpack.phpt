--TEST--
MessagePack: what other languages wrote, what they can read, and what nobody should have written
--FILE--
<?php
require __DIR__ . '/common.inc';
$c = test_cache();
$m = $c->namespace('m', ['codec' => 'msgpack']);
$values = [null, true, false, 1.5, [], [1, 2, 3], ['a' => 1, 'b' => [null, 'ü', "\xff\x00"]], [5 => 'x', -3 => 'y'], range(0, 20),
    array_fill_keys(range(10, 40), 'v'), [0, 31, 32, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, PHP_INT_MAX, -1, -32, -33, -128,
    -129, -32768, -32769, -2147483648, -2147483649, PHP_INT_MIN], [str_repeat('s', 31), str_repeat('s', 32), str_repeat('s', 256), str_repeat('s', 70000)],
    [str_repeat("\xff", 255), str_repeat("\xff", 256), str_repeat("\xff", 70000)], array_fill(0, 70000, 1), 5, 'text', "\xff bytes", ['' => 1]];
foreach ($values as $i => $v) {
    $m->set("k$i", $v);
    same($m->get("k$i", 'miss'), $v, "value $i");
    same($c->namespace('m')->get("k$i", 'miss'), $v, "value $i, read by a namespace of the other codec");
}
$when = new DateTimeImmutable('2026-11-20T12:34:56.789012+02:00');
$m->set('d', ['at' => $when]);
same($m->get('d')['at']->format('Y-m-d\TH:i:s.uP'), '2026-11-20T12:34:56.789012+02:00', 'an instant');
same(thrown(fn () => $m->set('o', new stdClass)), 'Libcache\Exception -100', 'no other objects');
echo "done\n";
?>
--EXPECT--
done
