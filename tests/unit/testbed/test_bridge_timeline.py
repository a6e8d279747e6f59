"""From the controller's timeline of a move to figures of the bridge's work."""

from __future__ import annotations

from typing import Any

import pytest

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.vsis import (
    BodyStaged,
    StateCarried,
    StateFixedUp,
    UnsolicitedDeassociate,
    VdpAnswered,
    VdpRequested,
    VsiSuspended,
)
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.status import ResponseStatus
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.testbed.measurement.timeline import bridge_figures, exchanges

SOURCE, DESTINATION = PortId(1, 1), PortId(2, 1)
UUID = "11223344-5566-7788-99aa-bbccddeeff00"
TYPE = VsiTypeKey(1, 1)


def requested(port: PortId, mode: VdpMode) -> VdpRequested:
    return VdpRequested(port=port, vsi=UUID, mode=mode, type=TYPE, migrating=False, suspended=False)


def answered(port: PortId, mode: VdpMode) -> VdpAnswered:
    return VdpAnswered(port=port, vsi=UUID, mode=mode, status=ResponseStatus())


def timeline(*events: tuple[float, Any]) -> list[dict[str, Any]]:
    """The events as REST shows them."""
    return [shown(t, event) for t, event in events]


def shown(t: float, event: LogEvent) -> dict[str, Any]:
    return {"t": t, "kind": event.row.kind, "port": str(event.port), "vsi": UUID, "detail": event.detail}  # type: ignore[attr-defined]


MOVE = timeline(
    (1.0, requested(DESTINATION, VdpMode.PREASSOCIATE_RR)),
    (1.002, StateCarried(port=DESTINATION, vsi=UUID, rules=20, services={"firewall": 20})),
    (1.004, BodyStaged(port=DESTINATION, vsi=UUID, rules=40, services=("acl",))),
    (1.005, answered(DESTINATION, VdpMode.PREASSOCIATE_RR)),
    (1.5, VsiSuspended(port=SOURCE, vsi=UUID)),
    (1.6, StateFixedUp(port=DESTINATION, vsi=UUID, rules=2, services={"firewall": 2})),
    (2.0, requested(DESTINATION, VdpMode.ASSOCIATE)),
    (2.003, answered(DESTINATION, VdpMode.ASSOCIATE)),
    (2.004, UnsolicitedDeassociate(port=SOURCE, vsi=UUID, reason="moved")),
    (2.01, StateFixedUp(port=DESTINATION, vsi=UUID, rules=4, services={"firewall": 4})),
)


def test_state_counts_before_and_after_associate() -> None:
    found = bridge_figures(MOVE, str(DESTINATION))
    assert (found.rules, found.carried, found.early, found.fixed_up) == (40, 20, 2, 4)
    assert (found.stage_ms, found.associate_ms, found.fix_up_ms) == pytest.approx((5.0, 3.0, 10.0))


def test_an_associate_with_the_s_bit_and_its_answer_count_although_only_the_suspension_is_logged() -> None:
    found = exchanges(MOVE)
    assert (found.messages, found.round_trips) == (7, 3)
    plain = exchanges([entry for entry in MOVE if entry["kind"] != VsiSuspended.row.kind])
    assert (plain.messages, plain.round_trips) == (5, 2)
