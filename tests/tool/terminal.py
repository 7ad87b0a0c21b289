"""top on a terminal: draws, obeys keys, and leaves the terminal as it found it, whatever ends it. SPDX-License-Identifier: MIT"""
import os
import pty
import select
import signal
import sys
import termios
import time

tool, segment = sys.argv[1:3]


def start():
    """A child of a new terminal; gives its pid, our end, and the terminal's settings before."""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        for fd in range(3):
            os.dup2(slave, fd)
        os.execv(tool, [tool, "top", "-n", segment, "-i", "100ms"])
    return pid, master, slave, before


def read_until(master, wanted, what):
    seen = b""
    until = time.monotonic() + 20
    while wanted not in seen:
        ready, _, _ = select.select([master], [], [], max(0, until - time.monotonic()))
        assert ready, f"{what}: {wanted!r} is not shown: {seen[-300:]!r}"
        seen += os.read(master, 65536)
    return seen


for how in ("q", signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    pid, master, slave, before = start()
    shown = read_until(master, b"NAMESPACE", how)
    assert b"\x1b[?1049h" in shown and b"\x1b[?25l" in shown, "the other screen is not taken"
    during = termios.tcgetattr(slave)
    assert not during[3] & (termios.ICANON | termios.ECHO), "keys do not come at once"
    os.write(master, b"n")
    read_until(master, b"sort by", "a key")
    if how == "q":  # stopped and continued
        os.kill(pid, signal.SIGTSTP)
        until = time.monotonic() + 20
        status = 0
        while not status and time.monotonic() < until:
            _, status = os.waitpid(pid, os.WUNTRACED | os.WNOHANG)
            time.sleep(0.005)
        assert os.WIFSTOPPED(status), f"status {status}"
        read_until(master, b"\x1b[?25h\x1b[?1049l", "a stop")
        assert termios.tcgetattr(slave) == before, "the terminal of a stopped program is not as it was"
        os.kill(pid, signal.SIGCONT)
        read_until(master, b"\x1b[?1049h", "going on")
        read_until(master, b"NAMESPACE", "going on")
    if how == "q":
        os.write(master, b"q")
    else:
        os.kill(pid, how)
    read_until(master, b"\x1b[?25h\x1b[?1049l", how)
    _, status = os.waitpid(pid, 0)
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, f"{how}: status {status}"
    assert termios.tcgetattr(slave) == before, f"{how}: the terminal is not as it was"
    os.close(master)
    os.close(slave)
