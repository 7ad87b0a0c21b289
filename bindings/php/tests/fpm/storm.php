<?php
/*
 * php-fpm with four workers under load, of which one is killed every few milliseconds, at whatever it is doing: no request may hang,
 * no value may be wrong, nothing that was stored may turn into something older. SPDX-License-Identifier: MIT
 *
 *   php storm.php EXTENSION SECONDS
 */
require __DIR__ . '/fastcgi.inc';
require __DIR__ . '/../redis.inc';

[, $extension, $seconds] = $argv;
const WORKERS = 4;
const CLIENTS = 4;
const PATIENCE = 8.0; // seconds; load_timeout (2) and the wait for a worker are in it

$redis = new PrivateRedis();
$dir = $redis->dir;
file_put_contents("$dir/fpm.conf", "[global]\nerror_log = $dir/log\ndaemonize = no\nemergency_restart_threshold = 0\n" .
    "[www]\nlisten = $dir/fpm\npm = static\npm.max_children = " . WORKERS . "\nclear_env = no\n" . (posix_geteuid() ? '' : "user = root\ngroup = root\n"));
$fpm = glob('/usr/sbin/php-fpm*')[0] ?? trim((string)shell_exec('command -v php-fpm'));
$arguments = [$fpm, '-n', '-F', '-R', '-y', "$dir/fpm.conf", '-d', "extension=$extension", '-d', 'libcache.redis_url=' . $redis->url(),
    '-d', 'libcache.memory=8M', '-d', 'memory_limit=64M', '-d', 'display_errors=1'];
if (is_file(ini_get('extension_dir') . '/opcache.so')) {
    array_splice($arguments, 2, 0, ['-d', 'zend_extension=opcache']);
}
$null = ['file', '/dev/null', 'r+'];
$process = proc_open($arguments, [$null, ['file', "$dir/out", 'w'], ['redirect', 1]], $pipes);
$master = proc_get_status($process)['pid'];
for ($i = 0; $i < 500 && !@stream_socket_client("unix://$dir/fpm"); $i++) {
    usleep(10000);
}

function workers(int $master): array
{
    $list = @file_get_contents("/proc/$master/task/$master/children");
    return $list ? array_map('intval', explode(' ', trim($list))) : [];
}

/** Asks until it is over. Its exit status says whether all was well; counts go to a file. */
function client(int $number, string $socket, float $until, string $file): int
{
    $least = $most = 0;
    $counts = ['answered' => 0, 'killed' => 0, 'not stored' => 0];
    for ($n = 1; microtime(true) < $until; $n++) {
        $query = http_build_query(['client' => $number, 'n' => $n, 'least' => $least, 'most' => $most]);
        try {
            $answer = fastcgi($socket, __DIR__ . '/worker.php', $query, PATIENCE);
        } catch (RuntimeException $e) {
            fwrite(STDERR, "client $number: request $n hangs: {$e->getMessage()}\n");
            return 1;
        }
        $most = $n;
        if ($answer === null) {
            $counts['killed']++; // it may have stored its value, or not
        } elseif ($answer === 'ok') {
            $counts['answered']++;
            $least = $n;
        } elseif ($answer === 'ok, not stored') {
            $counts['not stored']++;
        } else {
            fwrite(STDERR, "client $number: $answer\n");
            return 1;
        }
    }
    file_put_contents($file, json_encode($counts));
    return 0;
}

$until = microtime(true) + (float)$seconds;
$clients = [];
for ($i = 0; $i < CLIENTS; $i++) {
    if (!($pid = pcntl_fork())) {
        $status = client($i, "$dir/fpm", $until, "$dir/client$i");
        posix_kill(getmypid(), $status ? SIGUSR2 : SIGUSR1); // no destructors of the parent's
    }
    $clients[] = $pid;
}
$kills = 0;
mt_srand((int)getenv('STORM_SEED') ?: 1);
while (microtime(true) < $until) {
    usleep(mt_rand(5000, 40000));
    if ($list = workers($master)) {
        $last = $list[mt_rand(0, count($list) - 1)];
        $kills += posix_kill($last, SIGKILL);
    }
}
for ($i = 0; $i < 500 && in_array($last ?? 0, workers($master), true); $i++) {
    usleep(10000); // the last one is still dying, and might take a request with it
}
$failed = 0;
foreach ($clients as $pid) {
    pcntl_waitpid($pid, $status);
    $failed += !(pcntl_wifsignaled($status) && pcntl_wtermsig($status) === SIGUSR1);
}
$total = [];
foreach (glob("$dir/client*") as $file) {
    foreach (json_decode(file_get_contents($file), true) as $name => $n) {
        $total[$name] = ($total[$name] ?? 0) + $n;
    }
}
// And after it all, every worker still works.
for ($i = 0; $i < 20 && !$failed; $i++) {
    $answer = fastcgi("$dir/fpm", __DIR__ . '/worker.php', 'client=99&n=0&least=0&most=0', PATIENCE);
    if ($answer !== 'ok') {
        echo '    afterwards: ', var_export($answer, true), "\n";
        $failed++;
    }
}
posix_kill($master, SIGTERM);
proc_close($process);
printf("    %d killed, requests: %s\n", $kills, json_encode($total));
if (!$failed && ($total['answered'] < 100 || $kills < 20 || $total['killed'] < 5)) {
    echo "    too little happened to tell\n";
    $failed = 1;
}
if ($failed) {
    echo file_get_contents("$dir/log"), file_get_contents("$dir/out");
}
exit($failed ? 1 : 0);
