<?php

namespace Libcache\Laravel\Tests\Support;

use Illuminate\Contracts\Cache\LockTimeoutException;

/** What Laravel promises of locks, and that who waits is woken. */
trait LockTests
{
    public function test_a_lock_is_had_by_one()
    {
        $first = $this->cache()->lock('l', 60);
        $second = $this->cache()->lock('l', 60);

        $this->assertTrue($first->get());
        $this->assertFalse($first->get());
        $this->assertFalse($second->get());
        $this->assertTrue($this->cache()->lock('other', 60)->get());

        $this->assertFalse($second->release());
        $this->assertFalse($second->isOwnedByCurrentProcess());
        $this->assertTrue($first->isOwnedByCurrentProcess());
        $this->assertTrue($first->release());
        $this->assertFalse($first->release());
        $this->assertTrue($second->get());
    }

    public function test_a_lock_is_given_back_after_the_callback()
    {
        $this->assertSame('v', $this->cache()->lock('l', 60)->get(function () {
            $this->assertFalse($this->cache()->lock('l', 60)->get());

            return 'v';
        }));

        try {
            $this->cache()->lock('l', 60)->block(1, fn () => throw new \LogicException('in the callback'));
        } catch (\LogicException) {
        }

        $this->assertSame('w', $this->cache()->lock('l', 60)->block(1, fn () => 'w'));
        $this->assertTrue($this->cache()->lock('l', 60)->block(1));
    }

    /** @dataProvider owners */
    public function test_a_lock_goes_on_in_another_process_by_its_owner(string $owner)
    {
        $lock = $this->cache()->lock('l', 60, $owner);
        $this->assertSame($owner, $lock->owner());
        $this->assertTrue($lock->get());
        $this->assertFalse($this->cache()->lock('l', 60, $owner)->get()); // the same name, another holder

        $this->assertFalse($this->cache()->restoreLock('l', $owner.'x')->release());
        $this->assertFalse($this->cache()->restoreLock('l', $owner.'x')->isOwnedByCurrentProcess());
        $this->assertTrue($this->cache()->restoreLock('l', $owner)->isOwnedByCurrentProcess());
        $this->assertTrue($this->cache()->restoreLock('l', $owner)->isOwnedBy($owner));
        $this->assertTrue($this->cache()->restoreLock('l', $owner)->refresh(60));
        $this->assertTrue($this->cache()->restoreLock('l', $owner)->release());
        $this->assertFalse($lock->release());
        $this->assertFalse($lock->isLocked());
    }

    public static function owners(): array
    {
        return [['me'], ['exactly-twenty-bytes'], ['a-uuid-36-characters-long-0123456789'], ['a~b'], [''], ["bytes\0\xff"]];
    }

    public function test_a_lock_can_be_forced_open()
    {
        $lock = $this->cache()->lock('l', 60);
        $lock->get();
        $this->cache()->lock('l')->forceRelease();

        $this->assertFalse($lock->isLocked());
        $this->assertTrue($this->cache()->lock('l', 60)->get());
        $this->assertFalse($lock->release());
    }

    public function test_signals_come_through_while_waiting()
    {
        $lock = $this->cache()->lock('l', 60);
        $lock->get();
        $async = pcntl_async_signals(true);
        pcntl_signal(SIGUSR1, function () use ($lock) {
            in_array('block', array_column(debug_backtrace(), 'function'), true) && $lock->release();
        });
        $parent = getmypid();
        $child = pcntl_fork();

        if ($child === 0) {
            for ($i = 0; $i < 3000 && posix_getppid() === $parent; $i++) {
                posix_kill($parent, SIGUSR1);
                usleep(20_000);
            }
            posix_kill(getmypid(), SIGKILL);
        }

        try {
            $begun = microtime(true);
            $this->assertTrue($this->cache()->lock('l', 60)->block(20));
            $this->assertLessThan(10, microtime(true) - $begun);
        } finally {
            pcntl_signal(SIGUSR1, SIG_IGN);
            pcntl_async_signals($async);
            posix_kill($child, SIGKILL);
            pcntl_waitpid($child, $status);
        }
    }

    public function test_waiting_ends()
    {
        $this->cache()->lock('l', 60)->get();
        $begun = hrtime(true);

        try {
            $this->cache()->lock('l', 60)->block(1);
            $this->fail('it was had');
        } catch (LockTimeoutException) {
            $took = (hrtime(true) - $begun) / 1e9;
            $this->assertGreaterThanOrEqual(1.0, $took);
            $this->assertLessThan(30.0, $took); // the lock ends after 60
        }

        $this->expectException(LockTimeoutException::class);
        $this->cache()->lock('l', 60)->block(0);
    }

    public function test_a_flush_does_not_open_locks()
    {
        $this->cache()->lock('l', 60)->get();
        $this->cache()->flush();
        $this->assertFalse($this->cache()->lock('l', 60)->get());
    }

    public function test_who_waits_is_woken()
    {
        $this->useNamedSegment();
        $late = [];

        for ($round = 0; $round < 9; $round++) {
            $lock = $this->cache()->lock("l{$round}", 60);
            $this->assertTrue($lock->get());

            $waiter = self::fork(function () use ($round) {
                $this->cache()->put("waits{$round}", 1, 60);
                $this->cache()->lock("l{$round}", 60)->block(30);

                return hrtime(true);
            });
            self::until(fn () => $this->cache()->get("waits{$round}"), 'the other process waits');
            usleep(10_000 + 9_000 * $round); // so that a waiter who looks now and then is found at all phases of his sleep

            $released = hrtime(true);
            $lock->release();
            $late[] = ($waiter() - $released) / 1e6;
        }

        sort($late);
        $this->assertLessThan(25.0, $late[4], 'milliseconds from release to wake-up, median');
    }
}
