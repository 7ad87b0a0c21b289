--TEST--
Who waits for a lock hears of signals and of the time limit
--SKIPIF--
<?php if (!function_exists('pcntl_fork') || !function_exists('posix_kill')) die('skip pcntl or posix is not there'); ?>
--FILE--
<?php
require __DIR__ . '/common.inc';
const LONG = 20; // seconds; nothing here takes as long unless it is wrong
$c = Libcache\Cache::open(['segment' => 'private', 'memory' => '4MiB']);
$a = $c->lock('job', 60);
$b = $c->lock('job', 60);

/** Signals this process again and again while $f runs. The handler acts only within Lock::take. */
function signalled(callable $f, callable $handler): float
{
    $parent = getmypid();
    pcntl_async_signals(true);
    pcntl_signal(SIGUSR1, function () use ($handler) {
        if (in_array('take', array_column(debug_backtrace(), 'function'), true)) {
            $handler();
        }
    });
    $child = pcntl_fork();
    if (!$child) {
        for ($i = 0; $i < 3000 && posix_getppid() === $parent; $i++) {
            posix_kill($parent, SIGUSR1);
            usleep(20000);
        }
        posix_kill(getmypid(), SIGKILL);
    }
    $begun = hrtime(true);
    $f();
    $took = (hrtime(true) - $begun) / 1e9;
    pcntl_signal(SIGUSR1, SIG_IGN);
    posix_kill($child, SIGKILL);
    pcntl_waitpid($child, $status);
    return $took;
}

same($a->take(), true, 'take');
$said = null;
$took = signalled(
    function () use ($b, &$said) {
        try {
            $said = $b->take(LONG);
        } catch (DomainException $e) {
            $said = $e->getMessage();
        }
    },
    fn () => throw new DomainException('stop'),
);
same($said, 'stop', 'what a handler throws comes out');
check($took < LONG / 2, "at once, not after $took s");
same($b->isMine(), false, 'and the lock is not taken');

$took = signalled(function () use ($b, &$said) { $said = $b->take(LONG); }, fn () => $a->free());
same($said, true, 'a handler that gives it back');
check($took < LONG / 2, "at once, not after $took s");
$begun = hrtime(true);
same($a->take(0.25), false, 'waits');
$took = (hrtime(true) - $begun) / 1e9;
check($took >= 0.25 && $took < LONG / 2, "as long as it was told: $took s");

// The time limit. PHP's timer counts processor time, of which who sleeps takes none: so its signal is sent by another process.
$program = <<<'PHP'
$c = Libcache\Cache::open(['segment' => 'private', 'memory' => '4MiB']);
$c->lock('job', 60)->take();
set_time_limit(100);
$parent = getmypid();
$child = pcntl_fork();
if (!$child) {
    for ($i = $asleep = 0; $i < 10000 && $asleep < 5; $i++) {
        $asleep = preg_match('/\) S /', (string) @file_get_contents("/proc/$parent/stat")) ? $asleep + 1 : 0;
        usleep(1000);
    }
    posix_kill($parent, SIGPROF);
    posix_kill(getmypid(), SIGKILL);
}
$begun = hrtime(true);
register_shutdown_function(function () use ($begun, $child) {
    pcntl_waitpid($child, $status);
    echo (hrtime(true) - $begun) / 1e9 < 10 ? ' in time' : ' late';
});
$c->lock('job', 60)->take(20);
echo 'goes on';
PHP;
$modules = '';
foreach (['pcntl', 'posix'] as $module) {
    $file = ini_get('extension_dir') . "/$module.so";
    $modules .= is_file($file) ? ' -d extension=' . escapeshellarg($file) : '';
}
$said = shell_exec(escapeshellarg(PHP_BINARY) . " -n$modules -d extension=" . escapeshellarg(getenv('LIBCACHE_SO')) .
    ' -d display_errors=1 -d html_errors=0 -r ' . escapeshellarg($program));
check(preg_match('/^\s*(PHP )?Fatal error: +Maximum execution time of 100 seconds exceeded.* in time$/s', (string) $said) === 1, "said: $said");
echo "done\n";
?>
--EXPECT--
done
