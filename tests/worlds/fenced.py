"""Several bridges at the same switches in memory, which give the role MASTER to one of them (OpenFlow 1.3, 6.3.5)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ryu_apps.evb.events.effect import Apply, Effect, RequestRole, SendFrame, StandAside, Survey
from ryu_apps.evb.events.switch import ChannelUp, ControllerRole, Rejected, RoleLost, RoleRefused, RoleShown, SwitchDown
from ryu_apps.evb.generation import begin_life, newer
from ryu_apps.evb.switches.recovery import UNKNOWN
from tests.worlds.bridge import World


@dataclass
class RoleSwitch:
    """A switch and its controllers.

    Attributes:
        generation: the newest that it was told.
        roles: of each connected bridge.
        tells: it says when it makes a bridge a SLAVE.
        knows_roles: it has roles at all.
    """

    generation: int | None = None
    roles: dict[int, ControllerRole] = field(default_factory=dict)
    tells: bool = True
    knows_roles: bool = True


@dataclass
class Site:
    """Switches that bridges share.

    Attributes:
        switches: by datapath id.
        bridges: those that were started, the oldest first.
        written: number of the bridge and datapath id of each change that a switch has carried out.
        clock: Unix time in ms.
    """

    switches: dict[int, RoleSwitch] = field(default_factory=dict)
    bridges: list[FencedBridge] = field(default_factory=list)
    written: list[tuple[int, int]] = field(default_factory=list)
    clock: int = 1_700_000_000_000

    def start(self, records: dict[str, bytes] | None = None, clock: int | None = None) -> FencedBridge:
        """Start a bridge; ``records``: what its store holds, None: a new one."""
        self.clock += 1000
        known = {key: value for key, value in UNKNOWN.items() if value is not None} if records is None else records
        life = begin_life(known, self.clock if clock is None else clock, len(self.bridges), UNKNOWN)
        stored = {key: value for key, value in {**known, **life.changes}.items() if value is not None}
        bridge = FencedBridge(site=self, number=len(self.bridges), life=life)
        self.bridges.append(bridge)
        bridge.store = stored
        bridge.engine = bridge._new_engine(dict(stored))
        if bridge.number:
            bridge.tables, bridge.gauges = self.bridges[0].tables, self.bridges[0].gauges
        return bridge


@dataclass
class FencedBridge(World):
    """A bridge that asks its switches for MASTER.

    Attributes:
        site: the switches.
        number: among the bridges of the site.
        mute: datapaths whose replies to requests for roles are lost.
        requests: roles that it has asked for.
    """

    site: Site = field(default_factory=Site)
    number: int = 0
    mute: set[int] = field(default_factory=set)
    requests: list[RequestRole] = field(default_factory=list)

    def connect(self, *dpids: int) -> None:
        """As of any bridge, but a switch is only served when it has granted a role."""
        for dpid in dpids or self.fabric.switches:
            self.at(dpid).roles[self.number] = ControllerRole.EQUAL
            self.feed(ChannelUp(dpid))

    def disconnect(self, dpid: int) -> None:
        self.at(dpid).roles.pop(self.number, None)
        super().disconnect(dpid)

    def die(self) -> None:
        """End as with SIGKILL; the store is what it was."""
        for switch in self.site.switches.values():
            switch.roles.pop(self.number, None)

    def at(self, dpid: int) -> RoleSwitch:
        return self.site.switches.setdefault(dpid, RoleSwitch())

    def role(self, dpid: int) -> ControllerRole | None:
        return self.at(dpid).roles.get(self.number)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case RequestRole():
                self.requests.append(effect)
                answer = self._answered(effect)
                if effect.dpid not in self.mute:
                    self.feed(answer)
            case Survey(dpid):
                super().connect(dpid)
            case StandAside(dpid):
                lost = [apply for apply in self.held if apply.dpid == dpid]
                self.held = [apply for apply in self.held if apply.dpid != dpid]
                for asked in lost:
                    self.feed(Rejected(dpid, asked.token, "not MASTER"))
            case Apply(dpid, token) if self.role(dpid) in (ControllerRole.SLAVE, None):
                if self.role(dpid):
                    self.feed(RoleLost(dpid))
                self.feed(Rejected(dpid, token, "OFPBRC_IS_SLAVE"))
            case SendFrame(port) if self.role(port.dpid) in (ControllerRole.SLAVE, None):
                if self.role(port.dpid):
                    self.feed(RoleLost(port.dpid))
            case Apply(dpid):
                assert self.engine.fencing.serves(dpid), "a change without a role"
                self.site.written.append((self.number, dpid))
                super()._perform(effect)
            case SendFrame(port):
                assert self.engine.fencing.serves(port.dpid), "a frame without a role"
                super()._perform(effect)
            case _:
                super()._perform(effect)

    def _answered(self, asked: RequestRole) -> RoleShown | RoleRefused:
        at = self.at(asked.dpid)
        if not at.knows_roles:
            return RoleRefused(asked.dpid, False, "OFPET_ROLE_REQUEST_FAILED, OFPRRFC_UNSUP")
        if asked.role in (ControllerRole.MASTER, ControllerRole.SLAVE):
            if at.generation is not None and newer(at.generation, asked.generation):
                return RoleRefused(asked.dpid, True, "OFPET_ROLE_REQUEST_FAILED, OFPRRFC_STALE")
            at.generation = asked.generation
        if asked.role is ControllerRole.MASTER:
            for other, role in at.roles.items():
                if other != self.number and role is ControllerRole.MASTER:
                    at.roles[other] = ControllerRole.SLAVE
                    if at.tells:
                        self.site.bridges[other].feed(RoleLost(asked.dpid))
        if asked.role is not ControllerRole.NOCHANGE:
            at.roles[self.number] = asked.role
        return RoleShown(asked.dpid, at.roles[self.number], at.generation)


def gone(bridge: FencedBridge) -> None:
    """The channels of a bridge end without its notice, as while it is stopped; then it hears of it."""
    for dpid in list(bridge.site.switches):
        bridge.at(dpid).roles.pop(bridge.number, None)
        bridge.feed(SwitchDown(dpid))
