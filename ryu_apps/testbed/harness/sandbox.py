"""Private namespaces for a whole cluster, so that names never clash and everything dies with its runner.

``enter`` forks: the original process waits and passes signals on, the copy continues as the program inside
network, mount and PID namespaces of its own.  When the program ends, however it ends, the kernel ends every
process and every interface in there.  ``/run`` is a fresh tmpfs: the user's Open vSwitch is out of sight.
``shield`` forks and passes signals on only.

What the program starts is in a session of its own: a terminal's Ctrl-C interrupts the program, which takes its
cluster down, and not also every part of the cluster under it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness import interrupt

_CLONE_FS = 0x00000200
_CLONE_NEWNS, _CLONE_NEWPID, _CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
_MS_REC, _MS_PRIVATE = 16384, 1 << 18
_PR_SET_PDEATHSIG = 1
_MARK = "EVBRIDGE_SANDBOX"
_libc = ctypes.CDLL(None, use_errno=True)


class SandboxError(TestbedError):
    """The kernel did not give us namespaces; nearly always: not root."""


def entered() -> bool:
    """Return True if this process is inside a sandbox already."""
    return _MARK in os.environ


def outside_pid() -> int | None:
    """Return the process outside that waits for this one and shares its namespaces for mounts and networks.

    None: this process is in no sandbox.
    """
    return int(os.environ[_MARK]) if entered() else None


def enter() -> None:
    """Return inside a sandbox; the caller's original process waits for the program and exits with its status.

    Call it before any thread exists.  Does nothing inside a sandbox.

    Raises:
        SandboxError: not permitted.
    """
    if entered():
        return
    outside = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    _call("unshare", _CLONE_NEWNET | _CLONE_NEWNS | _CLONE_NEWPID)
    _fork_and_follow(_as_init, impatient=True)
    # Process 1 of the new PID namespace: mounts, then waits for the program so that the program itself keeps the
    # ordinary meaning of signals (process 1 is immune to those it does not handle).
    _mount_private()
    _fork_and_follow(lambda: None)
    os.environ[_MARK] = str(outside)
    interrupt.prepare(signal.SIGINT)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def shield() -> None:
    """Return in a copy of this process that is interrupted alone, by SIGINT or SIGTERM; the original waits for it.

    Call it before any thread exists.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    _fork_and_follow(os.setsid)
    interrupt.prepare(signal.SIGINT, signal.SIGTERM)


@contextmanager
def inside() -> Iterator[None]:
    """Network and mount namespaces for the time of a ``with`` block, in this very process, as a test session wants.

    Only the calling thread and what it starts go in.  What is started has to be stopped, by its handle: without a
    PID namespace the kernel will not do it.

    Raises:
        SandboxError: not permitted.
    """
    kinds = {"net": _CLONE_NEWNET, "mnt": _CLONE_NEWNS}
    homes = {kind: os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY) for kind in kinds}
    folder = os.getcwd()
    try:
        _call("unshare", _CLONE_NEWNET | _CLONE_NEWNS)
        _call("mount", None, b"/", None, _MS_REC | _MS_PRIVATE, None)
        _call("mount", b"tmpfs", b"/run", b"tmpfs", 0, b"mode=755")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        # Threads started in here share our root directory, and who shares it may not change mount namespaces.
        _call("unshare", _CLONE_FS)
        for kind, home in homes.items():
            _call("setns", home, kinds[kind])
            os.close(home)
        os.chdir(folder)


def _fork_and_follow(in_child: Callable[[], None], impatient: bool = False) -> None:
    """Fork; the child returns, the parent passes signals on and exits as the child does.

    Args:
        in_child: called first in the child.
        impatient: the second interrupt kills the child, and the kernel what is below it.
    """
    child = os.fork()
    if child == 0:
        in_child()
        return
    interrupts = 0

    def follow(received: int, _frame: object) -> None:
        nonlocal interrupts
        interrupts += received == signal.SIGINT
        os.kill(child, signal.SIGKILL if impatient and interrupts > 1 else received)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, follow)
    os._exit(_wait_for(child))


def _wait_for(child: int) -> int:
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _as_init() -> None:
    os.setsid()
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _mount_private() -> None:
    _call("mount", None, b"/", None, _MS_REC | _MS_PRIVATE, None)
    _call("mount", b"proc", b"/proc", b"proc", 0, None)
    _call("mount", b"tmpfs", b"/run", b"tmpfs", 0, b"mode=755")


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise SandboxError(f"{name}: {os.strerror(number)} (namespaces of its own need root)")
