"""Totals over REST and for Prometheus, and what the NMS has to say to them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.metrics.bridge import Metrics
from ryu_apps.rest.callers import MAX_BODY
from tests.worlds.bridge import HV1, HV3, S1, Vm
from tests.worlds.counting import BY_NMS, PLAIN, POLICIES, RULES, CountingWorld
from tests.worlds.rest import EPOCH, RestWorld

VM = Vm(7, type=PLAIN)
NMS_VM = Vm(7, type=BY_NMS)
PATH = f"/evb/statistics/{VM.text}"
PORT_1, PORT_3 = "0000000000000001:1", "0000000000000002:1"


@dataclass
class Counting(CountingWorld, RestWorld):
    """Both; the metrics are those of the engine that runs."""

    policies: PolicySet = POLICIES

    def restart_controller(self, remembering: bool = True) -> None:
        super().restart_controller(remembering)
        self.metrics = Metrics(self.queries, self.alarms)


@pytest.fixture
def world() -> Counting:
    world = Counting()
    world.connect()
    return world


def put(world: Counting, from_vm: tuple[int, int], to_vm: tuple[int, int]) -> object:
    body = {
        name: dict(zip(("packets", "octets"), count, strict=True))
        for name, count in (("from_vm", from_vm), ("to_vm", to_vm))
    }
    response = world.request(PATH, "PUT", json.dumps(body).encode())
    assert response.status_code == 200, response.text
    return response.json


def metric(world: Counting, name: str, direction: str) -> float | None:
    for family in text_string_to_metric_families(world.request("/metrics").text):
        for sample in family.samples:
            if sample.name == name and sample.labels == {"vsi": VM.text, "direction": direction}:
                return sample.value
    return None


def test_a_plain_answer_is_the_newest_reading_with_its_age(world: Counting) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1)
    world.read()
    world.exchange_traffic(VM, HV1)
    read = world.account(VM).read
    found = world.get(PATH)
    assert (found["vsi"], found["type"], found["port"], found["extraction"]) == (VM.text, "40/1", PORT_1, "controller")
    assert (found["age"], found["read"]) == (world.now - read, read + EPOCH)
    interface = world.interface(VM)
    assert 2 * found["to_vm"]["packets"] == interface.rx.packets
    assert 2 * (found["from_vm"]["packets"] + found["from_vm"]["refused"]["packets"]) == interface.tx.packets
    assert found["from_vm"]["rules"] is None
    assert world.get("/evb/statistics") == [found]


@pytest.mark.parametrize("path", [f"{PATH}?fresh=1", "/evb/statistics?fresh=1"])
def test_a_fresh_answer_asks_the_switch(world: Counting, path: str) -> None:
    world.move(VM, HV1)
    world.read()
    world.exchange_traffic(VM, HV1)
    found = world.get(path)
    account = found[0] if isinstance(found, list) else found
    assert account["age"] == 0
    assert account["to_vm"]["packets"] == world.interface(VM).rx.packets
    assert account["to_vm"]["octets"] == world.interface(VM).rx.octets


def test_fresh_answers_through_a_move_never_fall_and_end_where_the_vm_does(world: Counting) -> None:
    world.move(VM, HV1)
    shown = 0
    for number, port in enumerate([HV1, HV1, HV3, HV3, HV1]):
        if world.places(VM) != [port]:
            world.move(VM, port)
        world.exchange_traffic(VM, port, number + 1)
        packets = world.get(f"{PATH}?fresh=1")["to_vm"]["packets"]
        assert packets > shown
        shown = packets
    assert shown == world.interface(VM).rx.packets


def test_rules_are_told_by_number_line_and_description(world: Counting) -> None:
    vm = Vm(7, type=RULES)
    world.move(vm, HV1)
    world.exchange_traffic(vm, HV1)
    found = world.get(f"{PATH}?fresh=1")
    rules = {rule["number"]: rule for rule in found["from_vm"]["rules"]}
    assert rules[2] == {
        "number": 2,
        "what": "rule",
        "action": "deny",
        "description": "no mail",
        "line": 8,
        "packets": 2,
        "octets": 2 * 77,
    }
    for name in ("from_vm", "to_vm"):
        passed = [rule["packets"] for rule in found[name]["rules"] if rule["action"] == "allow"]
        refused = [rule["packets"] for rule in found[name]["rules"] if rule["action"] == "deny"]
        assert (sum(passed), sum(refused)) == (found[name]["packets"], found[name]["refused"]["packets"])


def test_a_switch_that_does_not_answer_is_waited_for_a_second(world: Counting) -> None:
    world.move(VM, HV1)
    world.silent_meters.add(S1)
    before = world.now
    assert world.refusal(f"{PATH}?fresh=1") == (504, "the switches have not answered within 1 s")
    assert 1.0 < world.now - before < 1.1
    assert world.request(PATH).status_code == 200


def test_a_switch_that_is_away_cannot_be_asked(world: Counting) -> None:
    world.move(VM, HV1)
    world.disconnect(S1)
    assert world.refusal(f"{PATH}?fresh=1") == (503, "switch 0000000000000001 is not connected")
    assert world.request(PATH).status_code == 200


def test_after_a_restart_nothing_is_told_before_the_switches_have_been_read(world: Counting) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1, 3)
    shown = world.get(f"{PATH}?fresh=1")["to_vm"]
    world.restart_controller()
    assert world.get("/evb/statistics")[0]["to_vm"] is None
    assert metric(world, "evb_vsi_packets_total", "to_vm") is None
    assert world.get(PATH)["to_vm"] == shown
    assert world.get("/evb/statistics")[0]["to_vm"] == shown


def test_a_vsi_without_statistics_is_not_found(world: Counting) -> None:
    assert world.refusal(PATH) == (404, f"no statistics of VSI {VM.text}")
    assert world.refusal(
        PATH, "PUT", b'{"from_vm": {"packets": 1, "octets": 1}, "to_vm": {"packets": 1, "octets": 1}}'
    ) == (
        404,
        f"no statistics of VSI {VM.text}",
    )


def test_a_flag_is_nought_or_one(world: Counting) -> None:
    assert world.refusal(f"{PATH}?fresh=yes") == (400, "fresh: 'yes' is neither 0 nor 1")


# --- the NMS --------------------------------------------------------------------------------------
def test_the_nms_finds_the_last_reading_of_the_source_and_populates_the_destination(world: Counting) -> None:
    world.move(NMS_VM, HV1)
    world.exchange_traffic(NMS_VM, HV1, 5)
    world.move(NMS_VM, HV3)
    (moved,) = [listed for listed in world.get("/evb/migrations") if listed["source"] == PORT_1]
    assert world.get(f"/evb/migrations/{moved['id']}")["statistics"] == moved["statistics"]
    interface = world.interface(NMS_VM)
    assert moved["statistics"]["to_vm"] == interface.rx._asdict()
    assert world.get(f"{PATH}?fresh=1")["to_vm"]["packets"] == 0
    counts = [tuple(moved["statistics"][name].values()) for name in ("from_vm", "to_vm")]
    found = put(world, *counts)
    assert found["port"] == PORT_3 and found["to_vm"]["base"] == interface.rx._asdict()
    world.exchange_traffic(NMS_VM, HV3, 2)
    found = world.get(f"{PATH}?fresh=1")
    assert found["to_vm"]["packets"] == interface.rx.packets
    assert found["to_vm"]["octets"] == interface.rx.octets


def test_a_base_replaces_the_one_before_and_outlives_the_controller(world: Counting) -> None:
    world.move(NMS_VM, HV1)
    put(world, (1, 60), (2, 120))
    put(world, (10, 600), (20, 1200))
    world.keep_alive(12.0)
    world.restart_controller()
    found = world.get(PATH)
    assert found["from_vm"]["packets"] == 10
    assert found["to_vm"]["base"] == {"packets": 20, "octets": 1200}


def test_a_migration_that_the_controller_carries_tells_what_was_extracted_too(world: Counting) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1)
    world.move(VM, HV3)
    (moved,) = [listed for listed in world.get("/evb/migrations") if listed["source"] == PORT_1]
    assert moved["statistics"]["to_vm"] == world.interface(VM).rx._asdict()
    (begun,) = [listed for listed in world.get("/evb/migrations") if listed["source"] is None]
    assert begun["statistics"] is None


def test_what_the_controller_carries_is_not_for_the_nms_to_say(world: Counting) -> None:
    world.move(VM, HV1)
    body = b'{"from_vm": {"packets": 1, "octets": 1}, "to_vm": {"packets": 1, "octets": 1}}'
    status, reason = world.refusal(PATH, "PUT", body)
    assert (status, reason) == (409, "the controller carries the totals of VSI type 40/1: extraction: controller")


def test_a_vsi_that_is_active_nowhere_has_no_base(world: Counting) -> None:
    world.ask(HV1, NMS_VM, VdpMode.PREASSOCIATE_RR)
    body = b'{"from_vm": {"packets": 1, "octets": 1}, "to_vm": {"packets": 1, "octets": 1}}'
    assert world.refusal(PATH, "PUT", body) == (409, f"VSI {VM.text} is active nowhere")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "Invalid JSON"),
        (b"{", 400, "Invalid JSON"),
        (b"[" * 60_000, 400, "Invalid JSON"),
        (b"[]", 422, "Input should be an object"),
        (b'{"from_vm": {"packets": 1, "octets": 1}}', 422, "to_vm: Field required"),
        (b'{"from_vm": {"packets": -1, "octets": 1}, "to_vm": {"packets": 1, "octets": 1}}', 422, "from_vm.packets: "),
        (b'{"from_vm": {"packets": "1", "octets": 1}, "to_vm": {"packets": 1, "octets": 1}}', 422, "from_vm.packets: "),
        (b'{"x": 1, "from_vm": {"packets": 1, "octets": 1}, "to_vm": {"packets": 1, "octets": 1}}', 422, "x: Extra"),
        (b" " * (MAX_BODY + 1), 413, f"more than {MAX_BODY} octets"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(world: Counting, body: bytes, status: int, reason: str) -> None:
    world.move(NMS_VM, HV1)
    found = world.refusal(PATH, "PUT", body)
    assert found[0] == status
    assert found[1].startswith(reason), found[1]


# --- Prometheus -----------------------------------------------------------------------------------
def test_the_series_of_a_vsi_goes_on_through_a_move(world: Counting) -> None:
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1, 2)
    world.read()
    names = ("evb_vsi_packets_total", "evb_vsi_bytes_total", "evb_vsi_refused_packets_total")
    before = {name: metric(world, name, "from_vm") for name in names}
    world.move(VM, HV3)
    world.exchange_traffic(VM, HV3, 2)
    world.read()
    after = {name: metric(world, name, "from_vm") for name in names}
    assert after == {name: 2 * (value or 0) for name, value in before.items()}
    assert metric(world, "evb_vsi_bytes_total", "to_vm") == world.interface(VM).rx.octets


def sample(world: Counting, name: str, direction: str | None = None) -> tuple[dict[str, str], float] | None:
    """Labels and value of the one series of the VM; None: there is none."""
    text = world.request("/metrics").text
    found = [
        (sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels["vsi"] == VM.text and sample.labels.get("direction") == direction
    ]
    return found[0] if found else None


def test_a_series_names_the_port_until_the_vsi_has_left(world: Counting) -> None:
    where = {"dp_name": "s1", "port": "1", "vsi": VM.text, "extraction": "controller"}
    world.move(VM, HV1)
    world.read()
    assert sample(world, "evb_vsi_port") == ({"dp_id": "0x1", **where}, 1.0)
    world.move(VM, HV3)
    world.read()
    assert sample(world, "evb_vsi_port") == ({**where, "dp_id": "0x2", "dp_name": "s2"}, 1.0)
    world.ask(HV3, VM, VdpMode.DEASSOCIATE)
    assert sample(world, "evb_vsi_port") is None and metric(world, "evb_vsi_packets_total", "to_vm") is not None


def test_what_others_have_given_is_a_series_of_its_own(world: Counting) -> None:
    world.move(NMS_VM, HV1)
    world.read()
    put(world, (5, 300), (6, 360))
    shown = [
        metric(world, f"evb_vsi_carried_{what}", way) for way in ("from_vm", "to_vm") for what in ("packets", "bytes")
    ]
    assert shown == [5, 300, 6, 360]
    found = sample(world, "evb_vsi_port")
    assert found is not None and found[0]["extraction"] == "nms"


def test_totals_are_read_in_parts_and_by_type(world: Counting) -> None:
    others = [Vm(3, type=PLAIN), Vm(9, type=BY_NMS), Vm(1, type=BY_NMS)]
    for vm in (VM, *others):
        world.move(vm, HV1)
    world.move(others[1], HV3)
    found = world.get("/evb/statistics")
    # Those of the NMS by port: VSI 9 has had two.
    assert [account["vsi"] for account in found] == [Vm(number).text for number in (1, 3, 7, 9, 9)]
    assert world.get(f"/evb/statistics?after={Vm(3).text}") == found[2:]
    assert world.get("/evb/statistics?limit=2") == found[:2]
    # All ports of a VSI are in one part.
    parts = world.get(f"/evb/statistics?limit=1&after={VM.text}&fresh=1")
    assert [(part["vsi"], part["port"]) for part in parts] == [(part["vsi"], part["port"]) for part in found[3:]]
    assert [part["vsi"] for part in world.get(f"/evb/statistics?type={PLAIN}")] == [Vm(3).text, VM.text]
