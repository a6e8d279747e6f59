"""Commands, processes and sockets in a network namespace that is named by the id of a process in it."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TypeVar

from ryu_apps.testbed.errors import DeadlineError, TestbedError

Found = TypeVar("Found")
_CLONE_NEWNET = 0x40000000
#: Seconds for what has to come true and takes no time: a verdict must not depend on how busy the machine is.
PATIENCE = 30.0
# linux/sockios.h, linux/if.h
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFREQ = struct.Struct("16sH22x")
# asm-generic/socket.h: SO_RCVBUF beyond net.core.rmem_max
_SO_RCVBUFFORCE = 33
#: Octets of received frames that wait for a reader: on a busy machine it is late by seconds, and must lose none.
_RECEIVE_BUFFER = 8 << 20
_libc = ctypes.CDLL(None, use_errno=True)


class CommandError(TestbedError):
    """A command failed; the text holds the command and what it said."""


def run(argv: Sequence[str], stdin: str | None = None) -> str:
    """Run a command and return its standard output.

    Raises:
        CommandError: exit status other than 0.
    """
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise CommandError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}\n{stdin or ''}".strip())
    return done.stdout


def wait_until(condition: Callable[[], Found | None], what: str, limit: float = PATIENCE, pause: float = 0.02) -> Found:
    """Poll until ``condition`` gives something true and return that.

    Raises:
        DeadlineError: not within ``limit`` seconds.
    """
    deadline = time.monotonic() + limit
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise DeadlineError(f"{what}: not within {limit:g} s")
        time.sleep(pause)
    return found


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes], patience: float = 3.0) -> None:
    """Terminate a process by its handle, the hard way when it does not listen."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


class Namespace:
    """The network namespace (and, where asked for, the mount namespace) of process ``pid``."""

    def __init__(self, name: str, pid: int) -> None:
        self.name = name
        self.pid = pid

    def argv(self, command: Sequence[str], mounts: bool = False) -> list[str]:
        """The command line that runs ``command`` in here; nsenter becomes the command, so pids are its own."""
        enter = ["nsenter", f"--net=/proc/{self.pid}/ns/net"]
        if mounts:
            enter.append(f"--mount=/proc/{self.pid}/ns/mnt")
        return [*enter, "--", *command]

    def run(self, *command: str, stdin: str | None = None) -> str:
        """Run a command in here; see :func:`run`."""
        return run(self.argv(command), stdin)

    def ip(self, *lines: str) -> None:
        """Run ``ip`` commands as one batch."""
        self.run("ip", "-batch", "-", stdin="\n".join(lines) + "\n")

    def tc(self, *lines: str) -> None:
        """Run ``tc`` commands as one batch."""
        self.run("tc", "-batch", "-", stdin="\n".join(lines) + "\n")

    def popen(self, *command: str, log: Path | None = None, mounts: bool = False) -> subprocess.Popen[bytes]:
        """Start a process in here whose output goes to ``log`` (default: nowhere)."""
        output: IO[bytes] | int = log.open("ab") if log else subprocess.DEVNULL
        try:
            return subprocess.Popen(
                self.argv(command, mounts), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        finally:
            if not isinstance(output, int):
                output.close()

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Make a socket that lives in here, with a large receive buffer; a thread of its own pays the visit."""
        made: list[socket.socket | OSError] = []

        def visit() -> None:
            try:
                _set_namespace(f"/proc/{self.pid}/ns/net")
                made.append(socket.socket(family, kind, protocol))
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=visit)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        enlarge_receive_buffer(made[0])
        return made[0]

    def quiet(self) -> None:
        """No IPv6 of the kernel's own accord: a cluster's traffic is what a scenario sends."""
        self.set("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")

    def speak_ipv6(self, interface: str, address: str) -> None:
        """IPv6 after all, at one interface: no router, no privacy, an address (with its prefix length) at once."""
        self.set(f"net.ipv6.conf.{interface}.accept_ra=0", f"net.ipv6.conf.{interface}.disable_ipv6=0")
        self.run("ip", "address", "add", address, "dev", interface, "nodad")

    def set(self, *assignments: str) -> None:
        """Set sysctls, ``name=value``."""
        self.run("sysctl", "-qw", *assignments)


def enlarge_receive_buffer(receiver: socket.socket) -> None:
    """Let a socket keep what it receives until a busy machine reads it."""
    receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)


def interface_flags(control: socket.socket, interface: str) -> int:
    """The flags (IFF_UP, IFF_RUNNING, ...) of an interface in the namespace of a socket: microseconds, no process."""
    answer = fcntl.ioctl(control, _SIOCGIFFLAGS, _IFREQ.pack(interface.encode(), 0))
    return int(_IFREQ.unpack(answer)[1])


def set_interface_flags(control: socket.socket, interface: str, flags: int) -> None:
    """Set the flags of an interface in the namespace of a socket."""
    fcntl.ioctl(control, _SIOCSIFFLAGS, _IFREQ.pack(interface.encode(), flags))


def _set_namespace(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)
