<?php

/**
 * Laravel's cache through its facade: the stores apc and redis (phpredis, loopback), and libcache with the same Redis behind it.
 *
 *     php bench/php/laravel.php [--quick] [--json] [--check] [--extension=build/php/release/modules/libcache.so]
 *
 * Times are medians of interleaved rounds, in one process. It starts itself again with opcache and APCu on, and with the one of
 * APCu's serializers that is fastest for the row. --check: exit status 1 if a ratio misses its mark.
 */

use Illuminate\Support\Facades\Cache;

const ROW = ['id' => 4711, 'tenant_id' => 12, 'name' => 'Ada Lovelace', 'email' => 'ada@example.com', 'active' => true, 'score' => 97.5,
    'roles' => ['admin', 'editor', 'billing'], 'limits' => ['projects' => 50, 'seats' => 12, 'storage_gb' => 100]];
const MEMBERS = 20_000;

$options = getopt('', ['quick', 'json', 'check', 'extension:', 'stage:']);
$extension = realpath($options['extension'] ?? __DIR__.'/../../build/php/release/modules/libcache.so');

if (! $extension) {
    fwrite(STDERR, "There is no libcache.so; build the extension, or say --extension=PATH\n");
    exit(2);
}

switch ($options['stage'] ?? 'begin') {
    case 'begin':
        begin($extension, preg_grep('/^--(quick|json|check)$/', $argv));
        break;
    case 'probe':
        apcu_store('row', ROW);
        echo median(array_map(fn () => time_of(fn () => apcu_fetch('row'), 20_000), range(1, 5)));
        break;
    case 'run':
        run(isset($options['quick']), isset($options['json']), isset($options['check']));
}

/** Finds APCu's best serializer and runs the benchmark with it. */
function begin(string $extension, array $arguments): void
{
    $best = null;

    foreach (['php', 'igbinary', 'default'] as $serializer) {
        exec(command($extension, $serializer, ['--stage=probe']), $output, $status);
        $ns = (float) end($output);
        if ($status === 0 && $ns > 0 && ($best === null || $ns < $best[0])) {
            $best = [$ns, $serializer];
        }
    }

    if ($best === null) {
        fwrite(STDERR, "APCu does not run here\n");
        exit(2);
    }

    passthru(command($extension, $best[1], ['--stage=run', ...$arguments]), $status);
    exit($status);
}

function command(string $extension, string $serializer, array $arguments): string
{
    $settings = ['extension='.$extension, 'opcache.enable_cli=1', 'apc.enable_cli=1', 'apc.shm_size=128M', 'apc.entries_hint=100000',
        'apc.serializer='.$serializer, 'memory_limit=1G', 'error_reporting='.(E_ALL & ~E_DEPRECATED), 'libcache.memory=128M'];
    $command = [PHP_BINARY];
    foreach ($settings as $setting) {
        array_push($command, '-d', $setting);
    }

    return implode(' ', array_map('escapeshellarg', [...$command, __FILE__, '--extension='.$extension, ...$arguments]));
}

function run(bool $quick, bool $json, bool $check): void
{
    require __DIR__.'/laravel_app.php';
    $redis = start_redis();
    make_app($redis);

    $n = $quick ? 2_000 : 20_000;
    $rounds = $quick ? 5 : 11;

    foreach (['apc', 'redis', 'libcache'] as $store) {
        Cache::store($store)->put('row', ROW, 3600);
        Cache::store($store)->putMany(array_fill_keys(keys(50), ROW), 3600);
        if ($store !== 'apc') {
            Cache::store($store)->tags('t')->put('row', ROW, 3600);
        }
        if (Cache::store($store)->get('row') != ROW) {
            fwrite(STDERR, "the store {$store} does not give back what it was given\n");
            exit(2);
        }
    }

    $keys = keys(50);
    $ns = rounds($rounds, [
        'get apc' => [fn () => Cache::store('apc')->get('row'), $n],
        'get libcache' => [fn () => Cache::store('libcache')->get('row'), $n],
        'get redis' => [fn () => Cache::store('redis')->get('row'), max(200, $n / 20)],
        'tagged get libcache' => [fn () => Cache::store('libcache')->tags('t')->get('row'), $n],
        'tagged get redis' => [fn () => Cache::store('redis')->tags('t')->get('row'), max(200, $n / 20)],
        'remember libcache' => [fn () => Cache::store('libcache')->remember('row', 3600, fn () => ROW), $n],
        'remember apc' => [fn () => Cache::store('apc')->remember('row', 3600, fn () => ROW), $n],
        'many(50) libcache' => [fn () => Cache::store('libcache')->many($keys), $n / 20],
        'many(50) apc' => [fn () => Cache::store('apc')->many($keys), $n / 20],
        'many(50) redis' => [fn () => Cache::store('redis')->many($keys), max(100, $n / 100)],
        'put libcache' => [fn () => Cache::store('libcache')->put('written', ROW, 3600), max(100, $n / 40)],
        'put redis' => [fn () => Cache::store('redis')->put('written', ROW, 3600), max(100, $n / 40)],
    ]);

    $flushes = ['libcache' => [], 'redis' => []];
    for ($i = 0; $i < 3; $i++) {
        foreach ($i > 0 && $quick ? ['libcache'] : array_keys($flushes) as $store) {
            $flushes[$store][] = time_of_flush($store);
        }
    }

    foreach ($flushes as $store => $times) {
        $ns["tag flush of 20,000 {$store}"] = median($times);
    }

    $marks = [
        ['get of a row / apc', $ns['get libcache'] / $ns['get apc'], '<=', 1.1],
        ['redis / get of a row', $ns['get redis'] / $ns['get libcache'], '>=', 20],
        ['tagged get / get', $ns['tagged get libcache'] / $ns['get libcache'], '<=', 1.2],
        ['redis / tag flush of 20,000', $ns['tag flush of 20,000 redis'] / $ns['tag flush of 20,000 libcache'], '>=', 50],
    ];

    $met = array_map(fn ($mark) => $mark[2] === '<=' ? $mark[1] <= $mark[3] : $mark[1] >= $mark[3], $marks);

    if ($json) {
        echo json_encode([
            'apc_serializer' => ini_get('apc.serializer'),
            'ns' => array_map(fn ($x) => round($x, 1), $ns),
            'ratios' => array_map(
                fn ($mark, $ok) => ['name' => $mark[0], 'ratio' => round($mark[1], 3), 'wanted' => $mark[2].$mark[3], 'met' => $ok],
                $marks,
                $met,
            ),
        ], JSON_PRETTY_PRINT), "\n";
    } else {
        printf("Laravel %s, PHP %s, APCu with serializer %s\n\n", app()->version(), PHP_VERSION, ini_get('apc.serializer'));
        foreach ($ns as $name => $x) {
            printf("%-34s %12.2f us\n", $name, $x / 1000);
        }
        echo "\n";
        foreach ($marks as $i => [$name, $ratio, $relation, $mark]) {
            printf("%-34s %9.2f x   wanted %s %-5s %s\n", $name, $ratio, $relation, $mark, $met[$i] ? 'yes' : 'NO');
        }
    }

    exit($check && in_array(false, $met, true) ? 1 : 0);
}

/** @return float nanoseconds */
function time_of_flush(string $store): float
{
    $cache = Cache::store($store)->tags('members');
    for ($i = 0; $i < MEMBERS; $i += 1000) {
        $cache->putMany(array_fill_keys(array_map(fn ($j) => "m{$j}", range($i, $i + 999)), 'v'), 3600);
    }

    if ($cache->get('m17') !== 'v' || $cache->get('m'.(MEMBERS - 1)) !== 'v') {
        fwrite(STDERR, "{$store} has lost members before the flush\n");
        exit(2);
    }

    $begun = hrtime(true);
    $cache->flush();
    $ns = hrtime(true) - $begun;

    if ($cache->get('m17') !== null) {
        fwrite(STDERR, "{$store} has members after the flush\n");
        exit(2);
    }

    return $ns;
}

/**
 * @param  array<string, array{callable, int}>  $cases
 * @return array<string, float> nanoseconds a call, medians
 */
function rounds(int $rounds, array $cases): array
{
    $times = [];
    for ($round = 0; $round <= $rounds; $round++) {
        foreach ($cases as $name => [$call, $n]) {
            $ns = time_of($call, (int) $n);
            if ($round > 0) { // the first one warms up
                $times[$name][] = $ns;
            }
        }
    }

    return array_map('median', $times);
}

function time_of(callable $call, int $n): float
{
    $begun = hrtime(true);
    for ($i = 0; $i < $n; $i++) {
        $call();
    }

    return (hrtime(true) - $begun) / $n;
}

function median(array $values): float
{
    sort($values);

    return $values[intdiv(count($values), 2)];
}

/** @return string[] */
function keys(int $n): array
{
    return array_map(fn ($i) => "row{$i}", range(1, $n));
}
