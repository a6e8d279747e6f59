"""The UNIX socket of the daemon: a JSON object a line, an answer a line.

A call has ``verb`` and the keys of :mod:`ryu_apps.station.calls`; ``{"verb": "status"}`` lists everything.  An ``id``
is repeated in the answer, which may come out of order.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from ryu_apps.station.calls import Call, CallError, read_call

#: Octets of a call; connections at a time; calls of a connection that wait.
LONGEST_CALL, MAX_CONNECTIONS, MAX_CALLS = 65536, 256, 256


class Control:
    """Accepts connections and passes calls on.

    Attributes:
        connections: number of callers.
    """

    def __init__(
        self,
        call: Callable[[int, Call], None],
        hang_up: Callable[[int], None],
        status: Callable[[], dict[str, Any]],
    ) -> None:
        """
        Args:
            call: is given each call with its token, by which :meth:`answer` finds the caller.
            hang_up: is given the token of each call whose caller is gone.
            status: returns what ``status`` answers.
        """
        self._call, self._hang_up, self._status = call, hang_up, status
        self._tokens = count(1)
        self._waiting: dict[int, tuple[_Connection, object]] = {}
        self._server: asyncio.Server | None = None
        self.connections = 0

    async def start(self, path: Path) -> None:
        """Listen; only the user of the daemon may connect.

        Raises:
            OSError: another daemon listens there, or the path cannot be used.
        """
        await _remove_stale(path)
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, path, limit=LONGEST_CALL)
        finally:
            os.umask(mask)

    def stop(self) -> None:
        """Accept no more connections."""
        if self._server is not None:
            self._server.close()

    def answer(self, token: int, answer: dict[str, Any]) -> None:
        """Send the answer to a call."""
        if (waiting := self._waiting.pop(token, None)) is not None:
            connection, identity = waiting
            _write(connection.writer, identity, answer)
            connection.remove(token)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer)
        self.connections += 1
        try:
            if self.connections > MAX_CONNECTIONS:
                _write(writer, None, _error(CallError.TOO_MANY, f"{MAX_CONNECTIONS} connections are open"))
            else:
                await self._converse(reader, connection)
            await writer.drain()
        except OSError:
            pass  # the caller is gone
        finally:
            self.connections -= 1
            self._leave(connection)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        try:
            while line := await reader.readline():
                self._read(line, connection)
                await connection.writer.drain()
            # A caller may close its half at once, as `nc -N` does: the answers are still sent.
            await connection.answered.wait()
        except ValueError:
            bound = _error(CallError.BAD_CALL, f"a call has at most {LONGEST_CALL} octets")
            _write(connection.writer, None, bound)

    def _read(self, line: bytes, connection: _Connection) -> None:
        try:
            written = json.loads(line)
            if not isinstance(written, dict):
                raise ValueError("a call is a JSON object")
        except (ValueError, RecursionError) as error:
            _write(connection.writer, None, _error(CallError.BAD_CALL, str(error)))
            return
        identity = written.pop("id", None)
        if written == {"verb": "status"}:
            _write(connection.writer, identity, self._status())
        else:
            self._pass_on(written, identity, connection)

    def _pass_on(self, written: dict[str, Any], identity: object, connection: _Connection) -> None:
        try:
            call = read_call(written)
        except ValueError as error:
            _write(connection.writer, identity, _error(CallError.BAD_CALL, str(error)))
            return
        if len(connection.tokens) >= MAX_CALLS:
            _write(connection.writer, identity, _error(CallError.TOO_MANY, f"{MAX_CALLS} calls wait for an answer"))
            return
        token = next(self._tokens)
        self._waiting[token] = (connection, identity)
        connection.add(token)
        self._call(token, call)

    def _leave(self, connection: _Connection) -> None:
        for token in connection.tokens:
            del self._waiting[token]
            self._hang_up(token)


class _Connection:
    """A caller: the tokens of its calls without an answer; ``answered`` is set while there are none."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.tokens: set[int] = set()
        self.answered = asyncio.Event()
        self.answered.set()

    def add(self, token: int) -> None:
        self.tokens.add(token)
        self.answered.clear()

    def remove(self, token: int) -> None:
        self.tokens.remove(token)
        if not self.tokens:
            self.answered.set()


async def _remove_stale(path: Path) -> None:
    """Remove the socket of a daemon that has ended."""
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        path.unlink()
        return
    writer.close()
    raise OSError(f"{path}: another station daemon listens there")


def _write(writer: asyncio.StreamWriter, identity: object, answer: dict[str, Any]) -> None:
    if not writer.is_closing():
        body = answer if identity is None else {"id": identity, **answer}
        writer.write(json.dumps(body).encode() + b"\n")


def _error(error: CallError, reason: str) -> dict[str, Any]:
    return {"ok": False, "error": error.value, "reason": reason}
