"""The daemon: feeds the station service with frames, links, calls and time, and does what it returns."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.process.supervisor import Supervisor
from ryu_apps.station.calls import Answer, Call
from ryu_apps.station.ports_by_id import PortsById
from ryu_apps.station.service import StationService
from ryu_apps.station.service_events import (
    AtUplink,
    Called,
    Emit,
    HungUp,
    PortsShown,
    Reply,
    Save,
    ServiceEvent,
    ServiceOutput,
)
from ryu_apps.station.station import LinkDown, LinkUp, Station, Tick
from ryu_apps.station_daemon.control import Control
from ryu_apps.station_daemon.links import LinkWatcher, links_up
from ryu_apps.station_daemon.metrics import AnswerCounts, DaemonMetrics
from ryu_apps.station_daemon.ovsdb import OvsdbWatcher
from ryu_apps.station_daemon.state_file import StateFile
from ryu_apps.station_daemon.uplink import Uplink

LOG = logging.getLogger(__name__)

#: Signals that end the daemon.
_ENDING = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """Settings of the daemon.

    Attributes:
        uplinks: names of interfaces; the first is that of VSIs whose calls name none.
        control: path of the UNIX socket.
        state: path of the state file.
        timers: proposal of this station.
        reflective_relay: request reflective relay.
        groups: GroupIDs are supported.
        metrics: address and port of the metrics, None without.
        ovsdb: socket of the server's ovsdb-server, by which ports are found; None: they are not.
    """

    uplinks: tuple[str, ...]
    control: Path
    state: Path
    timers: Timers = Timers()
    reflective_relay: bool = True
    groups: bool = True
    metrics: tuple[str, int] | None = None
    ovsdb: Path | None = None


class StationDaemon:
    """One process, all uplinks of a hypervisor."""

    def __init__(self, settings: DaemonSettings) -> None:
        self._settings = settings
        stations = {name: self._station() for name in settings.uplinks}
        self._service = StationService(stations, finds_ports=settings.ovsdb is not None)
        self._ovsdb = None if settings.ovsdb is None else OvsdbWatcher(settings.ovsdb, self._ports_shown)
        self._uplinks = {name: Uplink(name) for name in settings.uplinks}
        #: Index under which each open uplink was found: another one is another interface.
        self._indexes: dict[str, int] = {}
        self._links = LinkWatcher()
        self._file = StateFile(settings.state)
        self._control = Control(self._call, self._hang_up, self._status)
        #: Verb of each call without an answer, by its token.
        self._verbs: dict[int, str] = {}
        self._answers: AnswerCounts = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; systemd is notified when calls are accepted.

        Raises:
            OSError: the control socket or the state file cannot be used, or packet sockets are not permitted.
            ValueError: the state file is not one.
        """
        loop = asyncio.get_running_loop()
        saved = self._file.read()
        await self._control.start(self._settings.control)
        for number in _ENDING:
            loop.add_signal_handler(number, self._ended.set)
        loop.add_reader(self._links.socket, self._links_changed)
        if self._settings.metrics is not None:
            self._metrics().serve(*self._settings.metrics)
        self._carry_out(self._service.restore(saved, time.monotonic()))
        self._look_at_links()
        watching = None if self._ovsdb is None else loop.create_task(self._ovsdb.run())
        Supervisor().tell("READY=1")
        await self._ended.wait()
        if watching is not None:
            watching.cancel()
        self._end()

    def _metrics(self) -> DaemonMetrics:
        return DaemonMetrics(lambda: self._service.vsis, self._links_by_name, self._answers)

    def _links_by_name(self) -> dict[str, bool]:
        return {name: uplink.is_open for name, uplink in self._uplinks.items()}

    def _station(self) -> Station:
        return Station(self._settings.timers, self._settings.reflective_relay, self._settings.groups)

    # --- links ---
    def _links_changed(self) -> None:
        self._links.drain()
        self._look_at_links()

    def _look_at_links(self) -> None:
        up = links_up(self._uplinks)
        for name, uplink in self._uplinks.items():
            index = up.get(name)
            if self._indexes.get(name) != index:
                self._close(name, uplink)
                if index is not None:
                    self._open(name, uplink, index)

    def _open(self, name: str, uplink: Uplink, index: int) -> None:
        try:
            uplink.open(lambda sock: asyncio.get_running_loop().add_reader(sock, self._receive, name, uplink, sock))
        except PermissionError:
            raise
        except OSError as error:  # it has vanished again; the kernel notifies of its return
            LOG.warning("uplink %s: %s", name, error)
            self._close(name, uplink)
            return
        self._indexes[name] = index
        LOG.info("uplink %s is up", name)
        self._feed(AtUplink(name, LinkUp()))

    def _close(self, name: str, uplink: Uplink) -> None:
        if uplink.socket is None:
            return
        asyncio.get_running_loop().remove_reader(uplink.socket)
        uplink.close()
        self._indexes.pop(name, None)
        LOG.warning("uplink %s is down", name)
        self._feed(AtUplink(name, LinkDown()))

    def _receive(self, name: str, uplink: Uplink, sock: socket.socket) -> None:
        for event in uplink.receive(sock):
            self._feed(AtUplink(name, event))

    # --- calls ---
    def _call(self, token: int, call: Call) -> None:
        LOG.info("%s of VSI %s", call.verb.value, call.vsi_id)
        self._verbs[token] = call.verb.value
        self._feed(Called(token, call))

    def _hang_up(self, token: int) -> None:
        self._verbs.pop(token, None)
        self._feed(HungUp(token))

    def _status(self) -> dict[str, Any]:
        bridges = self._service.bridges
        uplinks = {name: {"up": up, "bridge": bridges[name]} for name, up in self._links_by_name().items()}
        more = {} if self._ovsdb is None else {"ovsdb": self._ovsdb.connected}
        return {"ok": True, "uplinks": uplinks, **more, "vsis": [vsi.to_json() for vsi in self._service.vsis]}

    def _ports_shown(self, ports: PortsById) -> None:
        self._feed(PortsShown(ports))

    # --- the service ---
    def _feed(self, event: ServiceEvent) -> None:
        self._carry_out(self._service.feed(event, time.monotonic()))

    def _carry_out(self, outputs: Iterable[ServiceOutput]) -> None:
        save = False
        for output in outputs:
            match output:
                case Emit(name, frame):
                    self._uplinks[name].send(frame)
                case Reply(token, answer):
                    self._answer(token, answer)
                case Save():
                    save = True
        if save:
            self._save()
        self._set_timer()

    def _answer(self, token: int, answer: Answer) -> None:
        if answer.error is not None:
            LOG.warning("VSI %s: %s", answer.body["vsi"], answer.reason)
        else:
            LOG.info("VSI %s: %s", answer.body["vsi"], answer.body["state"])
        result = "success" if answer.error is None else answer.error.value
        self._answers[self._verbs.pop(token, ""), result] += 1
        self._control.answer(token, answer.to_json())

    def _save(self) -> None:
        try:
            self._file.write(self._service.saved)
        except OSError as error:
            LOG.error("state file: %s; a restart would not find the latest VSIs", error)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._service.deadline
        loop = asyncio.get_running_loop()
        # Both clocks are CLOCK_MONOTONIC.
        self._timer = None if deadline is None else loop.call_at(deadline, partial(self._feed, Tick()))

    def _end(self) -> None:
        for uplink in self._uplinks.values():
            uplink.say_goodbye()
        self._control.stop()
        self._settings.control.unlink(missing_ok=True)
