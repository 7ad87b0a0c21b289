--TEST--
What ends a script inside a loader (exit, exception, memory, time, a fatal error) ends its load: nobody waits for it
--SKIPIF--
<?php if (!extension_loaded('posix')) die('skip posix is not there'); ?>
--FILE--
<?php
require __DIR__ . '/redis.inc';
$redis = new PrivateRedis();
$name = 'phpt-bailout-' . getmypid();
register_shutdown_function(fn () => Libcache\Cache::removeSegment($name));
$ways = [
    'exit' => 'exit(3);',
    'exception' => 'throw new Exception("from the loader");',
    'memory' => 'ini_set("memory_limit", "6M"); str_repeat("x", 20 << 20);',
    'time' => 'set_time_limit(1); while (true);',
    'fatal' => 'eval("class A extends NoSuchClass {}");',
    'memory while encoding' => 'return ["k" => array_fill(0, 3000, str_repeat("y", 1000)), "l" => 1];',
    'exit in a nested load' => '$c->remember("inner", function () { exit(3); });',
];
$calls = [
    'remember' => '$c->remember("k", function () use ($c) { %s });',
    'rememberMany' => '$c->rememberMany(["k", "l"], function () use ($c) { %s });',
    'begin' => '$load = $c->begin("k"); %s; $load->commit(1);',
    'begin, held by a global' => '$GLOBALS["load"] = $c->begin("k"); %s;',
    'begin, in a cycle' => '$o = new stdClass; $o->o = $o; $o->load = $c->begin("k"); %s;',
];
function php(string $code, string $name, string $url): array
{
    $open = "\$c = Libcache\\Cache::open(['segment' => 'named', 'name' => '$name', 'memory' => '4MiB', 'redis_url' => '$url', 'redis_timeout' => '5s',
        'policy' => ['load_timeout' => '60s', 'load_backoff' => '1ms']]);";
    $file = tempnam(sys_get_temp_dir(), 'php');
    file_put_contents($file, "<?php $open\n$code");
    $arguments = [PHP_BINARY, '-n', '-d', 'extension=' . getenv('LIBCACHE_SO'), '-d', 'memory_limit=12M', '-d', 'display_errors=1', $file];
    $p = proc_open($arguments, [['file', '/dev/null', 'r'], ['pipe', 'w'], ['redirect', 1]], $pipes);
    $out = stream_get_contents($pipes[1]);
    $status = proc_close($p);
    unlink($file);
    return [$out, $status];
}
foreach ($calls as $call => $template) {
    foreach ($ways as $way => $code) {
        if ($way === 'memory while encoding' && !str_starts_with($call, 'remember')) {
            continue;
        }
        if ($way === 'memory while encoding') {
            $code = 'ini_set("memory_limit", "6M"); ' . $code;
        }
        [$out, $status] = php(sprintf($template, $code) . ' echo "not ended";', $name, $redis->url());
        if (str_contains($out, 'not ended') || $status > 255 || $status < 0) {
            echo "$call, $way: status $status: $out\n";
        }
        // Another process does not wait for load_timeout, but loads at once.
        $begin = hrtime(true);
        [$out, $status] = php('echo $c->remember("k", fn () => "loaded", 60); $c->delete("k"); $c->delete("inner");', $name, $redis->url());
        $ms = (hrtime(true) - $begin) / 1e6;
        if ($out !== 'loaded' || $ms > 20000) {
            echo "$call, $way: the next one got '$out' after $ms ms\n";
        }
    }
}
// Memory that runs out while a value is fetched, from either tier: the connections are not lost.
[$out] = php('$c->set("big", str_repeat("x", 100000), 60);', $name, $redis->url());
[$out, $status] = php('
    $c->namespace("x");
    register_shutdown_function(function () use ($c) {
        ini_set("memory_limit", "64M");
        for ($i = 0; $i < 20; $i++) { $v = $c->get("big", null, Libcache\Cache::SKIP_L1); }
        echo "[", strlen($v ?? ""), " ", $c->stats()["l2_connections"], "]";
    });
    $keep = [];
    while (true) { $keep[] = $c->get("big", null, Libcache\Cache::SKIP_L1); }', $name, $redis->url());
echo str_contains($out, '[100000 1]') ? "" : "after memory ran out: $out\n";
echo "done\n";
?>
--EXPECT--
done
