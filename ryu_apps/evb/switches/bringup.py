"""Bring-up of switches after they connect: read, install, ready.

Nothing is wiped when a switch connects.  Its rules with a cookie of evbridge are read first, and only the difference to
the desired rules is written; a switch with exactly the desired rules is sent no flow-mod.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum

from ryu_apps.evb.events.effect import Apply, Mode, ReadRules
from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.flow.plan import RuleSet, difference, merge
from ryu_apps.evb.flow.rule import CookieMask, Group, Meter, Rule
from ryu_apps.evb.flow.shown import ShownRules
from ryu_apps.evb.model import Binding
from ryu_apps.evb.pipeline.tables import OURS, CookieKind, Table, parse_cookie
from ryu_apps.evb.switches.desired_state import DesiredState
from ryu_apps.evb.switches.recovery import Patience
from ryu_apps.evb.switches.shown_gates import place_of, places_of_gates, rivals, ways
from ryu_apps.evb.tokens import TokenOwner, TokenTable
from ryu_apps.evb.topology.port_id import PortId

#: A mask that covers one cookie.
_EXACTLY = (1 << 64) - 1
#: The token of a question that has yet to be asked.
_NOT_ASKED = 0
#: Kinds of rules that bear index and generation of a program.
_OF_PROGRAMS = (CookieKind.VSI_BODY, CookieKind.GATE, CookieKind.STATE)
#: Frames kept while a switch is being brought up.
MAX_EARLY_FRAMES = 1000


class Readiness(Enum):
    """Stage of the bring-up of a switch."""

    READING = "reading"
    INSTALLING = "installing"
    READY = "ready"


@dataclass(eq=False, slots=True)
class SwitchState:
    """One connected switch.

    Attributes:
        ports: port number -> link is up.
        patience: which rules without a record are left for a while.
        token: of the change or read it is expected to answer.
        written, groups: the rules and groups it holds as far as was read and sent while it was being brought up; rules
            are forgotten when it is ready.
        wanted: what it should hold, as composed last while it was being brought up.
        learns: cookies under which it may hold more, as far as was known then.
        meters: that it has shown, and was sent while it was being brought up; None: it did not show any.
        unclaimed: rules without a record that it had when it connected, left for now.
        gates: (VID, MAC) of gates among them that no VSI has opened anew -> the station ports at which they let it in.
        early: frames that came before it was ready.
        added, removed: rules since it was read.
        altered: it was changed by others since it was read.
        until: it is not read before, monotonic seconds.
        taken_over: another bridge with the same records has served it until just now, on whose behalf stations may be
            answered before it has been read.
        hastened: a request waits for it.
    """

    dpid: int
    ports: dict[int, bool]
    patience: Patience
    readiness: Readiness = Readiness.READING
    token: int = 0
    written: RuleSet = field(default_factory=dict)
    wanted: DesiredState | None = None
    groups: frozenset[Group] = frozenset()
    learns: frozenset[int] = frozenset()
    meters: frozenset[Meter] | None = None
    unclaimed: RuleSet = field(default_factory=dict)
    gates: dict[tuple[int, int], frozenset[int]] = field(default_factory=dict)
    early: list[FrameReceived] = field(default_factory=list)
    added: int = 0
    removed: int = 0
    altered: bool = False
    until: float = 0.0
    taken_over: bool = False
    hastened: bool = False


class Bringup:
    """Takes switches from "connected" to "ready".

    Attributes:
        owner: component that the answers of the switches are for.
        switches: the connected switches, by datapath id.
    """

    def __init__(
        self,
        wanted: Callable[[int, DesiredState | None], DesiredState],
        tokens: TokenTable,
        ended: Container[tuple[int, int]] = (),
    ) -> None:
        """
        Args:
            wanted: the desired state of a switch, with what is still right of an earlier one.
            ended: index and generation of programs that this controller has removed, so that no station claims them.
        """
        self.owner = TokenOwner()
        self.switches: dict[int, SwitchState] = {}
        self._wanted = wanted
        self._tokens = tokens
        self._ended = ended

    def ready(self, dpid: int) -> bool:
        """Return True if the switch has its desired rules and may be changed step by step."""
        state = self.switches.get(dpid)
        return state is not None and state.readiness is Readiness.READY

    def connected(
        self, dpid: int, ports: dict[int, bool], patience: Patience, early: list[FrameReceived] | None = None
    ) -> ReadRules:
        """A switch is there: ask what it holds.

        Args:
            patience: rules without a record that are left for now; a VSI may still claim them.
            early: frames that have waited through an earlier attempt.
        """
        self._give_back(dpid)
        state = SwitchState(dpid, dict(ports), patience, token=self._tokens.take(self.owner), early=early or [])
        self.switches[dpid] = state
        return ReadRules(dpid, state.token, OURS)

    def hold(self, dpid: int, until: float) -> None:
        """A switch that is ready is not any more; when nothing is under way, and not before, it will be read."""
        state = self.switches[dpid]
        state.readiness, state.token, state.until = Readiness.READING, _NOT_ASKED, until

    def held(self, dpid: int, now: float) -> bool:
        """Return True if a switch can be read now and has not been queried yet."""
        state = self.switches.get(dpid)
        unasked = state is not None and state.readiness is Readiness.READING and state.token == _NOT_ASKED
        return state is not None and unasked and state.until <= now

    def show_meters(self, dpid: int, meters: Iterable[Meter] | None) -> None:
        """Note the meters that a switch shows beside its rules; None: it did not show any."""
        if state := self.switches.get(dpid):
            state.meters = None if meters is None else frozenset(meters)

    def shown_meters(self, dpid: int) -> frozenset[Meter] | None:
        """Return the meters that a switch has shown beside its rules; None: it did not show any."""
        state = self.switches.get(dpid)
        return None if state is None else state.meters

    def read(self, dpid: int, token: int, shown: ShownRules) -> Apply | None:
        """Write the difference between the rules read and the desired ones."""
        state = self.switches.get(dpid)
        if state is None or state.token != token:
            return None
        wanted = state.wanted = self._wanted(dpid, None)
        state.written = wanted.judged(shown)
        if state.patience is not Patience.NONE:
            others = rivals(state.written, wanted.rules.values())
            state.unclaimed = {
                key: rule
                for key, rule in (state.written if state.patience is Patience.ALL else ways(state.written)).items()
                if key not in wanted.rules and key not in others and self._claimable(rule)
            }
        if state.patience is Patience.ALL:
            state.gates = places_of_gates(state.unclaimed.values())
        state.readiness = Readiness.INSTALLING
        step = replace(
            self._step(state, wanted),
            counters=wanted.counters,
            # Rules that may yet be claimed name them.
            keep_meters=None if state.unclaimed else wanted.keep_meters,
            keep_groups=None if state.unclaimed else wanted.keep_groups,
        )
        return self._write(state, step)

    def installed(self, dpid: int, token: int) -> Apply | SwitchState | None:
        """It has confirmed; what has changed meanwhile is written too.

        Returns:
            The next change, or the state of a switch that has just become ready, or has to be read again.
        """
        state = self.switches.get(dpid)
        if state is None or state.token != token or state.readiness is not Readiness.INSTALLING:
            return None
        wanted = state.wanted = self._wanted(dpid, state.wanted)
        if step := self._step(state, wanted):
            return self._write(state, replace(step, counters=wanted.counters))
        if not state.altered:
            state.readiness = Readiness.READY
        return state

    def forget(self, dpid: int) -> int:
        """Forget the rules of a switch that is ready, which may be megabytes; returns their number."""
        state = self.switches[dpid]
        number, state.written, state.wanted = len(state.written), {}, None
        return number

    def awaits(self, dpid: int, token: int) -> bool:
        """Return True if a token is that of the change that completes the bring-up."""
        state = self.switches.get(dpid)
        return state is not None and state.token == token and state.readiness is Readiness.INSTALLING

    def gone(self, dpid: int) -> SwitchState | None:
        """The switch is not there any more."""
        self._give_back(dpid)
        return self.switches.pop(dpid, None)

    def undisputed(self, dpid: int, change: RuleChange) -> RuleChange:
        """Add to a change the removal of unclaimed gates of a VSI that the change makes active elsewhere."""
        state = self.switches.get(dpid)
        if state is None or not state.unclaimed:
            return change
        for rule in change.add:
            if place := place_of(rule, Table.FORWARD, "eth_dst"):
                state.gates.pop(place, None)
        others = rivals(state.unclaimed, change.add)
        if not others:
            return change
        state.unclaimed = {key: rule for key, rule in state.unclaimed.items() if key not in others}
        return merge(change, RuleChange(remove=tuple(others.values())))

    def abandoned(self, dpid: int, last: bool) -> RuleChange:
        """Remove the rules without a record that no VSI has claimed in time.

        Args:
            last: ways to VSIs of other switches, too; False: their stations may yet claim them.
        """
        state = self.switches[dpid]
        if not state.unclaimed:
            return RuleChange()
        wanted = self._wanted(dpid, None)
        left, state.unclaimed, state.gates = state.unclaimed, {} if last else ways(state.unclaimed), {}
        gone = (rule for key, rule in left.items() if key not in wanted.rules and key not in state.unclaimed)
        remove = wanted.removal(gone)
        return replace(remove, keep_meters=wanted.keep_meters, keep_groups=wanted.keep_groups)

    def lives_elsewhere(self, port: PortId, bindings: Iterable[Binding]) -> str | None:
        """Place of the addresses of a request according to a gate without a record; None: this port, or none.

        A gate at the request's own switch names the other switch, which may be away; only that one has the port.
        """
        wanted = [(VLAN_PRESENT | binding.vid, binding.mac) for binding in bindings if binding.mac is not None]
        gates = {dpid: state.gates for dpid, state in self.switches.items()}
        found = [(dpid, known[address]) for dpid, known in gates.items() for address in wanted if address in known]
        ports = [PortId(dpid, port_no) for dpid, open_at in found for port_no in open_at]
        if port in ports:
            return None
        if ports:
            return str(ports[0])
        return "another switch" if any(dpid == port.dpid for dpid, _ in found) else None

    def _give_back(self, dpid: int) -> None:
        """Give the token back that a switch may never answer: its channel is gone, or what it shows is out of date."""
        if (state := self.switches.get(dpid)) is not None:
            self._tokens.give_back(state.token)

    def _claimable(self, rule: Rule) -> bool:
        """Return True if a VSI may still claim a rule without a record.

        Not a detour, which is removed before a gate opens; nor rules of a program that this process has removed.
        """
        owner = parse_cookie(rule.cookie)
        if owner is None or owner.kind is CookieKind.DETOUR:
            return False
        return owner.kind not in _OF_PROGRAMS or (owner.owner, owner.generation) not in self._ended

    def _step(self, state: SwitchState, wanted: DesiredState) -> RuleChange:
        change = difference(state.written, wanted.rules)
        kept, groups = state.unclaimed, tuple(group for group in wanted.groups if group not in state.groups)
        meters = wanted.missing_meters(state.meters or ())
        remove = wanted.removal(rule for rule in change.remove if rule.key not in kept)
        # What was not compared with anything, since it might have been learnt: of programs that have gone meanwhile.
        sweep = tuple(CookieMask(cookie, _EXACTLY) for cookie in sorted(state.learns - wanted.learns))
        gone = tuple(sorted({group.group_id for group in state.groups} - wanted.keep_groups))
        state.written, state.groups, state.learns = {**kept, **wanted.rules}, frozenset(wanted.groups), wanted.learns
        written = {meter.meter_id for meter in meters}
        state.meters = frozenset(meters).union(m for m in state.meters or () if m.meter_id not in written)
        state.added, state.removed = state.added + len(change.add), state.removed + len(remove.remove)
        swept = (*remove.delete_by_cookie, *sweep)
        return replace(remove, meters=meters, groups=groups, add=change.add, delete_by_cookie=swept, delete_groups=gone)

    def _write(self, state: SwitchState, step: RuleChange) -> Apply:
        state.token = self._tokens.take(self.owner)
        return Apply(state.dpid, state.token, step, Mode.BULK)
