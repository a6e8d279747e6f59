"""Questions about the sets of addresses that VSI types define."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.model import Binding, VsiTypeKey
from ryu_apps.evb.policy.address_set import AddressSet
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.address_sets import is_member
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.wire.ip import IpAddress


class MemberStatus(NamedTuple):
    """One VSI that a set selects, at one port.

    Attributes:
        active: rules that name the set admit its addresses; else it is staged.
        bindings, addresses: each of the first with each of the second is a member.
    """

    vsi: str
    port: PortId
    active: bool
    bindings: tuple[Binding, ...]
    addresses: tuple[IpAddress, ...]


class SetStatus(NamedTuple):
    """One set of addresses.

    Attributes:
        defined: the types that define it, with the name that each gives it.
        switches: datapath ids of the switches that have its members.
    """

    address_set: AddressSet
    defined: tuple[tuple[VsiTypeKey, str], ...]
    switches: tuple[int, ...]
    members: tuple[MemberStatus, ...]


class SetQueries:
    """The questions; see :class:`~ryu_apps.evb.bridge.queries.BridgeQueries`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> Iterator[SetStatus]:
        """Yield the sets of all known types, in the order of these."""
        defined: dict[AddressSet, list[tuple[VsiTypeKey, str]]] = {}
        for vsi_type in self._types():
            for name, address_set in vsi_type.sets:
                defined.setdefault(address_set, []).append((vsi_type.key, name))
        for address_set, names in defined.items():
            switches = self._engine.set_members.switches(address_set)
            yield SetStatus(address_set, tuple(names), switches, tuple(self._members(address_set)))

    def _types(self) -> Iterator[VsiType]:
        types = self._engine.types
        yield from sorted(types.local.types.values(), key=lambda vsi_type: vsi_type.key)
        yield from (cached.vsi_type for cached in types.cache)

    def _members(self, address_set: AddressSet) -> Iterator[MemberStatus]:
        for attachment in self._engine.registry.attachments():
            vsi = attachment.vsi
            in_force = vsi.gate_program if vsi.owner is attachment else None
            for program in dict.fromkeys((in_force, attachment.holding.program)):
                if program is not None and is_member(address_set, program.vsi_type):
                    yield _member(vsi.text, attachment.port, program, program is vsi.gate_program)


def _member(vsi: str, port: PortId, program: Installation, active: bool) -> MemberStatus:
    bindings = tuple(binding for binding in program.binding.bindings if binding.mac is not None)
    return MemberStatus(vsi, port, active, bindings, program.binding.addresses)
