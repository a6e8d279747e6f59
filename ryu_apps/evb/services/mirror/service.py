"""Mirror: a copy of each frame of a VSI, for an analyser.

A frame from the VM is copied before any rule of its policy, as it arrives; a frame to the VM where it leaves, as it is
delivered.  Both rules stand in the body of the type, above all others of their tables, and lead back to the table: so
they are staged, and copy nothing before a gate leads a frame to them.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.mirrors import COPIED, PRIORITY, copied
from ryu_apps.evb.pipeline.tables import CookieKind, Direction, Table, cookie, type_metadata
from ryu_apps.evb.policy.document import Finding
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.base import DIRECT, Route, Service
from ryu_apps.evb.services.mirror.schema import NAME, SECTION, MirrorPolicy
from ryu_apps.evb.topology.fabric import Fabric


class MirrorService(Service):
    """Rules that copy what a VSI sends and receives."""

    name = NAME
    section = SECTION

    def per_type(self, vsi_type: VsiType, epoch: int, route: Route = DIRECT) -> Iterator[Rule]:
        policy: MirrorPolicy = vsi_type.service(NAME)
        owner = cookie(CookieKind.TYPE_BODY, epoch)
        for direction, table, wanted in (
            (Direction.FROM_VM, Table.GUARD, policy.from_vm),
            (Direction.TO_VM, Table.OUTPUT, policy.to_vm),
        ):
            done = COPIED[direction]
            fresh = match(metadata=type_metadata(epoch, direction), **{done.name: (0, 1 << done.offset)})
            if wanted:
                yield Rule(table, PRIORITY, fresh, owner, tuple(copied(policy.to, direction, table)))

    def missing_names(self, vsi_type: VsiType, fabric: Fabric) -> Iterator[Finding]:
        policy: MirrorPolicy = vsi_type.service(NAME)
        if policy.to not in fabric.mirrors:
            yield (NAME, "to"), _unknown(policy.to)

    def missing_requirement(self, vsi_type: VsiType, fabric: Fabric, dpid: int, vids: tuple[int, ...]) -> str | None:
        policy: MirrorPolicy = vsi_type.service(NAME)
        port = fabric.mirrors.get(policy.to)
        if port is None:
            return _unknown(policy.to)
        if port.dpid == dpid:
            return None
        interface = fabric.interface(port)
        if interface is None or interface.remote_vlan is None:
            return f"mirror {policy.to!r} is at another switch and has no remote_vlan"
        return None if port.dpid in fabric.reachable(dpid) else f"no trunk leads to mirror {policy.to!r}"


def _unknown(name: str) -> str:
    return f"the configuration has no mirror {name!r}"


MIRROR = MirrorService()
