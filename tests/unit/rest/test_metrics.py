"""Metrics for Prometheus, after real requests at a bridge on a fake clock."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ryu_apps.evb.events import FrameReceived, Mode
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.services.test_balanced_errors import client_end, too_big, virtual
from tests.unit.services.test_load_balancer import balancer
from tests.worlds.bridge import CLIENT_MAC, EAGER, HV1, HV3, NMS, OPEN_2, S1, Vm, two_switches
from tests.worlds.rest import RestWorld

VM = Vm(7)
NOBODYS = VsiTypeKey(77, 1)
ON_S1 = {"dp_id": "0x1", "dp_name": "s1"}


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld(fabric=two_switches(max_rules=500))
    world.connect()
    return world


def value(world: RestWorld, name: str, **labels: str) -> float | None:
    """One sample as a scrape sees it."""
    text = world.request("/metrics").text
    wanted = {**ON_S1, **labels}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels == wanted:
                return sample.value
    return None


def test_the_exposition_has_the_content_type_of_prometheus(world: RestWorld) -> None:
    assert world.request("/metrics").headers["Content-Type"].startswith("text/plain; version=")


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("evb_vdp_requests_total", {"type": "associate", "reason": "success"}),
        ("evb_keepalive_expired_total", {}),
        ("evb_stage_secs_count", {}),
        ("evb_activation_secs_count", {}),
        ("evb_vsi_state", {"state": "active"}),
        ("evb_reservations", {}),
        ("evb_frames_dropped_total", {"port": "1", "reason": "malformed"}),
        ("evb_ecp_errors_total", {"port": "1", "reason": "retransmissions"}),
        ("evb_stations", {}),
    ],
)
def test_every_series_starts_at_zero(world: RestWorld, name: str, labels: dict[str, str]) -> None:
    assert value(world, name, **labels) == 0


def test_requests_are_counted_by_their_answer(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, Vm(8, type=NOBODYS), VdpMode.PREASSOCIATE)
    assert value(world, "evb_vdp_requests_total", type="associate", reason="success") == 1
    assert value(world, "evb_vdp_requests_total", type="preassociate", reason="other_failure") == 1


def test_keep_alives_are_not_requests(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert value(world, "evb_vdp_requests_total", type="associate", reason="success") == 1


def test_staging_is_timed_from_the_first_rule_to_the_confirmation(world: RestWorld) -> None:
    world.hold.add(S1)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.advance(0.25)
    world.release()
    assert value(world, "evb_stage_secs_count") == 1
    assert value(world, "evb_stage_secs_sum") == pytest.approx(0.25)


def test_activation_is_timed_from_the_first_associate_to_its_answer(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.hold.add(S1)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(0.49)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.release()
    assert value(world, "evb_activation_secs_count") == 1
    assert value(world, "evb_activation_secs_sum") == pytest.approx(0.50)


def test_what_was_refused_is_not_timed(world: RestWorld) -> None:
    world.refuse[S1, Mode.STAGE] = "table full"
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(5.0)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert value(world, "evb_vdp_requests_total", type="associate", reason="insufficient_resources") == 1
    assert value(world, "evb_activation_secs_sum") < 0.1
    assert value(world, "evb_stage_secs_sum") < 0.1


def test_what_was_refused_is_not_timed_even_if_the_old_association_is_kept(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.refuse[S1, Mode.STAGE] = "table full"
    world.ask(HV1, Vm(7, OPEN_2), VdpMode.ASSOCIATE)
    assert world.answer(HV1).keep
    world.advance(1.0)
    world.ask(HV1, Vm(7, EAGER), VdpMode.ASSOCIATE)
    assert value(world, "evb_activation_secs_count") == value(world, "evb_stage_secs_count") == 2
    assert value(world, "evb_activation_secs_sum") < 0.1
    assert value(world, "evb_stage_secs_sum") < 0.1


def test_what_the_station_gave_up_is_not_timed(world: RestWorld) -> None:
    world.hold.add(S1)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    world.release()
    world.advance(5.0)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert value(world, "evb_activation_secs_count") == value(world, "evb_stage_secs_count") == 1
    assert value(world, "evb_activation_secs_sum") < 0.1
    assert value(world, "evb_stage_secs_sum") < 0.1


def test_a_station_that_falls_silent_is_counted(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(60.0)
    assert value(world, "evb_keepalive_expired_total") == 1


def test_a_move_is_not_an_expiry(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    assert value(world, "evb_keepalive_expired_total") == 0


def test_gauges_follow_the_engine(world: RestWorld) -> None:
    world.agree(HV1)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    assert value(world, "evb_vsi_state", state="staged") == 1
    assert value(world, "evb_reservations") == world.engine.ledger.used(S1) > 0
    assert value(world, "evb_rule_budget") == 500
    assert value(world, "evb_stations") == 1
    assert value(world, "evb_switch_ready") == 1
    world.disconnect(S1)
    assert value(world, "evb_switch_ready") == 0


def test_dropped_frames_are_counted_by_reason(world: RestWorld) -> None:
    world.feed(FrameReceived(HV1, b"too short"))
    assert value(world, "evb_frames_dropped_total", port="1", reason="malformed") == 1


def test_errors_about_balanced_connections_are_counted_by_what_became_of_them() -> None:
    world = RestWorld(fabric=Fabric(two_switches().switches, (balancer(),)))
    world.connect()
    assert value(world, "evb_icmp_errors_total", outcome="translated") == 0
    whole = too_big(CLIENT_MAC, (virtual(4), client_end(CLIENT_MAC, 4)))
    world.feed(FrameReceived(NMS, whole))
    world.feed(FrameReceived(NMS, whole[:-20]))
    assert value(world, "evb_icmp_errors_total", outcome="unknown") == 1
    assert value(world, "evb_icmp_errors_total", outcome="malformed") == 1


def test_every_reason_for_a_drop_is_known(world: RestWorld) -> None:
    """A new counter of a station port that nobody exports would go unseen."""
    mac = bytes.fromhex("0180c2000000020000000101")
    world.agree(HV1)
    world.feed(FrameReceived(HV1, b"too short"))
    world.feed(FrameReceived(HV1, mac + b"\x08\x00"))
    world.feed(FrameReceived(HV1, mac + b"\x88\xb7"))
    world.feed(FrameReceived(HV1, mac[:11] + b"\x77" + b"\x89\x40"))
    for reason in world.engine.stations[HV1].counters:
        assert value(world, "evb_frames_dropped_total", port="1", reason=reason) == 1
    assert len(world.engine.stations[HV1].counters) == 4
