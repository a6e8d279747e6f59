"""Resources that a program needs of the switches, as demands for a reservation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from ryu_apps.evb.flow.change import RuleBlock
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.policy.kept import kept_by_type
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.body import (
    Shape,
    counters_of_vsi,
    entry_of,
    learnt_capacity,
    meters_of_vsi,
    room_for,
    shape_of,
)
from ryu_apps.evb.topology.switch import Profile
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.reservation import GROUPS, METERS, Amounts, Demand, SwitchResource, in_tables

#: Rules of the gate on the VSI's own switch for each (VID, MAC), by table: one in, one out, and two to flood at the
#: most (those of a VID, and of a page, are shared).  On every other switch it is one.
GATE_TABLES = (Table.INGRESS, Table.FORWARD, Table.FLOOD_VID, Table.FLOOD_PAGE)
#: The same without extensions, where those to flood are reserved for a VID (:class:`.flood_rooms.FloodRooms`).
_PLAIN_GATE_TABLES = (Table.INGRESS, Table.FORWARD)
#: Rules of the VSI port itself: station protocols, tags.
_VSI_PORT_TABLES = {Table.ADMIT: 7, Table.OUTPUT: 2}
_REMOTE_TABLES = (Table.FORWARD,)
#: Blocks of type rules whose tables are remembered: they may have thousands of rules.
_BLOCKS = 64


def of_type(dpid: int, epoch: int, block: RuleBlock) -> Demand:
    """Return the demand for the rules that all VSIs of a type share on a switch."""
    return Demand(dpid, ("type", epoch), _amounts_of_block(block))


def of_vsi(
    dpid: int, profile: Profile, others: Iterable[int], program: Installation, own: Iterable[Rule]
) -> list[Demand]:
    """Return the demands for one VSI at a switch and on all others; ``own``: the rules of its body."""
    vsi_type, binding = program.vsi_type, program.binding
    shape, tables = shape_of(binding.bindings), tuple(rule.table for rule in own)
    # Not counted anew for each of thousands of VSIs of a type.
    meters = len(meters_of_vsi(vsi_type, binding)) + len(counters_of_vsi(vsi_type, binding))
    here, elsewhere = _amounts(
        vsi_type, profile, shape, tables, len(binding.priorities), bool(binding.vsi_port), meters
    )
    owner = "vsi", binding.vsi_index
    return [Demand(dpid, owner, here), *(Demand(other, owner, elsewhere) for other in others)]


@kept_by_type
def _amounts(
    vsi_type: VsiType,
    profile: Profile,
    shape: Shape,
    own: tuple[int, ...],
    priorities: int,
    vsi_port: bool,
    meters: int,
) -> tuple[Amounts, Amounts]:
    """Return the amounts for one VSI at its switch and on any other; ``own``: the tables of the rules of its body."""
    groups = room_for(vsi_type, shape)
    rules = Counter[int](own)
    gate = GATE_TABLES if profile is Profile.OPEN_VSWITCH else _PLAIN_GATE_TABLES
    rules += _each(gate, shape.addresses) + learnt_capacity(vsi_type) + groups.here
    # Frames that have passed an appliance have a VID of their own.
    steered = Counter[int]({Table.FORWARD: shape.addresses} if entry_of(vsi_type) is Table.STEER else {})
    rules += steered
    # A default priority takes another rule of the gate.
    rules[Table.INGRESS] += priorities
    if vsi_port:
        rules += Counter(_VSI_PORT_TABLES)
    here = in_tables(rules)
    here[METERS] = meters + (2 if vsi_port else 0)
    here[GROUPS] = 2 if vsi_port else 0
    return +here, in_tables(_each(_REMOTE_TABLES, shape.addresses) + steered + groups.elsewhere)


def _each(tables: Iterable[int], count: int) -> Counter[int]:
    return Counter(dict.fromkeys(tables, count))


@lru_cache(_BLOCKS)
def _amounts_of_block(block: RuleBlock) -> Counter[SwitchResource]:
    return in_tables(Counter(rule.table for rule in block))
