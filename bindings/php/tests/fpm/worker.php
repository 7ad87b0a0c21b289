<?php
/* What the workers of the storm do. Prints "ok", or what was wrong. SPDX-License-Identifier: MIT */
use Libcache\Cache;

parse_str($_SERVER['QUERY_STRING'], $q);
$c = Cache::open();
$local = $c->namespace('local', ['ttl' => 600, 'tiers' => 'l1']);
$rows = $c->namespace('rows', ['ttl' => 600, 'load_timeout' => '2s']);
$wrong = [];

/* A value that can be told to be right by looking at it. */
$make = function (int $k, int $n): array {
    $list = [];
    for ($i = 0; $i <= $n % 40; $i++) {
        $list[] = ['id' => $i, 'key' => "key $k", 'n' => $n, 'nested' => ['text' => str_repeat(chr(97 + $n % 26), $n % 300), 'on' => true]];
    }
    return ['k' => $k, 'rows' => $list, 'sum' => md5(json_encode([$k, $list]))];
};
$right = fn ($v, int $k) => is_array($v) && $v['k'] === $k && $v['sum'] === md5(json_encode([$k, $v['rows']]));

/* This client's own key: nobody else writes it, so it is known what may be there. */
$own = $local->get("own $q[client]");
if ($own !== null && ($own['n'] < $q['least'] || $own['n'] > $q['most'])) {
    $wrong[] = "own key has $own[n], may have $q[least] to $q[most]";
}
$stored = $local->set("own $q[client]", ['n' => (int)$q['n'], 'pad' => str_repeat('p', mt_rand(0, 2000))]);

for ($i = 0; $i < 30; $i++) {
    $k = mt_rand(0, 199);
    switch (mt_rand(0, 9)) {
        case 0:
        case 1:
            $rows->set("k$k", $make($k, mt_rand(0, 99)), 60, ["tag" . $k % 7]);
            break;
        case 2:
            $v = $rows->remember("k$k", fn () => $make($k, mt_rand(0, 99)), 60, ["tag" . $k % 7]);
            if (!$right($v, $k)) {
                $wrong[] = "remember $k: " . json_encode($v);
            }
            break;
        case 3:
            mt_rand(0, 9) ? $rows->delete("k$k") : $rows->invalidateTags('tag' . $k % 7);
            break;
        case 4:
            $many = array_map(fn ($j) => "k$j", range($k, $k + 9));
            foreach ($rows->getMany($many) as $key => $v) {
                if (!$right($v, (int)substr($key, 1))) {
                    $wrong[] = "many $key: " . json_encode($v);
                }
            }
            break;
        case 5:
            $lock = $c->lock("lock $k", 1);
            if ($lock->take()) {
                $lock->free();
            }
            break;
        default:
            $v = $rows->get("k$k");
            if ($v !== null && !$right($v, $k)) {
                $wrong[] = "get $k: " . json_encode($v);
            }
    }
}
echo $wrong ? implode("\n", $wrong) : ($stored ? 'ok' : 'ok, not stored');
