"""VSI types that switches of a configuration refuse, since their profile excludes extensions of OpenFlow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error, warning
from ryu_apps.evb.policy.model import PolicySet, VsiType
from ryu_apps.evb.services.body import extensions_needed
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role


def refused_types(policies: PolicySet, fabrics: Iterable[Fabric]) -> Iterator[Diagnostic]:
    """A diagnostic for each type that station ports refuse: an error if all of a fabric do, else a warning."""
    needing = [(vsi_type, reason) for vsi_type in policies.types.values() if (reason := extensions_needed(vsi_type))]
    for fabric in fabrics:
        dpids = {port.dpid for port in fabric.ports(Role.STATION)}
        plain = sorted(fabric.switches[dpid].name for dpid in dpids if not fabric.switches[dpid].extended)
        for vsi_type, reason in needing if plain else ():
            text = f"{reason}: refused at {', '.join(plain)} (profile openflow13)"
            yield (error if len(plain) == len(dpids) else warning)(vsi_type.file, _place(vsi_type), text)


def _place(vsi_type: VsiType) -> Position:
    """The line of the file that names the type."""
    lines = vsi_type.text.splitlines()
    return Position(next((number for number, line in enumerate(lines, 1) if line.startswith("vsi_type:")), 1))
