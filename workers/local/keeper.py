"""Keeps a child process no longer than its parent lives; run as a script, on the standard library.

A process killed with SIGKILL cannot stop its children. So the parent starts this program, and this
program starts the child: it stops the child when the parent is gone (its standard input ends, or
it is no longer the parent), and the kernel kills the child should this program be killed.
PR_SET_PDEATHSIG alone would not do in the parent: it fires when the THREAD that started the child
ends, and it cannot be set safely between fork and exec of a process with many threads.

Usage: keeper.py PARENT_PID FOLDER COMMAND...   where FOLDER, unless empty, is removed
in place of a parent that is gone.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import threading

GRACE_S = 20.0  # a broker on one machine closes its logs in under a second
PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the command to its end and return its exit status, negative for a signal."""
    parent, folder, *command = sys.argv[1:]
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_me,  # safe: this program has one thread so far
    )
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    threading.Thread(target=_watch, args=(int(parent), child), daemon=True).start()
    status = child.wait()
    if folder and os.getppid() != int(parent):
        shutil.rmtree(folder, ignore_errors=True)
    return status


def _watch(parent: int, child: "subprocess.Popen[bytes]") -> None:
    # A sibling forked by the parent may hold the other end of standard input open: hence both.
    while os.getppid() == parent and not select.select([sys.stdin], [], [], 1.0)[0]:
        pass
    child.terminate()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()


def _die_with_me() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
