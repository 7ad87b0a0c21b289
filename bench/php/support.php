<?php
/* What the benchmarks of the PHP extension share. SPDX-License-Identifier: MIT */

/** A redis-server of our own on a unix socket; ends with the process. */
function private_redis(): string
{
    $dir = sys_get_temp_dir() . '/libcache-bench-' . getmypid();
    @mkdir($dir, 0700);
    $socket = "$dir/redis.sock";
    $process = proc_open(['redis-server', '--port', '0', '--unixsocket', $socket, '--save', '', '--dir', $dir],
        [['file', '/dev/null', 'r'], ['file', '/dev/null', 'w'], ['file', '/dev/null', 'w']], $pipes);
    register_shutdown_function(function () use ($process, $dir) {
        proc_terminate($process);
        proc_close($process);
        array_map('unlink', glob("$dir/*"));
        rmdir($dir);
    });
    for ($i = 0; $i < 500 && !@stream_socket_client("unix://$socket"); $i++) {
        usleep(10000);
    }
    return "unix://$socket";
}

/** A row of a table, as applications cache them: 8 fields, two of them nested. */
function row(int $id): array
{
    return [
        'id' => $id,
        'tenant_id' => 1000 + $id % 3,
        'name' => 'Ada Lovelace ' . $id,
        'email' => "ada$id@example.com",
        'status' => $id % 5 ? 'active' : 'suspended',
        'score' => $id * 1.25,
        'limits' => ['projects' => 10 + $id % 4, 'storage' => 1 << 30, 'backup' => true],
        'tags' => ['admin', 'beta', 'eu-west'],
    ];
}

/**
 * Nanoseconds a call of each function, measured in turns so that a disturbance meets all of them: the median of the rounds.
 *
 * @param array<string, callable(int): void> $functions each gets how often to do its thing
 * @return array<string, float>
 */
function measure(array $functions, int $times, int $rounds): array
{
    $taken = [];
    foreach ($functions as $f) {
        $f(max(1, intdiv($times, 10)));
    }
    for ($i = 0; $i < $rounds; $i++) {
        foreach ($functions as $name => $f) {
            $begin = hrtime(true);
            $f($times);
            $taken[$name][] = (hrtime(true) - $begin) / $times;
        }
    }
    return array_map(function (array $t) {
        sort($t);
        return $t[intdiv(count($t), 2)];
    }, $taken);
}
