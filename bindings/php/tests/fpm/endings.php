<?php
/*
 * However a script of a worker ends inside a loader, its load has ended when the request has: the worker lives on, and nobody waits
 * for it. SPDX-License-Identifier: MIT
 *
 *   php endings.php EXTENSION
 */
require __DIR__ . '/fastcgi.inc';
require __DIR__ . '/server.inc';
require __DIR__ . '/../redis.inc';

$redis = new PrivateRedis();
file_put_contents("$redis->dir/policies", "[default]\nttl = 60s\nload_timeout = 60s\nload_backoff = 1ms\n");
$fpm = new Fpm($redis->dir, $argv[1], 2, ['libcache.redis_url' => $redis->url(), 'libcache.redis_timeout' => '5s', 'libcache.memory' => '8M',
    'libcache.policy_file' => "$redis->dir/policies", 'memory_limit' => '8M', 'display_errors' => '1']);
$workers = $fpm->workers();

$ways = [
    'a value' => ['return ["k" => 1, "l" => 2];', true],
    'exit' => ['exit("ended");', false],
    'an exception' => ['throw new Exception("ended");', false],
    'the memory limit' => ['str_repeat("x", 100 << 20);', false],
    'the memory limit while encoding' => ['return ["k" => array_fill(0, 5000, str_repeat("y", 1000)), "l" => 1];', false],
    'the time limit' => ['set_time_limit(1); while (true);', false],
    'a fatal error' => ['eval("class A extends NoSuchClass {}");', false],
    'exit in a load within' => ['$c->remember("inner", fn () => exit("ended"));', false],
];
$calls = [
    'remember' => '$c->remember("k", function () use ($c) { %s }); echo "went on";',
    'rememberMany' => '$c->rememberMany(["k", "l"], function () use ($c) { %s }); echo "went on";',
    'begin' => '$load = $c->begin("k"); (function () use ($c) { %s })(); $load->commit(1); echo "went on";',
    'begin, in a cycle' => '$o = new stdClass; $o->o = $o; $o->load = $c->begin("k"); (function () use ($c) { %s })(); echo "went on";',
];
$failed = 0;
$say = function (string $what) use (&$failed) {
    echo "    $what\n";
    $failed++;
};
$n = 0;
foreach ($calls as $call => $template) {
    foreach ($ways as $way => [$code, $goes_on]) {
        $encodes = $way === 'the memory limit while encoding' && !str_starts_with($call, 'remember');
        $answer = fastcgi($fpm->socket, __DIR__ . '/eval.php', http_build_query(['code' => sprintf($template, $code)]), 20);
        if ($answer === null || str_contains($answer, 'went on') !== ($goes_on || $encodes)) {
            $say("$call, ended by $way: " . var_export($answer, true));
        }
        $begin = hrtime(true);
        $next = '
            $load = function (string $key) use ($c) { // for load_backoff nobody tries again: that is a clock tick here
                for ($i = 0; ; $i++) {
                    try {
                        return $c->remember($key, fn () => $key, flags: Libcache\Cache::REFRESH);
                    } catch (Libcache\Exception $e) {
                        if ($e->getCode() !== -22 || $i === 1000) { throw $e; }
                        usleep(1000);
                    }
                }
            };
            echo $load("k"), " ", $load("inner");
            $c->clear();';
        $answer = fastcgi($fpm->socket, __DIR__ . '/eval.php', http_build_query(['code' => $next]), 90);
        $ms = (hrtime(true) - $begin) / 1e6;
        if ($answer !== 'k inner' || $ms > 10000) {
            $say("$call, ended by $way: the next one got " . var_export($answer, true) . " after $ms ms");
        }
        $n++;
    }
}
if ($fpm->workers() !== $workers) {
    $say('a worker died');
}
$fpm->stop();
echo $failed ? $fpm->said() : "    $n endings\n";
exit($failed ? 1 : 0);
