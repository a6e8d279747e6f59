"""Clusters for the nemesis: one bridge at two switches, or three bridges at three switches with drawn settings."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Converge, Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import GateMode, Switch
from ryu_apps.testbed.faults.members import MembersRig
from ryu_apps.testbed.faults.rig import HOMES, Rig
from ryu_apps.testbed.short_timers import QUICK
from ryu_apps.topologies import two_switch

#: Hypervisors with no bystander.
PLACES = ("hv1", "hv2", "hv5", "hv6")
#: Seconds that a member waits for the leader: more than by default, since the lead is to change by faults alone.
PATIENCE = 2.0
#: Seconds that a take-over takes at the most where much else runs.
TAKE_OVER = 10.0
#: The switch of the end systems, and the first of its trunks.
_THIRD, _TRUNKS = 3, 71


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the bridges.

    Attributes:
        converge: how the third switch follows a move.
        gate: what opens the gates of all switches.
    """

    converge: Converge = Converge.SWITCH
    gate: GateMode = GateMode.RULES

    @classmethod
    def drawn(cls, draw: random.Random) -> Settings:
        """Return settings by chance."""
        return cls(draw.choice(list(Converge)), draw.choice(list(GateMode)))

    def __str__(self) -> str:
        return f"converge: {self.converge.value}, gate: {self.gate.value}"


def rig_for(folder: Path, timers: Timers = QUICK) -> Rig:
    """Roamers' stations with the shortest timers, so that what has to expire does so while we wait, or with others."""
    return Rig(folder, _timers(timers))


def members_rig_for(folder: Path, settings: Settings, timers: Timers = QUICK) -> MembersRig:
    """As :func:`rig_for`, with three bridges and three switches."""
    return MembersRig(folder, _timers(timers), PATIENCE, triangle(settings))


def _timers(timers: Timers) -> dict[str, Timers]:
    # Bystanders repeat their Associates before the unclaimed rules of a lost state are deleted.
    return dict.fromkeys(HOMES.values(), Timers()) | dict.fromkeys(PLACES, timers)


def triangle(settings: Settings) -> Fabric:
    """Describe ``two_switch`` with its end systems at a third switch, which is neither end of any move."""
    two = two_switch.fabric(8)
    hosts, switches = {}, {}
    for dpid, switch in two.switches.items():
        here = dict(switch.interfaces)
        hosts[dpid] = here.pop(two_switch.HOST_PORT)
        here[_TRUNKS] = Interface(_TRUNKS, "s3", Role.TRUNK, peer=PortId(_THIRD, _TRUNKS + dpid))
        switches[dpid] = replace(switch, interfaces=here, gate=settings.gate)
    third = {dpid: replace(host, port_no=dpid) for dpid, host in hosts.items()}
    for dpid in two.switches:
        number = _TRUNKS + dpid
        third[number] = Interface(number, f"s{dpid}", Role.TRUNK, peer=PortId(dpid, _TRUNKS))
    switches[_THIRD] = Switch(_THIRD, "s3", third, gate=settings.gate)
    return replace(two, switches=switches, converge=settings.converge)
