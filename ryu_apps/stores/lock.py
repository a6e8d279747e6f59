"""One controller a state directory."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from ryu_apps.evb.store import StoreError

#: What the kernel says of all locks (proc_locks(5)): number, FLOCK, ADVISORY, WRITE, pid, device:inode, from, to.
_HELD = Path("/proc/locks")
#: Descriptors that stay open, and with them the locks, until the process ends.
_LOCKS: list[int] = []


def lock(state_dir: Path) -> None:
    """Have a directory to this process alone, until it ends, however it ends.

    The directory itself is locked: what is in it may be removed, and nothing need be writable.

    Raises:
        StoreError: another process has it.
    """
    try:
        held = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        _LOCKS.append(held)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == errno.EWOULDBLOCK:
            raise StoreError(f"state directory {state_dir} is in use by {_holder(held)}") from None
        raise StoreError(f"state directory {state_dir} cannot be locked: {error.strerror}") from None


def _holder(directory: int) -> str:
    """The process that has it, if it can be seen from here: it may be in another container."""
    inode = os.fstat(directory).st_ino
    try:
        locks = [line.split() for line in _HELD.read_text(encoding="ascii").splitlines()]
    except OSError:
        return "another process"
    # Not by the device: on a file system of several devices, stat(2) reports another one.
    pids = {lock[4] for lock in locks if lock[1] == "FLOCK" and lock[5].endswith(f":{inode}")}
    return f"pid {pids.pop()}" if len(pids) == 1 else "another process"
