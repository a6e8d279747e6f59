"""Work of ``evbridge vcm serve`` between requests: descriptors that change, and components that moves wait for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ryu_apps.rest_daemon import Chore
from ryu_apps.vcm.acquired import AcquiredVms, UnfitError
from ryu_apps.vcm.components import PendingComponent, not_ready, pending, steps_path
from ryu_apps.vcm.move_events import Coordination
from ryu_apps.vcm_server import AwaitedStep, ManagerApplication

LOG = logging.getLogger(__name__)
#: Seconds between two looks at steps that wait for components.
NAP = 0.2


class AcquiredDescriptors(NamedTuple):
    """The descriptors of all VMs, or why they cannot be had."""

    vms: AcquiredVms
    mistakes: str = ""


class DescriptorChore:
    """Acquires the descriptors anew; with mistakes, or without an answer, the earlier ones stay."""

    def __init__(self, application: ManagerApplication, acquire: Callable[[], AcquiredDescriptors]) -> None:
        self._application = application
        self._acquire = acquire
        self._mistakes = ""

    def chore(self, interval: float) -> Chore:
        """The work, every so many seconds."""
        return Chore(interval, lambda: True, lambda _: self._acquire(), self.tell)

    def tell(self, found: AcquiredDescriptors) -> None:
        """Take what was acquired."""
        mistakes = found.mistakes
        try:
            if not mistakes and self._application.acquire(found.vms):
                LOG.warning("descriptors have changed: they are pushed from the next goal on")
        except (UnfitError, OSError) as error:
            mistakes = str(error)
        if mistakes and mistakes != self._mistakes:
            LOG.warning("descriptors are as before: %s", mistakes)
        self._mistakes = mistakes


class ComponentChore:
    """Asks the NMS about the components that steps wait for, and answers these steps."""

    def __init__(
        self,
        application: ManagerApplication,
        coordination: Coordination,
        ask: Callable[[str], Any],
        ports: Callable[[], Mapping[str, str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            ask: returns the JSON value at a path of the NMS; OSError: it does not answer.
            ports: asks the bridge for the port of each node; OSError: it does not answer; KeyError, TypeError: its
                answer is another one.
            clock: monotonic seconds.
        """
        self._application = application
        self._coordination = coordination
        self._ask = ask
        self._ports = ports
        self._clock = clock
        self._since: dict[tuple[int, int], float] = {}

    def chore(self) -> Chore:
        """The work."""
        return Chore(NAP, self.prepare, self.ask, self.tell)

    def prepare(self) -> list[AwaitedStep] | None:
        """Return the steps that wait, if there are any."""
        try:
            awaited = self._application.awaited()
        except OSError as error:
            LOG.warning("the journal cannot be written: %s", error.strerror)
            return None
        now, known = self._clock(), self._since
        self._since = {step[:2]: known.get(step[:2], now) for step in awaited}
        return awaited or None

    def ask(self, awaited: list[AwaitedStep]) -> list[tuple[AwaitedStep, list[PendingComponent]]]:
        """Return the components that have not done each step."""
        try:
            ports = self._ports()
        except OSError as error:
            return _without_ports(awaited, f"the bridge does not answer: {error}")
        except (KeyError, TypeError):
            return _without_ports(awaited, "the bridge does not answer as one does")
        return [(step, self._left(step, ports)) for step in awaited]

    def tell(self, found: list[tuple[AwaitedStep, list[PendingComponent]]]) -> None:
        """Answer the steps that are done, given up or late."""
        for step, left in found:
            late = self._clock() - self._since.get(step[:2], 0.0) > self._coordination.deadline
            if left and not late and not any(component.failed for component in left):
                continue
            try:
                self._application.answer(step, not_ready(left, self._coordination) if left else None)
            except OSError as error:
                LOG.warning("the journal cannot be written: %s", error.strerror)

    def _left(self, step: AwaitedStep, ports: Mapping[str, str]) -> list[PendingComponent]:
        if step.node not in ports:
            return [PendingComponent(f"the bridge has no station port {step.node}", False)]
        left: list[PendingComponent] = []
        for vsi in step.vsis:
            try:
                path = steps_path(self._coordination, vsi, ports[step.node])
                left += pending(self._coordination, step.step, self._ask(path))
            except OSError as error:
                left.append(PendingComponent(f"the NMS does not answer: {error}", False))
            except (KeyError, TypeError):
                left.append(PendingComponent("the NMS does not answer as one does", False))
        return left


def _without_ports(awaited: list[AwaitedStep], words: str) -> list[tuple[AwaitedStep, list[PendingComponent]]]:
    """All steps wait on, each until it is late."""
    return [(step, [PendingComponent(words, False)]) for step in awaited]
