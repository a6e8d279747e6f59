"""vSwitches over REST, for Prometheus and in a table: members, VSIs, traffic as that of one switch."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ryu_apps.cli import show_tables
from ryu_apps.evb.model import Retention
from ryu_apps.evb.record_kinds import SUMS
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.metrics.bridge import Metrics
from tests.worlds.bridge import Vm
from tests.worlds.counting import PLAIN
from tests.worlds.vswitch import HV, SERVER1, SERVER2, STATION1, STATION2
from tests.worlds.vswitches import OTHER_VLAN, VswitchWorld, vswitch_fabric

RR, A, GONE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
VM, OTHER, APART = Vm(7, PLAIN), Vm(8, PLAIN), Vm(10, PLAIN, OTHER_VLAN)
TAP, FAR_TAP, TAP_APART = PortId(SERVER1, 7), PortId(SERVER2, 5), PortId(SERVER1, 8)


@pytest.fixture
def world() -> VswitchWorld:
    made = VswitchWorld(vswitch_fabric(max_vsis=9))
    made.connect()
    for station, vm, tap in ((STATION1, VM, TAP), (STATION2, OTHER, FAR_TAP), (STATION1, APART, TAP_APART)):
        made.plug_in(vm, tap)
        made.ask(station, vm, A)
    return made


def read(world: VswitchWorld) -> None:
    """Have all counters read."""
    assert world.request("/evb/statistics?fresh=1").status_code == 200


def metric(world: VswitchWorld, name: str, vswitch: str, label: str) -> float:
    families = text_string_to_metric_families(world.request("/metrics").text)
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    (found,) = [sample.value for sample in samples if set(sample.labels.values()) == {vswitch, label}]
    return float(found)


def test_the_list_has_members_uplinks_and_vsis(world: VswitchWorld) -> None:
    distributed, single = world.get("/evb/vswitches")
    assert (distributed["name"], distributed["kind"], distributed["max_vsis"]) == ("dvs1", "distributed", 9)
    assert (single["name"], single["kind"], single["native_vlans"]) == ("svs1", "single", [OTHER_VLAN])
    assert distributed["phases"]["active"] == 2 and single["phases"]["active"] == 1
    first, second = distributed["members"]
    assert (first["name"], first["ready"], first["phases"]["active"]) == ("vs1", True, 1)
    assert first["uplinks"] == second["uplinks"] == [{"port": 1, "link": "up"}]
    world.link(PortId(SERVER2, 1), up=False)
    assert world.get("/evb/vswitches/dvs1")["members"][1]["uplinks"] == [{"port": 1, "link": "down"}]


def test_it_is_read_in_parts(world: VswitchWorld) -> None:
    assert [found["name"] for found in world.get("/evb/vswitches?limit=1")] == ["dvs1"]
    assert [found["name"] for found in world.get("/evb/vswitches?after=dvs1")] == ["svs1"]


def test_one_has_its_vsis_at_each_member(world: VswitchWorld) -> None:
    world.ask(STATION2, VM, RR)
    found = world.get("/evb/vswitches/dvs1")
    listed = [(vsi["vsi"], vsi["name"], vsi["phase"], vsi["active"]) for vsi in found["vsis"]]
    assert listed == [
        (VM.text, "hv1", "active", True),
        (VM.text, "hv2", "staged", False),
        (OTHER.text, "hv2", "active", True),
    ]
    assert found["vsis"][0]["vsi_port"] == world.taps[TAP]
    assert world.request("/evb/vswitches/none").status_code == 404


def test_counters_are_the_sums_of_all_members_and_stay_when_a_vsi_leaves(world: VswitchWorld) -> None:
    assert world.talk(TAP, VM, OTHER, 3) == 1 and world.talk(FAR_TAP, OTHER, VM, 5) == 1
    read(world)
    found = world.get("/evb/vswitches/dvs1")
    assert found["counted"] == 2
    assert found["from_vm"]["passed"] == {"packets": 8, "octets": 480}
    assert found["to_vm"]["passed"]["packets"] == 8 and found["to_vm"]["refused"] == {"packets": 0, "octets": 0}
    assert world.get("/evb/vswitches/svs1")["from_vm"]["passed"]["packets"] == 0
    assert metric(world, "evb_vswitch_packets_total", "dvs1", "from_vm") == 8
    assert metric(world, "evb_vswitch_bytes_total", "dvs1", "from_vm") == 480
    assert metric(world, "evb_vswitch_vsis", "dvs1", "active") == 2
    world.ask(HV, OTHER, RR)
    world.ask(HV, OTHER, A)
    read(world)
    world.ask(STATION2, OTHER, RR)
    found = world.get("/evb/vswitches/dvs1")
    assert (found["counted"], found["phases"]["staged"]) == (1, 1), "what is staged there counts where it is active"
    assert found["from_vm"]["passed"] == {"packets": 8, "octets": 480}
    assert metric(world, "evb_vswitch_vsis", "dvs1", "active") == 1


def restart(world: VswitchWorld) -> None:
    """Restart the bridge, and its metrics with it."""
    world.restart_controller()
    world.metrics = Metrics(world.queries, world.alarms)


def passed(world: VswitchWorld, vswitch: str) -> int:
    """Frames from VSIs that a vSwitch has counted."""
    return int(world.get(f"/evb/vswitches/{vswitch}")["from_vm"]["passed"]["packets"])


def test_sum_goes_on_over_moves_restarts_and_the_end_of_accounts(world: VswitchWorld) -> None:
    world.statistics_retention = Retention(secs=5)
    restart(world)
    world.talk(TAP, VM, OTHER, 3)
    world.talk(FAR_TAP, OTHER, VM, 5)
    read(world)
    # Elsewhere it is not counted, whatever its total is then.
    world.ask(HV, OTHER, RR)
    world.ask(HV, OTHER, A)
    world.talk(HV, OTHER, VM, 100)
    read(world)
    assert passed(world, "dvs1") == 8
    # What it brings back from there is not of this vSwitch.
    world.ask(STATION2, OTHER, RR)
    world.ask(STATION2, OTHER, A)
    world.talk(FAR_TAP, OTHER, VM, 2)
    read(world)
    assert passed(world, "dvs1") == 10 == metric(world, "evb_vswitch_packets_total", "dvs1", "from_vm")
    restart(world)
    read(world)
    assert passed(world, "dvs1") == 10
    world.ask(STATION2, OTHER, GONE)
    for _ in range(12):
        world.advance(1.0)
        world.ask(STATION1, VM, A)
    assert world.request(f"/evb/statistics/{OTHER.text}").status_code == 404, "its account has expired"
    assert passed(world, "dvs1") == 10
    restart(world)
    read(world)
    assert passed(world, "dvs1") == 10
    assert passed(world, "svs1") == 0


def test_sum_that_cannot_be_read_is_reported_and_begins_anew(world: VswitchWorld) -> None:
    world.store[SUMS.key("dvs1")] = b"\x91\x09"
    restart(world)
    unread = [event.detail["record"] for event in world.happened if event.kind == "statistics.not_restored"]
    assert unread == ["sums/dvs1"]
    assert passed(world, "dvs1") == 0


def test_counter_is_not_shown_before_all_its_parts_are_read_again(world: VswitchWorld) -> None:
    world.talk(TAP, VM, OTHER, 3)
    read(world)
    restart(world)
    assert "evb_vswitch_packets_total{" not in world.request("/metrics").text
    read(world)
    assert metric(world, "evb_vswitch_packets_total", "dvs1", "from_vm") == 3


def test_a_table_has_a_line_for_each(world: VswitchWorld) -> None:
    (section,) = show_tables.vswitches(world.get("/evb/vswitches"))
    first, second = section.rows
    assert first[:7] == ("dvs1", "distributed", "vs1, vs2", "100", 2, 0, 9)
    assert second[:7] == ("svs1", "single", "vs1", "200", 1, 0, "no limit")
    assert len(section.columns) == len(first)
