"""Bandwidth: frames of a VSI beyond its rate are dropped, at its own switch, by one meter for each direction.

Frames from the VM are metered by the rule of the gate, before any other rule sees them: what the policy refuses counts
too, as at any port that polices.  So the limit of the source ends with the source's gate.

Frames to the VM are metered behind the policy, so that refused frames of others cost the VM nothing.  The meter is
behind a clone: a broadcast has one list of actions for all VSIs of a page, and a drop by a meter would end that list
for all of them (:class:`ryu_apps.evb.flow.actions.Clone`).
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.actions import Clone, Resubmit
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Meter, MeterUnit, Rule
from ryu_apps.evb.model import Minimum, VsiBinding
from ryu_apps.evb.pipeline.tables import (
    CookieKind,
    Direction,
    Priority,
    Table,
    cookie,
    policer_id,
    type_metadata,
    vsi_metadata,
)
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.bandwidth.schema import NAME, SECTION, BandwidthLimit, BandwidthPolicy
from ryu_apps.evb.services.base import DIRECT, Route, Service


class BandwidthService(Service):
    """Meters that limit what a VSI sends and receives."""

    name = NAME
    section = SECTION
    tables = (Table.METER_TO,)

    def per_type(self, vsi_type: VsiType, epoch: int, route: Route = DIRECT) -> Iterator[Rule]:
        scope, owner = type_metadata(epoch, Direction.TO_VM), cookie(CookieKind.TYPE_BODY, epoch)
        passing = Rule(Table.METER_TO, Priority.DEFAULT, match(metadata=scope), owner, goto=route.after(Table.METER_TO))
        copying = Rule(Table.METER_TO, Priority.DEFAULT, match(metadata=scope), owner, apply=(Clone(Table.METERED_TO),))
        yield passing if _policy(vsi_type).to_vm.rate is None else copying

    def per_vsi(self, vsi_type: VsiType, binding: VsiBinding, route: Route = DIRECT) -> Iterator[Rule]:
        if _policy(vsi_type).to_vm.rate is None:
            return
        scope = vsi_metadata(binding.vsi_index, Direction.TO_VM)
        owner = cookie(CookieKind.VSI_BODY, binding.vsi_index, binding.generation)
        meter = policer_id(Direction.TO_VM, binding.vsi_index)
        onward = (Resubmit(route.after(Table.METER_TO)),)
        yield Rule(Table.METERED_TO, Priority.DEFAULT, match(metadata=scope), owner, onward, meter=meter)

    def meters(self, vsi_type: VsiType, binding: VsiBinding) -> Iterator[Meter]:
        policy = _policy(vsi_type)
        for direction, limit in ((Direction.FROM_VM, policy.from_vm), (Direction.TO_VM, policy.to_vm)):
            if limit.rate is not None:
                meter_id = policer_id(direction, binding.vsi_index)
                yield Meter(meter_id, limit.rate, limit.burst, MeterUnit.KILOBITS)

    def gate_meter(self, vsi_type: VsiType, binding: VsiBinding) -> int | None:
        limited = _policy(vsi_type).from_vm.rate is not None
        return policer_id(Direction.FROM_VM, binding.vsi_index) if limited else None

    def minimum(self, vsi_type: VsiType) -> Minimum:
        policy = _policy(vsi_type)
        return Minimum(policy.from_vm.minimum, policy.to_vm.minimum)


def _policy(vsi_type: VsiType) -> BandwidthPolicy:
    policy: BandwidthPolicy | None = vsi_type.service(NAME)
    return policy or BandwidthPolicy(BandwidthLimit(), BandwidthLimit())


BANDWIDTH = BandwidthService()
