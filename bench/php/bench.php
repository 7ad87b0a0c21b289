<?php
/*
 * libcache against APCu in one process, with coherence on (a Redis tier, private server). SPDX-License-Identifier: MIT
 *
 *   bench/php/run.sh [--quick] [--json]
 *
 * APCu gets its best serializer for each case: run.sh runs this once for each, and says so.
 */
require __DIR__ . '/support.php';

use Libcache\Cache;

$quick = in_array('--quick', $argv, true);
$rounds = $quick ? 5 : 15;

$url = private_redis();
$cache = Cache::open(['segment' => 'shared', 'memory' => '64MiB', 'redis_url' => $url, 'redis_prefix' => 'bench']);
$both = $cache->namespace('both', ['ttl' => 600]);
$memo = $cache->namespace('both', ['memo' => true]);
$local = $cache->namespace('local', ['ttl' => 600, 'tiers' => 'l1']);

$cases = [
    'string of 100 bytes' => [str_repeat('abcdefghij', 10), 200000],
    'row' => [row(7), 100000],
    '50 rows' => [array_map('row', range(1, 50)), 4000],
    'integer' => [123456, 200000],
    'string of 10 kB' => [str_repeat('abcdefghij', 1000), 50000],
    'list of 100 integers' => [range(1000, 1099), 20000],
];

$result = ['serializer' => ini_get('apc.serializer'), 'get' => [], 'set' => []];
foreach ($cases as $name => [$value, $times]) {
    $times = $quick ? intdiv($times, 5) : $times;
    apcu_store('key:1', $value, 600);
    $both->set('key:1', $value);
    if ($both->get('key:1') !== $value || apcu_fetch('key:1') !== $value) {
        fwrite(STDERR, "$name: not what was stored\n");
        exit(1);
    }
    $result['get'][$name] = measure([
        'apcu' => function (int $n) { for ($i = 0; $i < $n; $i++) { $v = \apcu_fetch('key:1'); } },
        'libcache' => function (int $n) use ($both) { for ($i = 0; $i < $n; $i++) { $v = $both->get('key:1'); } },
        'memo' => function (int $n) use ($memo) { for ($i = 0; $i < $n; $i++) { $v = $memo->get('key:1'); } },
    ], $times, $rounds);
    $result['set'][$name] = measure([
        'apcu' => function (int $n) use ($value) { for ($i = 0; $i < $n; $i++) { \apcu_store('key:' . ($i & 255), $value, 600); } },
        'libcache' => function (int $n) use ($local, $value) {
            for ($i = 0; $i < $n; $i++) { $local->set('key:' . ($i & 255), $value, 600, [], Cache::NO_PUBLISH); }
        },
    ], intdiv($times, 4) + 1, $rounds);
}
if ($both->stats()['l2_up'] !== 1) {
    fwrite(STDERR, "Redis was not up: coherence was not on\n");
    exit(1);
}
echo json_encode($result), "\n";
