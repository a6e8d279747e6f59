"""Metrics for Prometheus, after real requests at a bridge on a fake clock."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from webob import Request, Response

from ryu_apps.evb.event_catalogue.cluster import LeadBegun
from ryu_apps.evb.event_catalogue.switches import SwitchTakenOver
from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.metrics.exposition import OLD_NAMES
from ryu_apps.rest.application import respond
from tests.unit.services.test_balanced_errors import client_end, too_big, virtual
from tests.unit.services.test_load_balancer import balancer
from tests.worlds.bridge import CLIENT_MAC, EAGER, HV1, HV3, NMS, OPEN_2, S1, S2, Vm, two_switches
from tests.worlds.rest import RestWorld, unhurried

VM = Vm(7)
NOBODYS = VsiTypeKey(77, 1)
#: Parsers by the beginning of the content type.
PARSERS = {"text": text_string_to_metric_families, "appl": openmetrics_families}
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


OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def scrape(world: RestWorld, accept: str | None = None) -> Response:
    request = Request.blank("/metrics", headers={"Accept": accept} if accept else {})
    return request.get_response(respond(request, lambda: world, lambda: world.now, lambda _: None, unhurried))


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (f"{OPENMETRICS};q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", f"{OPENMETRICS}; charset=utf-8"),
    ],
)
def test_the_client_chooses_the_format(world: RestWorld, accept: str | None, content_type: str) -> None:
    response = scrape(world, accept)
    assert response.headers["Content-Type"].startswith(content_type)
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
    families = {family.name: family for family in PARSERS[content_type[:4]](response.text)}
    assert families["evb_vdp_requests"].type == "counter" and families["evb_vdp_requests"].samples
    assert response.text.count("# EOF") == response.text.endswith("# EOF\n") == (content_type[:4] == "appl")


def test_no_family_has_times_of_creation_or_units_that_are_not_prometheus_s(world: RestWorld) -> None:
    families = list(text_string_to_metric_families(scrape(world).text))
    kept = set(OLD_NAMES.values())
    assert {family.name for family in families if family.name.endswith(("_created", "_secs", "_octets"))} <= kept
    assert {
        sample.name for family in families for sample in family.samples if sample.name.endswith("_created")
    } == set()


def test_a_series_has_its_old_name_as_well(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    for suffix in ("count", "sum"):
        assert value(world, f"evb_stage_secs_{suffix}") == value(world, f"evb_stage_seconds_{suffix}") is not None
    text = scrape(world, OPENMETRICS).text
    assert text.count("evb_activation_secs_bucket{") == text.count("evb_activation_seconds_bucket{") > 10


def test_the_process_is_measured_as_by_all_clients_of_prometheus(world: RestWorld) -> None:
    families = {family.name: family for family in text_string_to_metric_families(scrape(world).text)}
    assert families["process_resident_memory_bytes"].samples[0].value > 1e6
    assert families["process_open_fds"].samples[0].value > 0
    (build,) = families["evb_build_info"].samples
    assert build.value == 1 and build.labels["ryu"] == "4.34" and build.labels["version"]


def test_links_are_up_and_lead_where_they_should(world: RestWorld) -> None:
    one, other = PortId(S1, 11), PortId(S1, 12)
    assert value(world, "evb_link_up", port="11") == 1 and value(world, "evb_link_miswired", port="11") == 0
    world.link(one, up=False)
    assert value(world, "evb_link_up", port="11") == 0 and value(world, "evb_link_up", port="12") == 1
    world.link(one, up=True)
    world.plugged = {one: PortId(S2, 12), other: PortId(S2, 11), PortId(S2, 12): one, PortId(S2, 11): other}
    world.advance(6.0)
    assert value(world, "evb_link_miswired", port="11") == value(world, "evb_link_miswired", port="12") == 1


def test_take_overs_are_counted_and_first_leads_are_not(world: RestWorld) -> None:
    for before, reason, taken in (("", "free", 0), ("alpha", "lapsed", 1), ("alpha", "gone", 2)):
        world.metrics.observe(LeadBegun("1" * 16, before, reason), world.now)
        text = scrape(world).text
        lapsed, gone = min(taken, 1), max(taken - 1, 0)
        assert f'evb_cluster_take_overs_total{{reason="lapsed"}} {lapsed}.0' in text
        assert f'evb_cluster_take_overs_total{{reason="gone"}} {gone}.0' in text and '"free"' not in text
    world.metrics.observe(SwitchTakenOver(S1, "1", "2"), world.now)
    assert value(world, "evb_switch_take_overs_total") == 1


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("evb_vdp_requests_total", {"type": "associate", "reason": "success"}),
        ("evb_keepalive_expired_total", {}),
        ("evb_stage_seconds_count", {}),
        ("evb_activation_seconds_count", {}),
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
    assert value(world, "evb_stage_seconds_count") == 1
    assert value(world, "evb_stage_seconds_sum") == pytest.approx(0.25)


def test_activation_is_timed_from_the_first_associate_to_its_answer(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.hold.add(S1)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(0.49)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.release()
    assert value(world, "evb_activation_seconds_count") == 1
    assert value(world, "evb_activation_seconds_sum") == pytest.approx(0.50)


def test_what_was_refused_is_not_timed(world: RestWorld) -> None:
    world.refuse[S1, Mode.STAGE] = "table full"
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(5.0)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert value(world, "evb_vdp_requests_total", type="associate", reason="insufficient_resources") == 1
    assert value(world, "evb_activation_seconds_sum") < 0.1
    assert value(world, "evb_stage_seconds_sum") < 0.1


def test_what_was_refused_is_not_timed_even_if_the_old_association_is_kept(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.refuse[S1, Mode.STAGE] = "table full"
    world.ask(HV1, Vm(7, OPEN_2), VdpMode.ASSOCIATE)
    assert world.answer(HV1).keep
    world.advance(1.0)
    world.ask(HV1, Vm(7, EAGER), VdpMode.ASSOCIATE)
    assert value(world, "evb_activation_seconds_count") == value(world, "evb_stage_seconds_count") == 2
    assert value(world, "evb_activation_seconds_sum") < 0.1
    assert value(world, "evb_stage_seconds_sum") < 0.1


def test_what_the_station_gave_up_is_not_timed(world: RestWorld) -> None:
    world.hold.add(S1)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    world.release()
    world.advance(5.0)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert value(world, "evb_activation_seconds_count") == value(world, "evb_stage_seconds_count") == 1
    assert value(world, "evb_activation_seconds_sum") < 0.1
    assert value(world, "evb_stage_seconds_sum") < 0.1


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
