<?php
/* The table of run.sh, or with --json a line of JSON for each figure. SPDX-License-Identifier: MIT */
$must = ['get' => ['string of 100 bytes' => 1.0, 'row' => 0.7, '50 rows' => 0.4], 'set' => ['string of 100 bytes' => 1.5, 'row' => 1.5, '50 rows' => 1.5]];
$json = in_array('--json', $argv, true);
$runs = array_map(fn ($file) => json_decode(file_get_contents($file), true), array_values(array_diff(array_slice($argv, 1), ['--json'])));
$missed = 0;
foreach (['get' => 'apcu_fetch', 'set' => 'apcu_store'] as $what => $theirs) {
    $json or printf("\n%-22s %10s %10s %7s %6s %9s   %s\n", $what, $theirs, 'libcache', 'ratio', 'must', $what === 'get' ? 'with memo' : '', 'ns, median; apc.serializer');
    foreach (array_keys($runs[0][$what]) as $case) {
        // The serializer that makes APCu fastest; libcache's figure is of the same process.
        usort($runs, fn ($a, $b) => $a[$what][$case]['apcu'] <=> $b[$what][$case]['apcu']);
        $of = $runs[0][$what][$case];
        $ratio = $of['libcache'] / $of['apcu'];
        $limit = $must[$what][$case] ?? null;
        $missed += $limit !== null && $ratio > $limit;
        if ($json) {
            foreach (['APCu' => $of['apcu'], 'libcache' => $of['libcache'], 'libcache, memo' => $of['memo'] ?? null] as $engine => $ns) {
                if ($ns !== null) {
                    echo json_encode(['bench' => "php, $what", 'engine' => "$engine, $case", 'ns' => round($ns, 1), 'ratio' => round($ns / $of['apcu'], 3)]), "\n";
                }
            }
            continue;
        }
        printf("%-22s %10.0f %10.0f %7.2f %6s %9s   %s%s\n", $case, $of['apcu'], $of['libcache'], $ratio,
            $limit === null ? '' : sprintf('%.1f', $limit), isset($of['memo']) ? round($of['memo']) : '', $runs[0]['serializer'], $limit !== null && $ratio > $limit ? '   MISSED' : '');
    }
}
if ($json) {
    exit(0);
}
echo $missed ? "\n$missed missed\n" : "\nall reached\n";
exit($missed ? 1 : 0);
