"""Mirrors: ports that receive copies of the frames of VSIs, and the way of a copy to them.

The body of a type names a mirror by a number made of its name, so it is the same at every switch; the rules here say
where that is.  Between switches a copy has a second tag outside its own, with a VID that nothing else uses, so no rule
for frames of VMs ever applies to it.  It leaves by the port of the mirror, and what that port sends is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from ryu_apps.evb.flow.actions import (
    Action,
    Bits,
    ClearInPort,
    Clone,
    Output,
    PopVlan,
    PushVlan,
    RegLoad,
    Resubmit,
    SetField,
)
from ryu_apps.evb.flow.match import VLAN_PRESENT, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.infrastructure import towards
from ryu_apps.evb.pipeline.tables import CookieKind, Direction, Priority, Table, cookie
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.topology.port_id import PortId

#: Bits of ``reg11``: the frame has been copied as one from its VSI, or as one to it.
COPIED = {Direction.FROM_VM: Bits("reg11", 3, 1), Direction.TO_VM: Bits("reg11", 4, 1)}
#: Register with the number of a mirror.
_NUMBER = "reg13"
#: Above all other rules of GUARD and OUTPUT.
PRIORITY = Priority.GUARD + 100

_COOKIE = cookie(CookieKind.INFRASTRUCTURE)


def mirror_number(name: str) -> int:
    """Return the number by which bodies name a mirror, 32 bits made of its name."""
    return int.from_bytes(sha256(name.encode()).digest()[:4])


def copied(name: str, direction: Direction, table: Table) -> Iterator[Action]:
    """Actions that send a copy to a mirror, then continue with the frame in a table."""
    done = COPIED[direction]
    # In a clone: the tag that a frame has in the pipeline is written into the frame by its next output, and counters
    # behind would count it.
    yield from (SetField(_NUMBER, mirror_number(name)), Clone(Table.MIRRORS))
    # A copy of a broadcast for another VSI comes after this one.
    yield from (RegLoad(done, 1), Resubmit(table), RegLoad(done, 0))


def mirrors(fabric: Fabric, dpid: int, wiring: TrunkGraph) -> Iterator[Rule]:
    """The rules of a switch for the mirrors of its fabric."""
    for name, port in fabric.mirrors.items():
        interface = fabric.interface(port)
        remote_vlan = interface.remote_vlan if interface is not None else None
        # A switch without registers has no VSI that is copied.
        sent = _sent(dpid, wiring, port, remote_vlan) if fabric.switches[dpid].extended else ()
        if sent:
            named = match(**{_NUMBER: mirror_number(name)})
            yield Rule(Table.MIRRORS, Priority.EXACT, named, _COOKIE, apply=sent)
        if remote_vlan is not None:
            yield from _arriving(dpid, wiring, port, remote_vlan)


def _sent(dpid: int, wiring: TrunkGraph, port: PortId, remote_vlan: int | None) -> tuple[Action, ...]:
    """Actions that send a copy of a frame of this switch; none: it has no way to the mirror."""
    if port.dpid == dpid:
        return (Output(port.port_no),)
    if remote_vlan is None or port.dpid not in wiring.others(dpid):
        return ()
    # A copy of what has come in by the trunk has to leave by it.
    tagged = PushVlan(), SetField("vlan_vid", VLAN_PRESENT | remote_vlan)
    return (ClearInPort(), *tagged, towards(wiring, dpid, port.dpid))


def _arriving(dpid: int, wiring: TrunkGraph, port: PortId, remote_vlan: int) -> Iterator[Rule]:
    """Rules for copies from trunks: to the mirror, or on towards it."""
    onward: tuple[Action, ...] = ()
    if port.dpid == dpid:
        onward = PopVlan(), Output(port.port_no)
    elif port.dpid in wiring.others(dpid):
        onward = (towards(wiring, dpid, port.dpid),)
    for trunk in wiring.trunks(dpid):
        for port_no in trunk.ports:
            # Above those for second tags and reserved addresses: the copy may have both.
            arriving = match(in_port=port_no, vlan_vid=VLAN_PRESENT | remote_vlan)
            yield Rule(Table.ADMIT, Priority.GUARD, arriving, _COOKIE, apply=onward)
