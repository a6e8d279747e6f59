"""Room that a bridge has left for VSIs: rules, meters and groups of switches, minimum rates of ports.

A snapshot of its answers.  What VMs take or leave from then on is the caller's to say; the bridge has the last word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ryu_apps.vcm.vm_interface import VmInterface

__all__ = ["NO_ROOM_KNOWN", "BridgeRoom", "PortWay", "Rates", "SwitchRoom", "TypeNumber", "VmsByNode"]

#: Identifier and version of a VSI type.
TypeNumber = tuple[int, int]
#: Amount of each resource, by its name in words ("rules", "meters", "rules in table INGRESS").
Amounts = Mapping[str, int]
#: Interfaces of one VM.
_Vm = Sequence[VmInterface]
#: Node -> interfaces of each VM at it.
VmsByNode = Mapping[str, Sequence[_Vm]]
#: Both ends of a link, switch and port number each.
_Link = tuple[tuple[str, int], tuple[str, int]]


class Rates(NamedTuple):
    """Minimum rates of a VSI, kbit/s."""

    from_vm: int = 0
    to_vm: int = 0


class PortWay(NamedTuple):
    """One direction of a port: what the switch sends by it, else what it receives."""

    switch: str
    port_no: int
    sent: bool


@dataclass(frozen=True, slots=True)
class SwitchRoom:
    """One switch.

    Attributes:
        left: of each resource that has a budget.
        held: VSI -> its resources here.
        bodies: VSI type -> resources that all VSIs of the type share here.
        unready: reason why it takes no VSI now; empty: it does.
    """

    left: Amounts = field(default_factory=dict)
    held: Mapping[str, Amounts] = field(default_factory=dict)
    bodies: Mapping[TypeNumber, Amounts] = field(default_factory=dict)
    unready: str = ""


@dataclass(frozen=True, slots=True)
class BridgeRoom:
    """All switches of a bridge.

    Attributes:
        rates: of the VSI types.
        members: VSI type -> VSIs that use it.
        left: kbit/s of each direction of a port whose speed is known.
        own: kbit/s that a VSI has reserved of them.
        uplinks: node -> its port at the switch.
        trunks: switch -> both ends of the link to each neighbour, the own end first.
        silent: node -> reason why its station can request nothing.
    """

    switches: Mapping[str, SwitchRoom] = field(default_factory=dict)
    rates: Mapping[TypeNumber, Rates] = field(default_factory=dict)
    members: Mapping[TypeNumber, Collection[str]] = field(default_factory=dict)
    left: Mapping[PortWay, int] = field(default_factory=dict)
    own: Mapping[PortWay, Mapping[str, int]] = field(default_factory=dict)
    uplinks: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    trunks: Mapping[str, Sequence[_Link]] = field(default_factory=dict)
    silent: Mapping[str, str] = field(default_factory=dict)

    def shortages(self, vm: _Vm, node: str, switch: str, others: VmsByNode) -> Iterator[str]:
        """Yield everything of which too little is left for a VM at a node.

        Args:
            others: the other VMs that are, or are going to be, at the nodes of this switch.
        """
        there = self.switches[switch]
        if there.unready:
            yield f"{switch} is {there.unready}"
        if node in self.silent:
            yield f"its station is not reached: {self.silent[node]}"
        here = [other for vms in others.values() for other in vms]
        yield from self._short_of_resources(vm, switch, here)
        if node in self.uplinks:
            uplink = self.uplinks[node]
            yield from self._short_of_rates(vm, "its uplink", (uplink, uplink), (False, True), others.get(node, ()))
        for link in self.trunks.get(switch, ()):
            yield from self._short_of_rates(vm, f"the link {link[0][0]}-{link[1][0]}", link, (True, True), here)

    # --- rules, meters, groups ---
    def _short_of_resources(self, vm: _Vm, switch: str, others: Iterable[_Vm]) -> Iterator[str]:
        there = self.switches[switch]
        known = set(there.bodies)
        taken: Counter[str] = Counter()
        for other in others:
            taken += self._new_amounts(other, there, known)
        for name, amount in sorted(self._new_amounts(vm, there, known).items()):
            left = max(0, there.left.get(name, amount + taken[name]) - taken[name])
            if amount > left:
                yield f"{switch} has {left} {name} left, {amount} are needed"

    def _new_amounts(self, vm: _Vm, there: SwitchRoom, known: set[TypeNumber]) -> Counter[str]:
        """Resources of a VM that a switch does not hold yet; its types are added to those that are known there."""
        needed: Counter[str] = Counter()
        for face in vm:
            if face.vsi not in there.held:
                needed.update(self._amounts_of(face))
            if face.vsi_type not in known:
                known.add(face.vsi_type)
                bodies = (place.bodies.get(face.vsi_type, {}) for place in self.switches.values())
                needed.update(_largest(bodies))
        return needed

    def _amounts_of(self, face: VmInterface) -> Counter[str]:
        """Resources of a VSI: those that it has anywhere, or else those of another VSI of its type."""
        for vsis in ((face.vsi,), self.members.get(face.vsi_type, ())):
            held = [place.held[vsi] for place in self.switches.values() for vsi in vsis if vsi in place.held]
            if held:
                return _largest(held)
        return Counter()

    # --- minimum rates ---
    def _short_of_rates(
        self, vm: _Vm, words: str, ports: _Link, sent: tuple[bool, bool], others: Collection[_Vm]
    ) -> Iterator[str]:
        """Judge what VMs send by a port, and what they get by it or by the other end of its link."""
        for number, direction in enumerate(("from", "to")):
            way = PortWay(*ports[number], sent[number])
            needed = self._new_rate(vm, way, number)
            left = self.left.get(way, 0) - sum(self._new_rate(other, way, number) for other in others)
            if way in self.left and needed > max(0, left):
                yield f"{words} has {max(0, left)} kbit/s left {direction} VMs, {needed} are needed"

    def _new_rate(self, vm: _Vm, way: PortWay, direction: int) -> int:
        """Rate of a VM that a port has to bear besides what is reserved there for this VM."""
        own = self.own.get(way, {})
        return sum(max(0, self.rates.get(face.vsi_type, Rates())[direction] - own.get(face.vsi, 0)) for face in vm)


def _largest(found: Iterable[Amounts]) -> Counter[str]:
    """The largest amount of each resource: switches of several kinds need different ones."""
    largest: Counter[str] = Counter()
    for amounts in found:
        largest |= Counter(amounts)
    return largest


#: No bridge was asked: there is no limit.
NO_ROOM_KNOWN = BridgeRoom()
