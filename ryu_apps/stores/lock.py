"""One controller a state directory."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from ryu_apps.evb.store import StoreError

#: Who has it, for the message; what is locked is the directory itself, so that this works where nothing can be written.
PID_FILE = "pid"

#: Descriptors that stay open, and with them the locks, until the process ends.
_LOCKS: list[int] = []


def lock(state_dir: Path) -> None:
    """Have a directory to this process alone, until it ends, however it ends.

    Raises:
        StoreError: another process has it.
    """
    try:
        held = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        _LOCKS.append(held)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == errno.EWOULDBLOCK:
            raise StoreError(f"state directory {state_dir} is in use by {_holder(state_dir)}") from None
        raise StoreError(f"state directory {state_dir} cannot be locked: {error.strerror}") from None
    with suppress(OSError):
        (state_dir / PID_FILE).write_text(f"{os.getpid()}\n")


def _holder(state_dir: Path) -> str:
    """The process that has it, if it could say so."""
    try:
        pid = int((state_dir / PID_FILE).read_text())
        os.kill(pid, 0)
    except PermissionError:
        return f"pid {pid}"
    except (OSError, ValueError):
        return "another process"
    return f"pid {pid}"
