"""Reads in portions of all switches, in a green thread of their own; messages that have arrived go before a portion."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from ryu.lib import hub

from ryu_apps.southbound.driver import SwitchDriver

#: Seconds for which reads wait at most while a gate moves, and between two looks whether it still does.
_SWITCHING, _MEANWHILE = 0.2, 0.0005
#: Seconds for which a switch that is hastened may compose an answer before others are asked meanwhile: several switches
#: may be one process, or on one machine, and the one that a station waits for would wait for all others.
_COMPOSES = 0.02
#: Seconds until a read begins: one process of Open vSwitch may be several switches, and what has just been sent to a
#: station by one of them would wait while another one shows thousands of rules.
_AFTER_ANSWERS = 0.001


class Reading:
    """The reads in portions that are under way.

    Args:
        drivers: returns those of all connected switches.
        settle: processes the events that a portion has caused.
    """

    def __init__(self, drivers: Callable[[], Iterable[SwitchDriver]], settle: Callable[[], None]) -> None:
        self._drivers = drivers
        self._settle = settle
        self._thread: Any = None
        self._switched = self._begin = 0.0
        self._first: dict[int, None] = {}
        self._first_asked = 0.0

    def asked(self) -> None:
        """Note that a read is about to be asked for."""
        self._begin = time.monotonic() + _AFTER_ANSWERS

    def switched(self) -> None:
        """Note that a gate is about to move."""
        self._switched = time.monotonic()

    def hasten(self, dpid: int) -> None:
        """Go on with the reads of a switch, until they are done, before those of others."""
        self._first[dpid] = None
        self._first_asked = time.monotonic()

    def resume(self) -> None:
        """Start the green thread if there is something to read."""
        if self._thread is None and self._next() is not None:
            self._thread = hub.spawn(self._run)

    def _next(self) -> SwitchDriver | None:
        drivers = {driver.dpid: driver for driver in self._drivers()}
        # One that has been asked, and has not answered yet, is still to go first when it has.
        self._first = {dpid: None for dpid in self._first if dpid in drivers and drivers[dpid].is_read}
        ordered = [drivers[dpid] for dpid in (*self._first, *drivers) if drivers[dpid].has_reads]
        return next((driver for driver in ordered if driver.has_urgent_reads), next(iter(ordered), None))

    def _run(self) -> None:
        try:
            while (driver := self._next()) is not None:
                if time.monotonic() < self._begin or self._is_switching() or self._waits_for_another(driver):
                    hub.sleep(_MEANWHILE)
                    continue
                if driver.dpid in self._first:
                    self._first_asked = time.monotonic()
                driver.read_on()
                self._settle()
                hub.sleep(0)
        finally:
            self._thread = None

    def _waits_for_another(self, driver: SwitchDriver) -> bool:
        """Return True while a hastened switch is to answer, before another one is asked for which no VSI waits."""
        is_other = bool(self._first) and driver.dpid not in self._first and not driver.has_urgent_reads
        return is_other and time.monotonic() < self._first_asked + _COMPOSES

    def _is_switching(self) -> bool:
        """Return True while a gate moves: its confirmations go before reads, unless a switch takes long."""
        recently = time.monotonic() < self._switched + _SWITCHING
        return recently and any(driver.switching for driver in self._drivers())
