"""Questions about the vSwitches of a running bridge: members, VSIs, and their traffic as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.bridge.statistics_queries import CountedFrames, StatisticsQueries
from ryu_apps.evb.model import Phase
from ryu_apps.evb.pipeline.tables import Direction
from ryu_apps.evb.services.statistics.entries import DIRECTIONS
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.topology.vsi_ports import UNNAMED
from ryu_apps.evb.topology.vswitches import Vswitch
from ryu_apps.evb.vsi.registry import Attachment

_NONE = CountedFrames((0, 0), (0, 0), (0, 0))


class MemberStatus(NamedTuple):
    """One member of a vSwitch.

    Attributes:
        ready: it holds the rules that it should.
        uplinks: number of a trunk -> its link is up; None: not known.
        phases: its VSIs of this vSwitch.
    """

    switch: Switch
    ready: bool
    uplinks: Mapping[int, bool | None]
    phases: Mapping[Phase, int]


class VswitchVsi(NamedTuple):
    """A VSI at a member of a vSwitch.

    Attributes:
        vsi: canonical text.
        name: of the VM, if it is known.
        vsi_port: name of its port; None: not known yet.
        active: its gate is open there.
    """

    vsi: str
    name: str | None
    port: PortId
    vsi_port: str | None
    phase: Phase
    active: bool


class VswitchStatus(NamedTuple):
    """One vSwitch.

    Attributes:
        phases: VSIs at all members; one that moves from member to member is counted at both.
        counted: active VSIs with statistics.
        totals: sums of all VSIs with statistics for the times in which they were there.
        complete: no sum from before a restart can exceed these.
    """

    vswitch: Vswitch
    members: tuple[MemberStatus, ...]
    phases: Mapping[Phase, int]
    counted: int
    totals: Mapping[Direction, CountedFrames]
    complete: bool


class VswitchQueries:
    """The questions; see :class:`~ryu_apps.evb.bridge.queries.BridgeQueries`."""

    def __init__(self, engine: Engine, statistics: StatisticsQueries) -> None:
        self._engine, self._statistics = engine, statistics

    def all(self) -> list[VswitchStatus]:
        """Return all vSwitches, in the order of their names."""
        found = sorted(self._engine.fabric.vswitches, key=lambda vswitch: vswitch.name)
        if not found:
            return []
        phases: dict[tuple[str, int], Counter[Phase]] = {}
        active: dict[str, str] = {}
        for attachment in self._engine.registry.attachments():
            for vswitch in self._of(attachment):
                phases.setdefault((vswitch.name, attachment.port.dpid), Counter())[attachment.phase] += 1
                if attachment.vsi.owner is attachment:
                    active[attachment.text] = vswitch.name
        counted = Counter(active[counted.vsi] for counted in self._statistics.counted() if counted.vsi in active)
        sums, incomplete = self._statistics.sums()
        nothing = dict.fromkeys(DIRECTIONS, _NONE)
        return [
            VswitchStatus(
                vswitch,
                members := self._members(vswitch, phases),
                sum((Counter(member.phases) for member in members), Counter()),
                counted[vswitch.name],
                sums.get(vswitch.name, nothing),
                vswitch.name not in incomplete,
            )
            for vswitch in found
        ]

    def named(self, name: str) -> VswitchStatus | None:
        """Return the vSwitch of a name; None: there is none."""
        return next((status for status in self.all() if status.vswitch.name == name), None)

    def vsis(self, vswitch: Vswitch) -> list[VswitchVsi]:
        """Return the VSIs of a vSwitch, in the order of their texts; one that moves is there twice."""
        found = (_vsi(each) for each in self._engine.registry.attachments() if vswitch in self._of(each))
        return sorted(found, key=lambda vsi: (vsi.vsi, vsi.port))

    def _of(self, attachment: Attachment) -> tuple[Vswitch, ...]:
        return self._engine.vswitches.of(attachment.port.dpid, (binding.vid for binding in attachment.bindings))

    def _members(self, vswitch: Vswitch, phases: Mapping[tuple[str, int], Counter[Phase]]) -> tuple[MemberStatus, ...]:
        return tuple(
            self._member(vswitch, dpid, phases.get((vswitch.name, dpid), Counter())) for dpid in vswitch.members
        )

    def _member(self, vswitch: Vswitch, dpid: int, phases: Mapping[Phase, int]) -> MemberStatus:
        engine = self._engine
        switch, state = engine.fabric.switches[dpid], engine.bringup.switches.get(dpid)
        trunks = [interface for interface in switch.interfaces.values() if interface.role is Role.TRUNK]
        uplinks = {
            trunk.port_no: trunk.is_up(state.ports) if state else None
            for trunk in trunks
            if not vswitch.uplinks or trunk.port_no in vswitch.uplinks
        }
        return MemberStatus(switch, engine.bringup.ready(dpid), uplinks, dict(phases))


def _vsi(attachment: Attachment) -> VswitchVsi:
    return VswitchVsi(
        attachment.text,
        attachment.conversation.name,
        attachment.port,
        None if attachment.vsi_port == UNNAMED else attachment.vsi_port,
        attachment.phase,
        attachment.vsi.owner is attachment,
    )
