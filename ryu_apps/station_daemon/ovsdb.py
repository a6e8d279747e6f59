"""The ports of this server's Open vSwitch by their ``external_ids:iface-id``, read from OVSDB (RFC 7047).

libvirt, OpenStack and KubeVirt write an ``iface-id`` to each tap.  The client monitors one table of the local server,
by its UNIX socket, and changes nothing.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ryu_apps.station.ports_by_id import PortsById

LOG = logging.getLogger(__name__)

#: Seconds between attempts to reach the server.
_PAUSE = 1.0
#: Characters of one message: the first has all interfaces, some 200 octets each.
_LONGEST_MESSAGE = 16 * 1024 * 1024
_CHUNK = 65536
_TABLE = "Interface"
_KEY = "iface-id"
_MONITOR = {
    "method": "monitor",
    "params": ["Open_vSwitch", None, {_TABLE: [{"columns": ["name", "external_ids"]}]}],
    "id": "monitor",
}

_DECODER = json.JSONDecoder()


class OvsdbError(ValueError):
    """Message of the server that RFC 7047 does not permit."""


class InterfaceRows:
    """Rows of the table Interface, as updates of a monitor show them."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[str, str | None]] = {}

    def update(self, updates: Any) -> None:
        """Take a ``<table-updates>`` (RFC 7047 4.1.6).

        Raises:
            OvsdbError: it is not one.
        """
        try:
            for uuid, row in updates.get(_TABLE, {}).items():
                if (new := row.get("new")) is None:
                    self._rows.pop(uuid, None)
                else:
                    self._rows[uuid] = str(new["name"]), _iface_id(new["external_ids"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise OvsdbError(f"no update of a table: {error!r}") from None

    @property
    def ports(self) -> PortsById:
        """The ports that have an ``iface-id``."""
        found: dict[str, list[str]] = {}
        for name, iface_id in sorted(self._rows.values(), key=str):
            if iface_id is not None:
                found.setdefault(iface_id, []).append(name)
        return {iface_id: tuple(names) for iface_id, names in found.items()}


def _iface_id(external_ids: Any) -> str | None:
    kind, pairs = external_ids
    if kind != "map":
        raise ValueError(f"external_ids is a {kind}")
    return next((str(value) for key, value in pairs if key == _KEY), None)


class MessageReader:
    """JSON values of a stream; nothing separates them but their own ends."""

    def __init__(self) -> None:
        self._text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, octets: bytes) -> list[Any]:
        """Take octets; returns the values that are complete.

        Raises:
            OvsdbError: too long a value, or no UTF-8.
        """
        try:
            self._text += self._decoder.decode(octets)
        except UnicodeDecodeError as error:
            raise OvsdbError(str(error)) from None
        if len(self._text) > _LONGEST_MESSAGE:
            raise OvsdbError(f"a message of more than {_LONGEST_MESSAGE} characters")
        # Each message ends with a brace.
        return list(self._complete()) if b"}" in octets else []

    def _complete(self) -> Iterator[Any]:
        with suppress(json.JSONDecodeError):  # the rest is still to come
            while self._text:
                self._text = self._text.lstrip()
                value, end = _DECODER.raw_decode(self._text)
                self._text = self._text[end:]
                yield value


class OvsdbWatcher:
    """A monitor of one server, for as long as the daemon runs; a server that ends is awaited.

    Attributes:
        connected: the present state is known.
    """

    def __init__(self, path: Path, changed: Callable[[PortsById], None]) -> None:
        """
        Args:
            path: socket of ovsdb-server.
            changed: is given the ports when they are read, and at each change.  While the server is away, what it has
                shown last is valid.
        """
        self._path, self._changed = path, changed
        self.connected = False

    async def run(self) -> None:
        """Monitor without end."""
        told = ""
        while True:
            try:
                await self._monitor()
            except (OSError, OvsdbError) as error:
                if told != (told := str(error)):
                    LOG.warning("%s: %s", self._path, error)
            else:
                told = ""
                LOG.warning("%s: ovsdb-server has closed the connection", self._path)
            self.connected = False
            await asyncio.sleep(_PAUSE)

    async def _monitor(self) -> None:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(json.dumps(_MONITOR).encode())
            rows, messages = InterfaceRows(), MessageReader()
            while octets := await reader.read(_CHUNK):
                for message in messages.feed(octets):
                    self._take(message, rows, writer)
        finally:
            writer.close()

    def _take(self, message: Any, rows: InterfaceRows, writer: asyncio.StreamWriter) -> None:
        match message:
            case {"method": "echo", "params": params, "id": identity}:
                writer.write(json.dumps({"id": identity, "result": params, "error": None}).encode())
            case {"method": "update", "params": [_, updates]}:
                self._show(rows, updates)
            case {"id": "monitor", "error": None, "result": updates}:
                self.connected = True
                LOG.info("%s: connected", self._path)
                self._show(rows, updates)
            case {"id": "monitor", "error": error}:
                raise OvsdbError(f"monitor: {error}")

    def _show(self, rows: InterfaceRows, updates: Any) -> None:
        rows.update(updates)
        self._changed(rows.ports)
