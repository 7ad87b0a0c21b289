--TEST--
Statistics and metrics
--FILE--
<?php
require __DIR__ . '/common.inc';
$c = test_cache($clock);
$other = $c->namespace('7');
$c->set('a', [1]);
$c->get('a');
$c->get('a');
$c->get('b');
$other->set('a', 1);
$other->get('a');
$other->increment('a');
$other->delete('a');
$c->invalidateTags('t');
$mine = $c->namespaceStats();
same([$mine['hits_l1'], $mine['misses'], $mine['miss_cold'], $mine['sets'], $mine['entries'], $mine['increments']], [2, 1, 1, 1, 1, 0], 'of a namespace');
same($other->namespaceStats()['increments'], 1, 'of another');
same(array_keys($c->namespaces()), ['default', 7], 'namespaces');
same($c->namespaces()['default'], $mine, 'the same');
$sum = $c->sumStats();
same([$sum['hits_l1'], $sum['sets'], $sum['deletes'], $sum['increments'], $sum['invalidations']], [3, 2, 1, 1, 1], 'of all');
same(array_keys($sum), array_keys($mine), 'names');
$stats = $c->stats();
same([$stats['hits'], $stats['misses'], $stats['sets'], $stats['namespaces'], $stats['memory_bytes']], [3, 1, 2, 2, 4 << 20], 'of this process');
same($stats['miss_cold'], 1, 'why');

// The names are the fields of the structs in libcache.h: none is forgotten. (The packed sources come without it.)
$header = dirname(__DIR__, 3) . '/include/libcache.h';
$header = is_file($header) ? file_get_contents($header) : '';
foreach ($header ? ['libcache_stats' => $stats, 'libcache_ns_stats' => $mine] : [] as $struct => $figures) {
    preg_match("/typedef struct $struct \{(.*?)\n\}/s", $header, $match);
    preg_match_all('/\b(?:uint64_t|unsigned) ([^;]+);/', preg_replace('~/\*.*?\*/~s', '', $match[1]), $fields);
    $names = array_map('trim', explode(',', implode(',', $fields[1])));
    sort($names);
    ksort($figures);
    same(array_keys($figures), $names, $struct);
}

$text = $c->metrics();
check(str_contains($text, "\nlibcache_reads_total{namespace=\"default\",tier=\"l1\",result=\"hit\"} 2\n"), 'reads');
check(str_contains($text, "\nlibcache_writes_total{namespace=\"7\",operation=\"increment\"} 1\n"), 'writes');
check(str_ends_with($text, "\n# EOF\n"), 'the end');
same($c->metrics('openmetrics'), $text, 'by name');
$json = json_decode($c->metrics('json'), true);
same(array_column($json['namespaces'], 'reads', 'namespace')['default']['l1_hit'], 2, 'json');
same($json['segment']['memory_bytes'], 4 << 20, 'json');
echo thrown(fn () => $c->metrics('xml')), "\n";

// When: getTimed
$age = $left = 'x';
same($c->getTimed('none', $age, $left), null, 'not there');
same([$age, $left], [null, null], 'no times');
$c->set('t', ['v'], 60);
$clock->advance(7.5);
same($c->getTimed('t', $age, $left), ['v'], 'the value');
same([$age, $left], [7.5, 52.5], 'times');
same($c->getTimed('t'), ['v'], 'times are not needed');
same($c->getTimed('t', ttlLeft: $only), ['v'], 'one of them');
same($only, 52.5, 'one of them');
$c->touch('t', 100);
$c->getTimed('t', $age, $left);
same([$age, $left], [7.5, 100.0], 'touch does not change when it was stored');
$c->set('f', null, INF);
same($c->getTimed('f', $age, $left), null, 'a stored null');
same([$age, $left], [0.0, INF], 'has times');
$c->setMissing('m', 20);
same($c->getTimed('m', $age, $left), null, 'known missing');
same([$age, $left], [0.0, 20.0], 'has times');
$clock->advance(200);
same($c->getTimed('t', $age, $left), null, 'expired');
same([$age, $left], [null, null], 'no times');
echo thrown(fn () => $c->getTimed('')), "\n";
$typed = new class { public int $age = 0; };
$c->set('t', 1, 60);
$clock->advance(0.5);
echo thrown(function () use ($c, $typed) { return @$c->getTimed('t', $typed->age); }), ' ', $typed->age, "\n";
echo "done\n";
?>
--EXPECT--
Libcache\Exception -1
Libcache\Exception -3
nothing 0
done
