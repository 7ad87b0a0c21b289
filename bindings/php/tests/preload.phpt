--TEST--
A preload script may use the cache; what it read may go into constants and static properties
--SKIPIF--
<?php
if (!file_exists(ini_get('extension_dir') . '/opcache.so')) die('skip opcache is not there');
?>
--FILE--
<?php
require __DIR__ . '/redis.inc';
$redis = new PrivateRedis();
$dir = $redis->dir;
file_put_contents("$dir/preload.php", '<?php
    $c = Libcache\Cache::open();
    for ($i = 0; $i < 5; $i++) { $c->set("pre", [["some_key" => $i, "other" => "x"]]); $v = $c->get("pre"); $c->get("pre", null, Libcache\Cache::SKIP_L1); }
    class Preloaded { public static $value; public array $default = ["some_key" => 1]; const A = ["some_key" => 2]; }
    Preloaded::$value = $v;
    opcache_compile_file(__DIR__ . "/other.php");');
file_put_contents("$dir/other.php", '<?php class Other { public static $x = ["some_key" => 5]; }');
file_put_contents("$dir/main.php", '<?php
    $c = Libcache\Cache::open();
    for ($i = 0; $i < 5; $i++) { $c->set("post", [["some_key" => $i, "other" => "x"]]); $v = $c->get("post"); }
    echo json_encode([$c->get("pre"), $c->get("pre", null, Libcache\Cache::SKIP_L1), $v, (new Preloaded)->default, Preloaded::A, Other::$x]), "\n";');
$user = posix_geteuid() === 0 ? ['-d', 'opcache.preload_user=root'] : [];
$run = array_merge([PHP_BINARY, '-n', '-d', 'zend_extension=opcache', '-d', 'opcache.enable_cli=1', '-d', 'extension=' . getenv('LIBCACHE_SO'),
    '-d', 'libcache.redis_timeout=5s', '-d', "libcache.redis_url=" . $redis->url(), '-d', "opcache.preload=$dir/preload.php"], $user, ["$dir/main.php"]);
passthru(implode(' ', array_map('escapeshellarg', $run)) . ' 2>&1', $status);
echo "status $status\n";
?>
--EXPECT--
[[{"some_key":4,"other":"x"}],[{"some_key":4,"other":"x"}],[{"some_key":4,"other":"x"}],{"some_key":1},{"some_key":2},{"some_key":5}]
status 0
