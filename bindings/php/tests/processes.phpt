--TEST--
Processes: forked children share a segment and make their own connections; a named segment is everybody's; hosts hear of each other
--SKIPIF--
<?php if (!function_exists('pcntl_fork')) die('skip pcntl is not there'); ?>
--FILE--
<?php
require __DIR__ . '/common.inc';
require __DIR__ . '/redis.inc';
use Libcache\Cache;
$redis = new PrivateRedis();
$name = 'phpt-processes-' . getmypid();
$options = ['memory' => '4MiB', 'redis_url' => $redis->url(), 'redis_timeout' => '5s', 'max_staleness' => '60s'];
$c = Cache::open(['segment' => 'shared'] + $options);
same($c->set('before', [1]), true, 'set');
same($c->get('before', null, Cache::SKIP_L1), [1], 'a connection is open');
function child(callable $f): void
{
    $pid = pcntl_fork();
    if (!$pid) {
        $ok = false;
        try {
            $ok = $f();
        } finally {
            posix_kill(getmypid(), $ok ? SIGUSR1 : SIGUSR2); // no destructors, no shutdown functions of the parent
        }
    }
    pcntl_waitpid($pid, $status);
    check(pcntl_wtermsig($status) === SIGUSR1, 'the child says no');
}
for ($i = 0; $i < 5; $i++) {
    child(function () use ($c, $i) {
        for ($j = 0; $j < 200; $j++) {
            if ($c->get('before', null, Cache::SKIP_L1) !== [1] || !$c->set("child $i $j", $j) || $c->get("child $i $j", null, Cache::SKIP_L1) !== $j) {
                return false;
            }
        }
        return true;
    });
    same($c->get("child $i 7", null, Cache::SKIP_L2), 7, 'one segment');
    same($c->get('before', null, Cache::SKIP_L1), [1], "the parent's connection is its own");
}
$load = $c->begin('load');
child(function () {
    global $load;
    $refused = thrown(fn () => $GLOBALS['load']->commit(1));
    $load = null; // the object goes
    return $refused === 'Libcache\Exception -1';
});
same($load->commit('by the parent'), true, 'a child does not end the load of its parent');
// Two hosts: two segments, one Redis.
$named = Cache::open(['name' => $name] + $options);
$named->set('there', 1);
same($c->poll(), true, 'poll');
same($c->get('there'), 1, 'from the other host');
same($c->get('there', null, Cache::SKIP_L2), 1, 'a copy is here');
$named->set('there', 2, 60, ['tag']);
same($c->poll(), true, 'poll');
same($c->get('there'), 2, 'the change has come');
$c->invalidateTags(['tag']);
same($named->poll(), true, 'poll');
same($named->get('there'), null, 'the invalidation has come');
// The named segment, by another program.
$code = sprintf('$c = Libcache\Cache::open(%s); echo json_encode($c->get("mine")); $c->set("yours", ["b" => 1]);', var_export(['name' => $name] + $options, true));
$named->set('mine', ['a' => 1.5]);
same(shell_exec(implode(' ', array_map('escapeshellarg', [PHP_BINARY, '-n', '-d', 'extension=' . getenv('LIBCACHE_SO'), '-r', $code]))), '{"a":1.5}', 'seen there');
same($named->get('yours', null, Cache::SKIP_L2), ['b' => 1], 'and back');
// Redis goes away: reads are misses, writes say so, nothing throws.
$redis->stop();
same($named->get('nothing'), null, 'a miss');
same($named->set('late', 1), false, 'not told to Redis');
check(in_array($named->lastError(), [-17, -18, -19, -21], true), 'says so: ' . $named->lastError());
same($named->get('late'), 1, 'but here');
same($named->invalidateTags('x'), false, 'owed');
check($named->stats()['owed_bytes'] > 0, 'owed');
same($named->remember('r', fn () => 5), 5, 'loads go on');
same($named->increment('n'), false, 'a number is Redis\'s');
$json = json_decode($named->metrics('json'), true);
check($json['host']['owed_bytes'] > 0 && $json['process_redis'] !== [], 'metrics of a host');
$redis->start();
for ($i = 0; $i < 500 && !$named->poll(); $i++) {
    usleep(20000);
}
same($named->stats()['owed_bytes'], 0, 'told');
same(Cache::removeSegment($name), true, 'removed');
same(Cache::removeSegment($name), false, 'once');
// Classes of options
same(Cache::open(['name' => $name . 'b'] + $options)->policy()['tiers'], 'l1,l2', 'tiers');
Cache::removeSegment($name . 'b');
echo "done\n";
?>
--EXPECT--
done
