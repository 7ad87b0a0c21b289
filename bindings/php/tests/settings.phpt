--TEST--
Settings: the ini's make the cache of open(); phpinfo, ini errors
--INI--
libcache.memory=4M
libcache.max_staleness=3s
libcache.identity=tests
--FILE--
<?php
require __DIR__ . '/common.inc';
use Libcache\Cache;
$c = Cache::open();
$c->set('a', 1);
same(Cache::open()->get('a'), 1, 'one cache');
same(Cache::open(['namespace' => 'default'])->get('a'), 1, 'one cache');
same(Cache::open(['namespace' => 'other'])->get('a'), null, 'another namespace');
same(Cache::open(['memory' => '8M'])->get('a'), null, 'another cache');
same(Cache::open(['memory' => 4 << 20])->get('a'), 1, 'the same options');
same($c->stats()['memory_bytes'], 4 << 20, 'memory');
same(ini_set('libcache.memory', '8M'), false, 'for the system only');
ob_start();
phpinfo(INFO_MODULES);
check((bool)preg_match('/libcache => enabled.*Core => \d.*Memory => 4194304 bytes.*libcache.identity => tests/s', ob_get_clean()), 'phpinfo');
$run = fn (string $option) => shell_exec(escapeshellarg(PHP_BINARY) . ' -n -d display_startup_errors=1 -d display_errors=1 -d extension=' . escapeshellarg(getenv('LIBCACHE_SO')) . " -d '$option' -r 'try { Libcache\\Cache::open(); echo \"open\"; } catch (Libcache\\Exception \$e) { echo \$e->getMessage(); }' 2>&1");
echo trim($run('libcache.memory=64')), "\n", trim($run('libcache.segment=commons')), "\n", trim($run('libcache.policy_file=/nonexistent')), "\n";
?>
--EXPECTF--
%AWarning: PHP Startup: libcache: the cache of the ini settings is not open: libcache.memory: unit missing in Unknown on line 0
libcache.memory: unit missing
libcache.segment: want shared, named or private
%Alibcache: the cache of the ini settings is not open: %s
%s
