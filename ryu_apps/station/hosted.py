"""A VSI at the station service: what is wanted for it, what the bridge has granted, and which calls wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ryu_apps.evb.wire.filter_info import FilterInfo
from ryu_apps.evb.wire.port_name import PortName
from ryu_apps.station.calls import Answer, CallError, Verb
from ryu_apps.station.description import VsiDescription
from ryu_apps.station.filter_text import filter_to_text

#: Seconds until a VSI that lost its bridge is requested again: the first time, and at most.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
#: State of a VSI for which a verb is in force, for people and programs.
STATES = {Verb.PROBE: "probed", Verb.RESERVE: "reserved", Verb.ASSOCIATE: "associated", Verb.SUSPEND: "suspended"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that waits for its answer: its token, its verb, and the time by which it has to be answered."""

    token: int
    verb: Verb
    deadline: float


@dataclass(slots=True)
class HostedVsi:
    """One VSI.

    Attributes:
        description: of the first call.
        uplink: name of the interface.
        wanted: verb of the last call.
        migrating: M bit of its requests.
        asked: verb of the request that is not answered yet.
        in_force: verb of the last request that was granted; None: the bridge has nothing of it.
        proven: the bridge has granted it once, so a lost answer is no reason to end it.
        granted: filter with the values that the bridge has filled in.
        failure: kind and reason of the last failure.
        retry_at: time of the next attempt after a lost answer, or a port that was refused.
        port: the VM's port, if its name is known by the ``iface_id`` of the description.
        asked_port: that of the last request.
    """

    description: VsiDescription
    uplink: str
    wanted: Verb
    migrating: bool = False
    asked: Verb | None = None
    in_force: Verb | None = None
    proven: bool = False
    granted: FilterInfo | None = None
    failure: tuple[CallError, str] | None = None
    retry_at: float | None = None
    pause: float = FIRST_PAUSE
    waiting: list[Waiting] = field(default_factory=list)
    port: PortName | None = None
    asked_port: PortName | None = None

    @property
    def lacks_port(self) -> bool:
        """True if what is wanted has to wait until the name of its port is known."""
        by_id = self.description.iface_id is not None
        return by_id and self.port is None and self.wanted in (Verb.ASSOCIATE, Verb.SUSPEND)

    @property
    def renamed(self) -> bool:
        """True if the bridge has another port of it than the present one."""
        return self.in_force in (Verb.ASSOCIATE, Verb.SUSPEND) and self.port != self.asked_port

    @property
    def busy(self) -> bool:
        """True while the bridge has it, or a request is under way."""
        return self.asked is not None or self.in_force is not None

    @property
    def ended(self) -> bool:
        """True if neither end has anything of it: it is listed for its reason."""
        return not (self.busy or self.proven or self.lacks_port)

    @property
    def state(self) -> str:
        """State in one word."""
        if self.asked is Verb.RELEASE:
            return "releasing"
        if self.in_force is not None:
            return STATES[self.in_force]
        if self.asked is not None or self.failure is None:
            return "asking"
        return self.failure[0].value

    def to_json(self) -> dict[str, Any]:
        """State, uplink and the values that the bridge has filled in."""
        body: dict[str, Any] = {"vsi": str(self.description.vsi_id), "state": self.state, "uplink": self.uplink}
        body["migrating"] = self.migrating
        if self.granted is not None:
            body["filters"] = list(filter_to_text(self.granted))
        if self.description.iface_id is not None:
            body["port"] = None if self.port is None else self.port.name
        if self.in_force is None and self.failure is not None:
            body["reason"] = self.failure[1]
        return body

    def ask(self, verb: Verb) -> None:
        """Note that a request is under way."""
        self.asked, self.retry_at, self.asked_port = verb, None, self.port

    def grant(self, granted: FilterInfo) -> None:
        """Note that the request under way has been granted."""
        self.in_force, self.asked = self.asked or self.in_force, None
        self.proven, self.granted, self.failure, self.pause = True, granted, None, FIRST_PAUSE

    def lose(self, error: CallError, reason: str) -> None:
        """Note that the bridge has nothing of it any more."""
        self.asked = self.in_force = self.granted = None
        self.failure = (error, reason)

    def retry(self, now: float) -> None:
        """Request it again after a pause that doubles.  The VM is not on its way any more: no M bit."""
        self.retry_at, self.migrating = now + self.pause, False
        self.pause = min(2 * self.pause, LONGEST_PAUSE)

    def answered(self, chosen: Callable[[Waiting], bool]) -> list[Waiting]:
        """Remove and return the calls that are answered now."""
        answered = [waiting for waiting in self.waiting if chosen(waiting)]
        self.waiting = [waiting for waiting in self.waiting if waiting not in answered]
        return answered

    def success(self) -> Answer:
        """The answer to a call whose verb is in force."""
        return Answer(None, "", self.to_json())
