"""A live migration between two QEMUs, with the network in step: reserved before the copy, open before the guest runs.

The order is that of ``docs/hypervisors.rst``: the guest is stopped at *pre-switchover*, its VSIs are suspended at the
source and associated at the destination, and it is continued there only after the bridge has granted the Associate.
Whatever fails before that, the guest goes on at its source.

After a copy on demand (post-copy) has begun there is no way back, so it begins after the Associate has been granted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qemu.qmp import EventListener, ExecuteError, QMPClient, QMPError

from ryu_apps.station_daemon.client import call_async

_ENDED = ("failed", "cancelled", "postcopy-paused")
#: Seconds for calls that end an attempt or a suspension: they hold up nothing that is not held up already.
_SHORT = 2.0


class MoveFailed(Exception):
    """The migration has not taken place; the guest runs at its source."""


class CopyStopped(Exception):
    """The guest runs at its destination without all of its memory, the rest of which does not come any more."""


class GuestLost(Exception):
    """The guest may run at its destination: it is not continued at its source, where it is stopped."""


@dataclass(frozen=True, slots=True)
class Host:
    """One end of the migration: the QMP socket of its QEMU and the control socket of its station daemon."""

    qmp: Path
    control: Path


@dataclass(frozen=True, slots=True)
class MoveSettings:
    """A migration.

    Attributes:
        source, destination: the ends; the destination's QEMU waits with ``-incoming`` and ``-S``.
        uri: where the destination's QEMU expects the migration, as in ``-incoming``.
        vsis: each interface of the guest: ``vsi``, ``type``, ``filters`` and so on, as in a call.
        postcopy: the guest runs at the destination before its memory is there, which is then sent as it is needed.
        copy: most seconds for the copy of the memory.
        patience: seconds for each answer of a station.
    """

    source: Host
    destination: Host
    uri: str
    vsis: tuple[dict[str, Any], ...]
    postcopy: bool = False
    copy: float = 3600.0
    patience: float = 10.0


class GatedMove:
    """One migration."""

    def __init__(self, settings: MoveSettings, note: Callable[[str], None]) -> None:
        """
        Args:
            note: is given each step when it begins, in one word.
        """
        self._settings = settings
        self._note = note

    async def run(self) -> None:
        """Move the guest.

        Raises:
            MoveFailed: it has not moved.
            GuestLost: the destination's QEMU fell silent when the guest was continued there.
            CopyStopped: the guest runs there, and waits for memory.
            OSError: a QEMU or a station daemon cannot be reached.
        """
        source, destination = self._settings.source, self._settings.destination
        async with _connected(source.qmp) as running, _connected(destination.qmp) as waiting:
            with running.listener("MIGRATION") as sent, waiting.listener("MIGRATION") as received:
                await self._reserve()
                try:
                    await self._copy(running, waiting, sent)
                    await self._switch_over(running, received)
                    if not self._settings.postcopy:
                        self._note("continue")
                        await _answered(waiting, "cont")
                except (MoveFailed, QMPError, OSError, TimeoutError) as error:
                    await self._take_back(running, waiting)
                    raise MoveFailed(str(error) or "not in time") from None
                if self._settings.postcopy:
                    await self._fetch(waiting, received)
                await self._leave(running)

    # --- steps ---
    async def _reserve(self) -> None:
        self._note("reserve")
        try:
            for vsi in self._settings.vsis:
                await self._must(self._settings.destination, "reserve", vsi, migrating=True)
        except MoveFailed:
            await self._release(self._settings.destination)
            raise

    async def _copy(self, running: QMPClient, waiting: QMPClient, sent: EventListener) -> None:
        self._note("copy")
        for machine in (running, waiting):
            await machine.execute("migrate-set-capabilities", _capabilities(self._settings.postcopy))
        await running.execute("migrate", {"uri": self._settings.uri})
        async with asyncio.timeout(self._settings.copy):
            if self._settings.postcopy:
                await _reached(sent, "active")
                await running.execute("migrate-start-postcopy")
            await _reached(sent, "pre-switchover")

    async def _switch_over(self, running: QMPClient, received: EventListener) -> None:
        """Associate while the last state is sent; a refusal that is known before it is sent costs no resumption."""
        self._note("suspend")
        for vsi in self._settings.vsis:
            # The source's request goes first: after the destination's Associate it would be one of the wrong side.
            await self._try(self._settings.source, "suspend", vsi)
        self._note("associate")
        associate = asyncio.gather(
            *(self._must(self._settings.destination, "associate", vsi) for vsi in self._settings.vsis)
        )
        try:
            await asyncio.sleep(0)
            if self._settings.postcopy:
                await associate  # once QEMU goes on, the guest cannot go back to its source
            await running.execute("migrate-continue", {"state": "pre-switchover"})
            if not self._settings.postcopy:
                async with asyncio.timeout(self._settings.patience):
                    await _reached(received, "completed")
        finally:
            await associate

    async def _fetch(self, waiting: QMPClient, received: EventListener) -> None:
        """Continue the guest at its destination, and wait for the rest of its memory."""
        self._note("continue")
        try:
            await _answered(waiting, "cont")
            self._note("fetch")
            async with asyncio.timeout(self._settings.copy):
                await _reached(received, "completed")
        except (MoveFailed, GuestLost, QMPError, TimeoutError) as error:
            await self._release(self._settings.source)
            raise CopyStopped(str(error) or "not in time") from None

    async def _leave(self, running: QMPClient) -> None:
        self._note("release")
        await self._release(self._settings.source)
        with suppress(QMPError):  # it ends before it answers
            await running.execute("quit")

    async def _take_back(self, running: QMPClient, waiting: QMPClient) -> None:
        """Let the guest go on at its source: its network first, then the guest."""
        self._note("take back")
        for vsi in self._settings.vsis:
            await self._try(self._settings.source, "associate", vsi)
        with suppress(QMPError):
            await running.execute("migrate_cancel")
        with suppress(QMPError):
            await waiting.execute("quit")
        with suppress(QMPError):  # it runs already if the copy was not complete
            await running.execute("cont")
        await self._release(self._settings.destination)

    # --- stations ---
    async def _release(self, host: Host) -> None:
        for vsi in self._settings.vsis:
            await self._try(host, "release", {"vsi": vsi["vsi"]})

    async def _must(self, host: Host, verb: str, vsi: dict[str, Any], **more: Any) -> None:
        answer = await call_async(
            host.control, _written(verb, vsi, self._settings.patience, **more), self._settings.patience
        )
        if not answer["ok"]:
            raise MoveFailed(f"{verb} of VSI {vsi['vsi']}: {answer['reason']}")

    async def _try(self, host: Host, verb: str, vsi: dict[str, Any]) -> None:
        """Make a call whose failure changes nothing."""
        with suppress(OSError, TimeoutError):
            await call_async(host.control, _written(verb, vsi, _SHORT), _SHORT)


def _written(verb: str, vsi: dict[str, Any], deadline: float, **more: Any) -> dict[str, Any]:
    return {"verb": verb, **vsi, "deadline": deadline, **more}


def _capabilities(postcopy: bool) -> dict[str, Any]:
    wanted = {"events": True, "pause-before-switchover": True, "postcopy-ram": postcopy}
    return {"capabilities": [{"capability": name, "state": state} for name, state in wanted.items()]}


@asynccontextmanager
async def _connected(path: Path) -> AsyncIterator[QMPClient]:
    client = QMPClient(str(path))
    try:
        await client.connect(str(path))
    except QMPError as error:
        raise OSError(f"{path}: {error}") from None
    try:
        yield client
    finally:
        with suppress(QMPError, EOFError, OSError):
            await client.disconnect()


async def _answered(machine: QMPClient, command: str) -> None:
    """Execute a command; MoveFailed if it was refused, GuestLost if it is not known to have been carried out."""
    try:
        await machine.execute(command)
    except ExecuteError as error:
        raise MoveFailed(f"QEMU: {error}") from None
    except QMPError as error:
        raise GuestLost(f"the destination's QEMU has not answered {command!r} ({error})") from None


async def _reached(events: EventListener, wanted: str) -> None:
    """Wait for a status of the migration; MoveFailed if it ends otherwise."""
    async for event in events:
        data = event["data"]
        status = data.get("status") if isinstance(data, dict) else None
        if status == wanted:
            return
        if status in _ENDED:
            raise MoveFailed(f"QEMU: the migration is {status}")
