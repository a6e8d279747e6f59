"""What each switch should hold and how far it has got: read, install, ready.

Nothing is wiped when a switch connects.  What it still holds of ours is read first; what is wanted
is written over it; what nobody claims within a grace period is swept by cookie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from ryu_apps.evb.flow.pipeline import OURS, Kind, parse_cookie
from ryu_apps.evb.flow.plan import RuleSet, difference
from ryu_apps.evb.flow.rule import Change, CookieMask, Group, Meter
from ryu_apps.evb.io import Apply, FrameReceived, Mode, ReadRules

#: Frames kept while a switch is being brought up.
MAX_EARLY_FRAMES = 1000


class Readiness(Enum):
    """How far a switch has got since it connected."""

    READING = "reading"
    INSTALLING = "installing"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything a switch should hold."""

    rules: RuleSet
    groups: tuple[Group, ...]
    meters: tuple[Meter, ...]


@dataclass(eq=False, slots=True)
class SwitchState:
    """One connected switch.

    Attributes:
        ports: port number -> link is up.
        token: of the change or read it is expected to answer.
        written: the rules last sent while it was being brought up.
        leftovers: cookies it held on connection that nobody has claimed.
        early: frames that came before it was ready.
    """

    dpid: int
    ports: dict[int, bool]
    readiness: Readiness = Readiness.READING
    token: int = 0
    written: RuleSet = field(default_factory=dict)
    leftovers: frozenset[int] = frozenset()
    early: list[FrameReceived] = field(default_factory=list)


class Bringup:
    """Takes switches from "connected" to "ready"."""

    def __init__(self, wanted: Callable[[int], Wanted], next_token: Callable[[], int]) -> None:
        self._wanted = wanted
        self._next_token = next_token
        self.switches: dict[int, SwitchState] = {}

    def ready(self, dpid: int) -> bool:
        """Whether the switch holds what it should and may be changed step by step."""
        state = self.switches.get(dpid)
        return state is not None and state.readiness is Readiness.READY

    def connected(self, dpid: int, ports: dict[int, bool]) -> ReadRules:
        """A switch is there: ask what it holds."""
        state = self.switches[dpid] = SwitchState(dpid, dict(ports), token=self._next_token())
        return ReadRules(dpid, state.token, OURS)

    def read(self, dpid: int, token: int, cookies: frozenset[int]) -> Apply | None:
        """It has told: write what is missing."""
        state = self.switches.get(dpid)
        if state is None or state.token != token:
            return None
        state.leftovers = cookies
        state.readiness = Readiness.INSTALLING
        return self._install(state)

    def installed(self, dpid: int, token: int) -> Apply | SwitchState | None:
        """It has confirmed; what has changed meanwhile is written too.

        Returns:
            The next change, or the state of a switch that has just become ready.
        """
        state = self.switches.get(dpid)
        if state is None or state.token != token or state.readiness is not Readiness.INSTALLING:
            return None
        again = self._install(state)
        if again is not None:
            return again
        state.readiness = Readiness.READY
        return state

    def gone(self, dpid: int) -> SwitchState | None:
        """The switch is not there any more."""
        return self.switches.pop(dpid, None)

    def unclaimed(self, dpid: int) -> tuple[CookieMask, ...]:
        """What the switch held on connection and nobody wants: one mask an owner."""
        state = self.switches[dpid]
        claimed = {rule.cookie for rule in self._wanted(dpid).rules.values()}
        return tuple(CookieMask(cookie, (1 << 64) - 1) for cookie in sorted(state.leftovers - claimed))

    def _install(self, state: SwitchState) -> Apply | None:
        wanted = self._wanted(state.dpid)
        change = difference(state.written, wanted.rules)
        if not state.written:
            change = Change(wanted.meters, wanted.groups, (), change.add, change.remove)
        elif not change:
            return None
        state.written = wanted.rules
        state.token = self._next_token()
        return Apply(state.dpid, state.token, change, Mode.BULK)


def owners(cookies: Iterable[int], kind: Kind) -> set[int]:
    """The owners of a kind that have rules among these cookies."""
    parsed = (parse_cookie(cookie) for cookie in cookies)
    return {one.owner for one in parsed if one is not None and one.kind is kind}
