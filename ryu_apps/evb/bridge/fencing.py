"""Fencing: this bridge serves switches only as their MASTER, and none any more when another one is newer.

A standby of a cluster is a bridge that has been superseded from the start: who leads is nothing to be told of.
A bridge that has been superseded at one switch stands aside at all of them, until it is started anew: the newer one
opens gates there, which this one could neither see nor shut.
"""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.evb.bridge.chores import Agenda, Chore
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.switches import SwitchSuperseded, SwitchTakenOver, SwitchUnfenced
from ryu_apps.evb.events.effect import RequestRole, Save, StandAside, Survey
from ryu_apps.evb.events.switch import ControllerRole, RoleLost, RoleRefused, RoleShown
from ryu_apps.evb.generation import SALT_BITS, Life, following, left_to, newer, taken_over, text
from ryu_apps.evb.switches.mastership import (
    Ask,
    Do,
    Learnt,
    Mastership,
    MastershipInput,
    MastershipOutput,
    MastershipState,
)
from ryu_apps.evb.tokens import TokenTable


class Fencing:
    """Roles of this bridge at all switches.

    Attributes:
        generation: of this bridge.
        superseded: another one is newer; this one stands aside.
        newest: generation of the other one; None: not superseded, or not known yet.
        standby: the other one is the leader of the cluster, not a stranger.
        switches: those that are connected, by datapath id.
    """

    def __init__(
        self,
        life: Life,
        retreat: Callable[[int, float], None],
        tokens: TokenTable,
        effects: EffectSink,
        agenda: Agenda,
        proving: frozenset[int] = frozenset(),
    ) -> None:
        """
        Args:
            life: this one.
            retreat: takes note that a switch is not served any more.
            proving: switches that have to prove that gates may open by meters.
        """
        self.switches: dict[int, Mastership] = {}
        self.begin(life)
        self._retreat = retreat
        self._tokens = tokens
        self._effects = effects
        self._agenda = agenda
        self._proving = proving
        self._left: list[int] = []
        self._told: set[int] = set()

    def begin(self, life: Life) -> None:
        """Begin a life, before a switch has connected."""
        self.generation = life.generation
        self.superseded = self.standby = life.standby
        self.newest = life.generation if life.standby else None
        # A store that remembers no life may be a lost one: then a switch may know an earlier life of this bridge.
        self._may_take_over = not life.remembers

    def go_on(self, before: Fencing) -> None:
        """Go on with what another engine of the same life has learnt, before a switch has connected to this one."""
        self.generation, self.superseded, self.newest = before.generation, before.superseded, before.newest
        self._may_take_over = before._may_take_over

    def serves(self, dpid: int) -> bool:
        """Return True unless a switch belongs to another bridge, or has not said yet to whom."""
        at = self.switches.get(dpid)
        return not self.superseded and (at is None or at.serving)

    # --- events ---
    def up(self, dpid: int, now: float) -> None:
        """A switch has connected: ask for MASTER, or submit if this bridge is superseded."""
        self.down(dpid)
        self.switches[dpid] = Mastership()
        self._feed(dpid, MastershipInput.SUPERSEDED if self.superseded else MastershipInput.CONNECTED, now)

    def down(self, dpid: int) -> None:
        """Forget a switch whose channel is gone."""
        if self.switches.pop(dpid, None) is not None:
            self._agenda.set((Chore.ROLE, dpid), None)
            self._told.discard(dpid)

    def role(self, event: RoleShown | RoleRefused | RoleLost, now: float) -> None:
        """Take what a switch says of roles."""
        match event:
            case RoleShown():
                self._shown(event, now)
            case RoleRefused():
                self._refused(event, now)
            case RoleLost(dpid):
                self._lost(dpid, now)

    def _shown(self, event: RoleShown, now: float) -> None:
        """Take the reply of a switch to a request."""
        if (at := self.switches.get(event.dpid)) is not None:
            self._carry_out(event.dpid, at.shown(event, now), now)
            self._leave(now)

    def _refused(self, event: RoleRefused, now: float) -> None:
        """Take the refusal of a request."""
        if event.dpid in self.switches:
            before = self.switches[event.dpid].state
            self._feed(event.dpid, MastershipInput.STALE if event.stale else MastershipInput.UNSUPPORTED, now)
            after = self.switches[event.dpid].state
            if after is not before and after is MastershipState.UNFENCED:
                self._effects.put(SwitchUnfenced(event.dpid, event.reason))

    def _lost(self, dpid: int, now: float) -> None:
        """Another controller has become MASTER of a switch."""
        if dpid in self.switches:
            self._feed(dpid, MastershipInput.DEMOTED, now)

    def tick(self, dpid: int, now: float) -> None:
        """Repeat a request that was not answered, or look what role this bridge has."""
        if dpid in self.switches:
            self._feed(dpid, MastershipInput.TICK, now)

    # --- what the machines say ---
    def _feed(self, dpid: int, given: MastershipInput, now: float) -> None:
        self._carry_out(dpid, self.switches[dpid].feed(given, None, now), now)
        self._leave(now)

    def _carry_out(self, dpid: int, outputs: list[MastershipOutput], now: float) -> None:
        for output in outputs:
            match output:
                case Ask(role):
                    self._ask(dpid, role)
                case Do.SERVE:
                    self._may_take_over = False
                    self._effects.put(Survey(dpid, proof=dpid in self._proving))
                case Do.RETREAT:
                    self._effects.put(StandAside(dpid))
                    self._left.append(dpid)
                    self._supersede(dpid, now)
                case Learnt(generation):
                    self._learnt(dpid, generation, now)
        self._agenda.set((Chore.ROLE, dpid), self.switches[dpid].deadline)

    def _leave(self, now: float) -> None:
        """Take note of switches that are not served any more, when nothing can be sent to any of them any more."""
        left, self._left = self._left, []
        for dpid in left:
            self._retreat(dpid, now)

    def _ask(self, dpid: int, role: ControllerRole) -> None:
        if role is not ControllerRole.SLAVE:
            self._effects.put(RequestRole(dpid, role, self.generation))
        elif self.newest is None:
            # The switch that has told it went away before it said more.
            self._effects.put(RequestRole(dpid, ControllerRole.NOCHANGE, self.generation))
        else:
            self._effects.put(RequestRole(dpid, role, self.newest))
            if dpid not in self._told and not self.standby:
                self._told.add(dpid)
                self._effects.put(SwitchSuperseded(dpid, text(self.generation), text(self.newest)))

    def _learnt(self, dpid: int, generation: int | None, now: float) -> None:
        """A switch has said what its newest generation is."""
        if self._may_take_over and not self.superseded and generation is not None:
            self._take_over(dpid, generation, now)
            return
        self._supersede(dpid, now)
        learning = self.switches[dpid].state is MastershipState.LEARNING
        if generation is None or not newer(generation, self.generation):
            if not learning:
                return
            generation = self.generation
        if self.newest is None or newer(generation, self.newest):
            self.newest = generation
            if not self.standby:
                self._effects.put(Save(self._tokens.take(), left_to(generation)))
            for other in self.switches:
                self._input(other, MastershipInput.SUPERSEDED, now)
        elif learning:
            self._input(dpid, MastershipInput.SUPERSEDED, now)

    def _take_over(self, dpid: int, before: int, now: float) -> None:
        if newer(before, self.generation):
            self.generation = following(before, self.generation % (1 << SALT_BITS))
            self._effects.put(Save(self._tokens.take(), taken_over(self.generation)))
            self._effects.put(SwitchTakenOver(dpid, text(before), text(self.generation)))
        for other in self.switches:
            self._input(other, MastershipInput.RENEWED, now)

    def _supersede(self, dpid: int, now: float) -> None:
        """Stand aside at all switches; the one that has said so still has to say what its generation is."""
        if self.superseded:
            return
        self.superseded = True
        # At once: a bridge that is killed before it has learnt more starts without its grants.
        self._effects.put(Save(self._tokens.take(), left_to(self.generation)))
        for other in self.switches:
            if other != dpid:
                self._input(other, MastershipInput.SUPERSEDED, now)

    def _input(self, dpid: int, given: MastershipInput, now: float) -> None:
        self._carry_out(dpid, self.switches[dpid].feed(given, None, now), now)
