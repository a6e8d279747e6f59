"""Alarms: raised once, visible until they are over, in status, metrics and journal alike."""

from __future__ import annotations

import logging
from dataclasses import field, replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ryu_apps.evb.alarm_table import TABLE, Row
from ryu_apps.evb.alarms import MAX_OF_A_KIND, Alarms
from ryu_apps.evb.event_catalogue.base import LogEvent, LogLevel, PortEvent, event
from ryu_apps.evb.event_catalogue.bridge import AlarmCleared, AlarmRaised, PoliciesRefused, StoreFailed
from ryu_apps.evb.event_catalogue.catalogue import CATALOGUE
from ryu_apps.evb.event_catalogue.switches import (
    SwitchAwaited,
    SwitchConnected,
    SwitchReady,
    SwitchRefusedRules,
    UnknownSwitch,
)
from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.other import PoliciesLoaded, Saved
from ryu_apps.evb.events.switch import PortChanged, SwitchUp
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_treatment import StationKind
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, HV3, POLICIES, S1, S2, Vm, two_switches
from tests.worlds.rest import EPOCH, RestWorld

VM = Vm(7)
SOURCES = Path(__file__).parents[3] / "ryu_apps"


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld()
    world.connect()
    return world


def alarms(world: RestWorld) -> list[dict[str, object]]:
    listed = world.get("/evb/status")["alarms"]
    assert isinstance(listed, list)
    return listed


def kinds(world: RestWorld) -> list[object]:
    return [alarm["kind"] for alarm in alarms(world)]


def transitions(world: RestWorld, kind: str) -> list[str]:
    """Events of alarms of a kind in the journal."""
    return [event.kind for _, event in world.journal.entries if event.detail.get("alarm") == kind]


def series(world: RestWorld, name: str) -> list[dict[str, str]]:
    families = text_string_to_metric_families(world.request("/metrics").text)
    return [sample.labels for family in families for sample in family.samples if sample.name == name and sample.value]


# --- what the issue names ---------------------------------------------------------------------------
def test_a_quiet_bridge_has_none(world: RestWorld) -> None:
    assert alarms(world) == [] and series(world, "evb_alarm") == []


def test_a_full_disk_is_an_alarm_until_something_is_written(world: RestWorld) -> None:
    world.store_failure = "disk full"
    began = world.now
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    # A full disk lets go of what it does not hold, and says that it has.
    world.feed(Saved(0))
    world.advance(60.0)
    (alarm,) = alarms(world)
    assert alarm["kind"] == "store.failed" and alarm["detail"] == {"reason": "disk full"}
    assert alarm["severity"] == "critical"
    assert began + EPOCH <= alarm["since"] <= began + EPOCH + 0.1
    assert transitions(world, "store.failed") == [AlarmRaised.row.kind]
    world.store_failure = None
    world.advance(6.0)
    assert alarms(world) == []
    assert transitions(world, "store.failed") == [AlarmRaised.row.kind, AlarmCleared.row.kind]
    assert not [key for key in world.store if "probe" in key]


def test_a_switch_that_refuses_is_an_alarm_until_it_is_ready(world: RestWorld) -> None:
    world.disconnect(S1)
    world.tables[S1].rules.popitem()
    world.refuse[S1, Mode.BULK] = "table full"
    world.connect(S1)
    (alarm,) = [alarm for alarm in alarms(world) if alarm["kind"] == "switch.refused"]
    assert alarm["dpid"] == "0000000000000001" and alarm["detail"] == {"reason": "table full"}
    world.advance(6.0)
    assert alarms(world) == []


def test_a_switch_that_is_away_is_an_alarm(world: RestWorld) -> None:
    world.disconnect(S2)
    assert kinds(world) == ["switch.down"]
    (labels,) = series(world, "evb_alarm")
    assert labels["kind"] == "switch.down" and labels["severity"] == "critical"
    assert labels["dp_id"] == "0x2" and labels["dp_name"] == "s2"
    world.connect(S2)
    assert alarms(world) == [] and series(world, "evb_alarm") == []


def test_a_switch_that_never_comes_is_an_alarm_when_it_has_had_time_to(world: RestWorld) -> None:
    world.record(world.alarms.observe(SwitchAwaited(S1), world.now))
    world.advance(10.0)
    assert alarms(world) == []
    world.advance(25.0)
    assert kinds(world) == ["switch.awaited"]
    world.restart_switch(S1)
    assert alarms(world) == []


def test_a_switch_that_does_not_get_ready_is_an_alarm_and_no_vsi_leaves_it_until_it_is_taken_away(
    world: RestWorld,
) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success
    world.disconnect(S1)
    world.hold.add(S1)
    world.connect(S1)
    world.sent.pop(HV3, None)
    for mode in (VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE):
        world.send(HV3, VM.tlv(mode), VM.address)
    world.advance(50.0)
    assert alarms(world) == [] and not world.sent.get(HV3)
    world.advance(15.0)
    assert kinds(world) == ["switch.up"] and not world.sent.get(HV3)
    # Its gate there may be open all the same: no other one is.
    (owner,) = {vsi["owner"] for vsi in world.get("/evb/vsis")}
    assert owner == str(HV1)
    world.disconnect(S1)
    assert kinds(world) == ["switch.down"]
    for mode in (VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE):
        world.ask(HV3, VM, mode)
    assert world.answer(HV3).success
    world.release()
    world.connect(S1)
    assert alarms(world) == []


def test_a_link_that_is_down_is_an_alarm_of_both_its_ports_and_is_known_after_a_restart(world: RestWorld) -> None:
    world.link(PortId(S1, 11), up=False)
    assert [(alarm["kind"], alarm["port"]) for alarm in alarms(world)] == [
        ("link.down", "0000000000000001:11"),
        ("link.down", "0000000000000002:11"),
    ]
    world.alarms = Alarms()
    world.restart_controller()
    assert kinds(world) == ["link.down", "link.down"]
    world.link(PortId(S1, 11), up=True)
    assert alarms(world) == []


def test_a_link_that_returns_while_the_switch_is_away_is_no_alarm_any_more(world: RestWorld) -> None:
    world.link(PortId(S1, 11), up=False)
    world.disconnect(S1)
    world.link(PortId(S1, 11), up=True)
    world.connect(S1)
    assert alarms(world) == []


def keep_alive(world: RestWorld, times: int) -> None:
    """A station repeats its request each reinit keep-alive, and a little later."""
    for _ in range(times):
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
        world.advance(Operational(3, 10, 17, 17).reinit_keep_alive)


def test_one_ecpdu_in_vain_is_no_alarm(world: RestWorld) -> None:
    world.agree(HV1)
    world.unacknowledging.add(HV1)
    keep_alive(world, 1)
    assert [event.kind for event in world.happened if event.kind.startswith("ecp.")] == ["ecp.failed"]
    world.unacknowledging.clear()
    keep_alive(world, 3)
    world.unacknowledging.add(HV1)
    keep_alive(world, 1)
    assert kinds(world) == []


def test_ecpdus_in_vain_for_longer_than_a_keep_alive_are_an_alarm(world: RestWorld) -> None:
    world.agree(HV1)
    world.unacknowledging.add(HV1)
    keep_alive(world, 2)
    assert kinds(world) == ["ecp.unacknowledged"]
    world.unacknowledging.clear()
    for _ in range(60):
        keep_alive(world, 1)
    assert kinds(world) == []


def test_a_link_that_fails_is_no_station_that_does_not_acknowledge(world: RestWorld) -> None:
    world.unacknowledging.add(HV1)
    for _ in range(3):
        world.send(HV1, VM.tlv(VdpMode.ASSOCIATE))
        for up in (False, True):
            world.feed(PortChanged(HV1, up))
        world.advance(2.0)
    assert "ecp.unacknowledged" not in kinds(world)


def test_a_port_that_leads_elsewhere_is_an_alarm(world: RestWorld) -> None:
    one, other = PortId(S1, 11), PortId(S1, 12)
    world.plugged = {one: PortId(S2, 12), other: PortId(S2, 11), PortId(S2, 12): one, PortId(S2, 11): other}
    world.advance(6.0)
    assert set(kinds(world)) == {"link.miswired"} and len(alarms(world)) == 4
    world.plugged.clear()
    world.advance(6.0)
    assert alarms(world) == []


def test_a_guest_whose_hypervisor_ignores_a_refusal_is_an_alarm_until_its_vsi_is_active() -> None:
    fabric = two_switches()
    for switch in fabric.switches.values():
        for number in (1, 2):
            switch.interfaces[number] = replace(switch.interfaces[number], station=StationKind.LIBVIRT)
    world = RestWorld(fabric=fabric)
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE)
    world.refuse[S2, Mode.ATOMIC] = "table full"
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    (alarm,) = (alarm for alarm in alarms(world) if alarm["kind"] == "vdp.refusal_ignored")
    assert (alarm["vsi"], alarm["severity"]) == (VM.text, "critical")
    assert alarm["detail"] == {"status": "0x42", "owner": str(HV1)}
    assert [labels["vsi"] for labels in series(world, "evb_alarm") if labels["kind"] == alarm["kind"]] == [VM.text]
    world.connect(S2)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert "vdp.refusal_ignored" not in kinds(world)


def test_policies_that_were_refused_are_an_alarm_until_others_are_loaded(world: RestWorld) -> None:
    world.record(world.alarms.observe(PoliciesRefused(["line 3"]), world.now))
    assert kinds(world) == ["policies.refused"]
    world.feed(PoliciesLoaded(POLICIES))
    assert alarms(world) == []


def test_an_alarm_without_an_end_is_over_when_it_is_quiet(world: RestWorld) -> None:
    for _ in range(5):
        world.feed(SwitchUp(77, {}))
        world.advance(100.0)
        assert [(alarm["kind"], alarm["dpid"]) for alarm in alarms(world)] == [("switch.unknown", "000000000000004d")]
    assert alarms(world)[0]["count"] == 5
    world.advance(21.0)
    assert alarms(world) == []
    assert transitions(world, "switch.unknown") == [AlarmRaised.row.kind, AlarmCleared.row.kind]


# --- the machine ------------------------------------------------------------------------------------
def test_what_repeats_itself_is_told_of_once() -> None:
    machine = Alarms()
    told = [machine.observe(SwitchRefusedRules(S1, "table full"), 1.0 + turn) for turn in range(100)]
    assert [len(events) for events in told] == [1] + [0] * 99
    (alarm,) = machine
    assert alarm.count == 100 and alarm.since == 1.0


def test_the_number_of_one_kind_is_bounded() -> None:
    machine = Alarms()
    told = [machine.observe(UnknownSwitch(dpid), 1.0) for dpid in range(5000)]
    assert len(list(machine)) == sum(map(len, told)) == MAX_OF_A_KIND
    machine.observe(StoreFailed("disk full"), 1.0)
    assert len(list(machine)) == MAX_OF_A_KIND + 1


@event("port.odd")
class PortOdd(PortEvent):
    """Cause of an alarm."""


@event("switch.fine")
class SwitchFine(LogEvent):
    """End of that alarm, at one switch or at all."""

    dpid: int | None = field(default=None)


def test_an_end_that_names_a_switch_ends_what_its_ports_have() -> None:
    machine = Alarms((Row(PortOdd, "odd", about=("dpid", "port"), cleared_by=(SwitchFine,)),))
    for port in (HV1, HV3):
        machine.observe(PortOdd(port), 1.0)
    machine.observe(SwitchFine(), 1.0)
    assert [event.port for event in machine] == [HV1, HV3]
    machine.observe(SwitchFine(S1), 1.0)
    assert [event.port for event in machine] == [HV3]


def test_an_alarm_that_waits_is_dropped_if_its_cause_is_over() -> None:
    machine = Alarms()
    assert machine.observe(SwitchAwaited(S1), 1.0) == [] and machine.deadline == 31.0
    assert machine.observe(SwitchConnected(S1), 2.0) == [] and machine.deadline == 62.0
    assert machine.observe(SwitchReady(S1, 0), 3.0) == [] and machine.deadline is None
    assert machine.tick(100.0) == []


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.kind)
def test_every_alarm_ends(row: Row) -> None:
    assert row.cleared_by or row.quiet


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.kind)
def test_every_event_of_the_table_is_in_the_catalogue(row: Row) -> None:
    """An event that is never emitted would never raise an alarm, or never end one."""
    for made in (row.event, *row.cleared_by):
        assert CATALOGUE[made.row.kind] is made


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.kind)
def test_the_identity_of_an_alarm_is_in_its_cause(row: Row) -> None:
    members = {member.name for member in row.event.row.fields}
    assert set(row.about) - {"dpid", "port", "vsi"} <= members


def test_the_causes_of_alarms_are_logged_at_info() -> None:
    """The line at WARNING is that of the alarm."""
    assert [row.kind for row in TABLE if row.event.row.level is not LogLevel.INFO] == []


def test_the_manual_lists_every_alarm() -> None:
    manual = (SOURCES.parent / "docs" / "rest.rst").read_text()
    assert [row.kind for row in TABLE if f"``{row.kind}``" not in manual] == []


def test_alarms_are_warnings_and_what_raises_them_is_not(world: RestWorld, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        world.disconnect(S2)
        world.connect(S2)
    loud = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.split()[:2] for line in loud] == [
        [AlarmRaised.row.kind, "0000000000000002"],
        [AlarmCleared.row.kind, "0000000000000002"],
    ]
    assert "the switch is not connected" in loud[0]
