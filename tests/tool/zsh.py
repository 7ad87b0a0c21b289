"""Completion in a real zsh, on a terminal: what is typed, and what the line is after Tab. SPDX-License-Identifier: MIT

    zsh.py FOLDER SEGMENT      FOLDER/path has libcache; SEGMENT has the namespaces user and catalog
"""
import os
import pty
import re
import select
import shutil
import signal
import sys
import time

folder, segment = sys.argv[1:3]
EXPECTED = [  # typed, then what must have come
    ("libcache to", "libcache top "),
    ("libcache inv", "libcache invalidate "),
    ("libcache ls --val", "libcache ls --values "),
    ("libcache set --fi", "libcache set --file="),
    ("libcache top --sort ge", "libcache top --sort gets "),
    ("libcache warm -F ts", "libcache warm -F tsv "),
    (f"libcache stat -n {segment[:-1]}", f"libcache stat -n {segment} "),
    (f"libcache stat --name={segment[:-1]}", f"libcache stat --name={segment} "),
    (f"libcache get -n {segment} cat", f"libcache get -n {segment} catalog "),
    (f"libcache -n {segment} get cat", f"libcache -n {segment} get catalog "),
    (f"libcache ls --name={segment} -N us", f"libcache ls --name={segment} -N user "),
    ("libcache stat", "libcache stat "),
    ("libcache frob --al", "libcache frob --al"),
]

functions = os.path.join(folder, "functions")
os.mkdir(functions)
shutil.copy("tools/libcache/completion.zsh", os.path.join(functions, "_libcache"))
environment = {"PATH": f"{folder}/path:/usr/bin:/bin", "HOME": folder, "TERM": "dumb", "LC_ALL": "C.UTF-8"}
pid, terminal = pty.fork()
if pid == 0:
    os.execvpe("zsh", ["zsh", "-f", "-i"], environment)

seen = ""


def read_until(expression, seconds=20):
    """What has come by the time that the expression matches."""
    global seen
    end = time.monotonic() + seconds
    while not (found := re.search(expression, seen)):
        left = end - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            raise TimeoutError(f"{expression!r} did not come, but {seen!r}")
        seen += os.read(terminal, 65536).decode(errors="replace")
    seen = seen[found.end():]
    return found


def type_in(text):
    os.write(terminal, text.encode())


try:
    # Ctrl-X b shows the line as it is, Ctrl-U empties it; a line that is edited is never run.
    type_in(f"PS1= PS2= RPS1=; unsetopt beep zle_bracketed_paste; fpath=({functions} $fpath); autoload -U compinit; compinit -u -D\n")
    type_in("show() { print -r -- \"<<$BUFFER>>\" >/dev/tty }; zle -N show; bindkey '^Xb' show; print rea''dy\n")
    read_until(r"\nready")
    for typed, wanted in EXPECTED:
        type_in(f"\x15{typed}\t\x18b")
        line = read_until(r"<<(libcache.*)>>").group(1)
        assert line == wanted, f"{typed!r} becomes {line!r}, not {wanted!r}"
finally:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(terminal)
