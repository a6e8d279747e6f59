"""The gate of a VSI: the few rules that make its body reachable, on its own switch and on the others.

Installed at Associate, never before.  Without them no frame carries the VSI's metadata.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.plan import RuleSet, rule_set
from ryu_apps.evb.flow.rule import VLAN_PRESENT, Action, ClearInPort, Match, MatchFields, Rule, match
from ryu_apps.evb.model import Binding, VsiBinding
from ryu_apps.evb.pipeline.tables import (
    ALL_METADATA,
    CookieKind,
    Direction,
    Priority,
    Table,
    cookie,
    metadata,
)
from ryu_apps.evb.topology.fabric import Interface


def local_gate(interface: Interface, binding: VsiBinding, epoch: int, entry: Table = Table.ACL_TO) -> RuleSet:
    """The gate on the VSI's own switch.

    Args:
        interface: the station port the VSI sits behind.
        binding: its index, generation, VIDs and MAC addresses.
        epoch: policy epoch of its type on every switch.
        entry: where its body begins for frames to the VM.
    """
    return rule_set(
        rule
        for one in binding.bindings
        for rule in (_ingress(interface, binding, epoch, one), *_delivery(interface, binding, epoch, entry, one))
    )


def remote_gate(way: Action, binding: VsiBinding) -> RuleSet:
    """The gate on any other switch: one rule a (VID, MAC), towards the VSI's switch."""
    owner = cookie(CookieKind.GATE, binding.vsi_index, binding.generation)
    return rule_set(
        Rule(Table.FORWARD, Priority.EXACT, _destination(one), owner, apply=(way,))
        for one in binding.bindings
        if one.mac is not None
    )


def detour(way: Action, binding: VsiBinding, seconds: int) -> RuleSet:
    """The way from the switch where the VSI was, for frames that were under way to it: also back by the trunk they
    come in by, which a gate's own way never is.  The switch itself ends it after so many seconds.
    """
    owner = cookie(CookieKind.DETOUR, binding.vsi_index, binding.generation)
    back = ClearInPort(), way
    return rule_set(
        Rule(Table.FORWARD, Priority.DETOUR, _destination(one), owner, apply=back, hard_timeout=seconds)
        for one in binding.bindings
        if one.mac is not None
    )


def to_vm_metadata(port_no: int, vsi_index: int, epoch: int) -> int:
    """Metadata of a frame on its way to a VSI."""
    return metadata(port=port_no, vsi=vsi_index, epoch=epoch, direction=Direction.TO_VM)


def _ingress(interface: Interface, binding: VsiBinding, epoch: int, one: Binding) -> Rule:
    source: MatchFields = {} if one.mac is None else {"eth_src": one.mac}
    return Rule(
        Table.INGRESS,
        Priority.WIDE if one.mac is None else Priority.EXACT,
        match(in_port=interface.port_no, vlan_vid=VLAN_PRESENT | one.vid, **source),
        cookie(CookieKind.GATE, binding.vsi_index, binding.generation),
        metadata=(
            metadata(vsi=binding.vsi_index, epoch=epoch, direction=Direction.FROM_VM),
            ALL_METADATA,
        ),
        goto=Table.GUARD,
    )


def _delivery(interface: Interface, binding: VsiBinding, epoch: int, entry: Table, one: Binding) -> Iterator[Rule]:
    if one.mac is None:
        return
    yield Rule(
        Table.FORWARD,
        Priority.EXACT,
        _destination(one),
        cookie(CookieKind.GATE, binding.vsi_index, binding.generation),
        metadata=(to_vm_metadata(interface.port_no, binding.vsi_index, epoch), ALL_METADATA),
        goto=entry,
    )


def _destination(one: Binding) -> Match:
    assert one.mac is not None
    return match(vlan_vid=VLAN_PRESENT | one.vid, eth_dst=one.mac)
