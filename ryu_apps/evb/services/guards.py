"""Exceptions of a VSI type from the guards: its VMs are routers, DHCP servers or queriers.

The guards themselves are the same for every type (``pipeline.guards``).  A low link-local address, as routers have,
is also that of a VM whose station has told it, or whose type lists it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ryu_apps.evb.flow.guarded import LOW_LINK_LOCAL, MaskedPrefix, NetworkRole, claims, frames_of
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.tables import CookieKind, Direction, Table, cookie, type_metadata, vsi_metadata
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.base import DIRECT, Route, Service

#: Above the guard, and below what no VM may send.
_ROLE = 300
#: In CLAIM, above the guard of low addresses, and below those of addresses that somebody has.
_LOW = 150


def _is_link_local(net: MaskedPrefix) -> bool:
    """A network that somebody has named for its low link-local addresses; ``::/0`` is none."""
    return net.meets(LOW_LINK_LOCAL) and net.mask.bit_count() >= 10


def _passing(nets: Iterable[MaskedPrefix], scope: tuple[int, int], owner: int) -> Iterator[Rule]:
    for net in nets:
        for fields in claims(net):
            yield Rule(Table.CLAIM, _LOW, match(metadata=scope, **fields), owner, goto=Table.ANTISPOOF)


class GuardsService(Service):
    """Exceptions of a VSI type from the guards that apply to every VM."""

    name = "guards"
    plain = True

    def per_type(self, vsi_type: VsiType, epoch: int, route: Route = DIRECT) -> Iterator[Rule]:
        owner, scope = cookie(CookieKind.TYPE_BODY, epoch), type_metadata(epoch, Direction.FROM_VM)
        for role in vsi_type.roles:
            for fields in frames_of(role):
                yield Rule(Table.GUARD, _ROLE, match(metadata=scope, **fields), owner, goto=Table.CLAIM)
        if NetworkRole.ROUTER in vsi_type.roles:
            yield from _passing((LOW_LINK_LOCAL,), scope, owner)
        else:
            listed = (
                MaskedPrefix(network.version, int(network.network_address), int(network.netmask))
                for network in vsi_type.addresses
            )
            yield from _passing((prefix for prefix in listed if _is_link_local(prefix)), scope, owner)

    def per_vsi(self, vsi_type: VsiType, binding: VsiBinding, route: Route = DIRECT) -> Iterator[Rule]:
        scope = vsi_metadata(binding.vsi_index, Direction.FROM_VM)
        owner = cookie(CookieKind.VSI_BODY, binding.vsi_index, binding.generation)
        yield from _passing(
            (prefix for prefix in map(MaskedPrefix.of, binding.addresses) if _is_link_local(prefix)), scope, owner
        )


GUARDS = GuardsService()
