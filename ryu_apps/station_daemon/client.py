"""Calls to the daemon, for command lines and hypervisors' hooks."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

#: Where the daemon listens, unless configured otherwise.
DEFAULT_CONTROL = Path("/run/evbridge-station/control")
#: Seconds on top of a call's own deadline, for the daemon itself.
_MARGIN = 5.0
_LONGEST_ANSWER = 16 * 1024 * 1024


def call(path: Path, written: dict[str, Any], patience: float) -> dict[str, Any]:
    """Make one call and return its answer.

    Args:
        path: the control socket.
        written: the call as a JSON object.
        patience: the call's deadline in seconds.

    Raises:
        OSError: no daemon listens there, or it does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience + _MARGIN)
        connection.connect(str(path))
        connection.sendall(json.dumps(written).encode() + b"\n")
        with connection.makefile("rb") as lines:
            return _read(path, lines.readline())


async def call_async(path: Path, written: dict[str, Any], patience: float) -> dict[str, Any]:
    """:func:`call` for an event loop; it raises the same."""
    async with asyncio.timeout(patience + _MARGIN):
        reader, writer = await asyncio.open_unix_connection(path, limit=_LONGEST_ANSWER)
        try:
            writer.write(json.dumps(written).encode() + b"\n")
            return _read(path, await reader.readline())
        finally:
            writer.close()


def _read(path: Path, line: bytes) -> dict[str, Any]:
    if not line:
        raise ConnectionError(f"{path}: the station daemon has closed the connection")
    answer: dict[str, Any] = json.loads(line)
    return answer
