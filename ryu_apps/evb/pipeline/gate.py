"""The gate of a VSI: the rules that make its body reachable, on its own switch and on the others.

Installed at Associate, never before.  Without them no frame has the VSI's metadata.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.actions import (
    IN_PORT,
    Action,
    ClearInPort,
    Output,
    SetField,
)
from ryu_apps.evb.flow.match import (
    VLAN_PRESENT,
    Match,
    MatchFields,
    match,
)
from ryu_apps.evb.flow.plan import RuleSet, rule_set
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import Binding, VsiBinding
from ryu_apps.evb.pipeline.bonds import noting
from ryu_apps.evb.pipeline.infrastructure import way_between
from ryu_apps.evb.pipeline.tables import (
    ALL_METADATA,
    VSI_MASK,
    CookieKind,
    Direction,
    Priority,
    Table,
    cookie,
    metadata,
)
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.topology.interface import Interface


def local_gate(
    interface: Interface,
    binding: VsiBinding,
    epoch: int,
    entry: Table = Table.ACL_TO,
    policer: int | None = None,
    silent: bool = False,
) -> RuleSet:
    """The gate on the VSI's own switch.

    Args:
        interface: the station port of the VSI.
        binding: its index, generation, VIDs and MAC addresses.
        epoch: policy epoch of its type, the same on every switch.
        entry: first table of its body for frames to the VM.
        policer: meter of frames from the VM.
        silent: no frame from the VM is let in.
    """
    return rule_set(
        rule
        for vid_mac in binding.bindings
        for rule in (
            *(() if silent else _ingress(interface, binding, epoch, vid_mac, policer)),
            *_delivery(interface, binding, epoch, entry, vid_mac),
        )
    )


def remote_gate(output: Action, binding: VsiBinding) -> RuleSet:
    """The gate on any other switch: one rule for each (VID, MAC), towards the VSI's switch."""
    owner = cookie(CookieKind.GATE, binding.vsi_index, binding.generation)
    return rule_set(
        Rule(Table.FORWARD, Priority.EXACT, _destination(vid_mac), owner, apply=(output,))
        for vid_mac in binding.bindings
        if vid_mac.mac is not None
    )


def group_gate(interface: Interface, binding: VsiBinding, epoch: int) -> Rule:
    """The gate of a snooped VSI for copies of IP multicast, on its own switch."""
    delivered = to_vm_metadata(interface.port_no, binding.vsi_index, epoch), ALL_METADATA
    return _group_gate(binding, delivered, Table.ACL_TO)


def remote_group_gate(binding: VsiBinding) -> Rule:
    """The same on any other switch: it admits the copy to the trunk towards the VSI's switch."""
    return _group_gate(binding, None, Table.GROUP_PAGE)


def detour(
    fabric: Fabric,
    wiring: TrunkGraph,
    dpid: int,
    target: int,
    binding: VsiBinding,
    seconds: int,
    more: tuple[Match, ...] = (),
) -> RuleSet:
    """Rules at the VSI's former switch that forward frames which were in flight to it during a migration.

    They may leave by the trunk by which they came in; a gate's output never needs that.  The switch removes the
    rules by their hard timeout, so no message is needed at the end.

    Args:
        dpid, target: the VSI's switch until now, and from now on.
        more: matches of other frames for it, at a switch with extensions.
    """
    output = way_between(wiring, dpid, target)
    if output is None:
        return {}
    if fabric.switches[dpid].extended:
        return _extended_detour(output, binding, seconds, more)
    return _plain_detour(output, _ports_towards(wiring, dpid, target), binding, seconds)


def _ports_towards(wiring: TrunkGraph, dpid: int, target: int) -> tuple[int, ...]:
    hops = wiring.hops(dpid, target)
    return tuple(port_no for trunk in wiring.trunks(dpid) if trunk.neighbour in hops for port_no in trunk.ports)


def _plain_detour(output: Action, back: tuple[int, ...], binding: VsiBinding, seconds: int) -> RuleSet:
    """Rules without extensions: what came in by a port of ``back`` leaves by it, by the reserved port for that."""
    owner = cookie(CookieKind.DETOUR, binding.vsi_index, binding.generation)
    places = [match(in_port=port_no) for port_no in back]
    return rule_set(
        rule
        for vid_mac in binding.bindings
        if vid_mac.mac is not None
        for rule in (
            Rule(Table.FORWARD, Priority.DETOUR, _destination(vid_mac), owner, (output,), hard_timeout=seconds),
            *(
                Rule(
                    *(Table.FORWARD, Priority.DETOUR + 1, (*place, *_destination(vid_mac)), owner),
                    apply=(Output(IN_PORT),),
                    hard_timeout=seconds,
                )
                for place in places
            ),
        )
    )


def _extended_detour(output: Action, binding: VsiBinding, seconds: int, more: tuple[Match, ...]) -> RuleSet:
    """Rules that clear the ingress port first."""
    owner = cookie(CookieKind.DETOUR, binding.vsi_index, binding.generation)
    back = ClearInPort(), output
    own = (_destination(vid_mac) for vid_mac in binding.bindings if vid_mac.mac is not None)
    return rule_set(
        Rule(Table.FORWARD, Priority.DETOUR, found, owner, apply=back, hard_timeout=seconds) for found in (*own, *more)
    )


def to_vm_metadata(port_no: int, vsi_index: int, epoch: int) -> int:
    """Metadata of a frame to a VSI."""
    return metadata(port=port_no, vsi=vsi_index, epoch=epoch, direction=Direction.TO_VM)


def _group_gate(binding: VsiBinding, written: tuple[int, int] | None, goto: Table) -> Rule:
    fields = match(metadata=(metadata(vsi=binding.vsi_index), VSI_MASK))
    owner = cookie(CookieKind.GATE, binding.vsi_index, binding.generation)
    return Rule(Table.GROUP_GATE, Priority.EXACT, fields, owner, metadata=written, goto=goto)


def _ingress(
    interface: Interface, binding: VsiBinding, epoch: int, vid_mac: Binding, policer: int | None
) -> Iterator[Rule]:
    source: MatchFields = {} if vid_mac.mac is None else {"eth_src": vid_mac.mac}
    priority = Priority.WIDE if vid_mac.mac is None else Priority.EXACT
    fields: MatchFields = {"in_port": interface.port_no, "vlan_vid": VLAN_PRESENT | vid_mac.vid, **source}
    meta = metadata(vsi=binding.vsi_index, epoch=epoch, direction=Direction.FROM_VM), ALL_METADATA
    owner = cookie(CookieKind.GATE, binding.vsi_index, binding.generation)
    note = noting(interface)
    yield Rule(Table.INGRESS, priority, match(**fields), owner, note, meta, Table.GUARD, policer)
    default = dict(binding.priorities).get(vid_mac)
    if default:
        # PCP 0 is also that of frames without a priority of their own: the station or ADMIT has given them their tag.
        without = match(**fields, vlan_pcp=0)
        written = (*note, SetField("vlan_pcp", default))
        yield Rule(Table.INGRESS, priority + 1, without, owner, written, meta, Table.GUARD, policer)


def _delivery(interface: Interface, binding: VsiBinding, epoch: int, entry: Table, vid_mac: Binding) -> Iterator[Rule]:
    if vid_mac.mac is None:
        return
    yield Rule(
        Table.FORWARD,
        Priority.EXACT,
        _destination(vid_mac),
        cookie(CookieKind.GATE, binding.vsi_index, binding.generation),
        metadata=(to_vm_metadata(interface.port_no, binding.vsi_index, epoch), ALL_METADATA),
        goto=entry,
    )


def _destination(vid_mac: Binding) -> Match:
    assert vid_mac.mac is not None
    return match(vlan_vid=VLAN_PRESENT | vid_mac.vid, eth_dst=vid_mac.mac)
