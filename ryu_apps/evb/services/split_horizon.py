"""A VM never hears its own frames again.

Behind a VEPA uplink everything a VM sends comes up to the bridge, and what the bridge floods goes down
the same port (reflective relay); a copy must not reach the VSI that sent it (802.1Q 41 and 8.6.1).
Known by source address, so it also holds for a frame that comes back from another switch.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.tables import CookieKind, Direction, Priority, Table, cookie, vsi_metadata
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.base import DIRECT, Route, Service


class SplitHorizonService(Service):
    """Rules that drop a VM's own frames on their way back to it."""

    name = "split_horizon"
    plain = True

    def per_vsi(self, vsi_type: VsiType, binding: VsiBinding, route: Route = DIRECT) -> Iterator[Rule]:
        scope = vsi_metadata(binding.vsi_index, Direction.TO_VM)
        owner = cookie(CookieKind.VSI_BODY, binding.vsi_index, binding.generation)
        for mac in binding.macs:
            yield Rule(Table.ACL_TO, Priority.GUARD, match(metadata=scope, eth_src=mac), owner)


SPLIT_HORIZON = SplitHorizonService()
