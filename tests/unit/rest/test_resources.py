"""Every REST resource against a bridge with real frames behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.switch import FrameReceived, PortChanged, SwitchCapacity
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.topology.vid_translation import VidTranslation
from ryu_apps.evb.wire.filter_info import FilterInfo, GroupMacVid
from ryu_apps.evb.wire.vdp import ManagerId, VdpMode
from tests.worlds.bridge import HV1, HV2, HV3, OPEN_2, S1, S2, Vm, two_switches, without_extensions
from tests.worlds.limited import POLICIES as LIMITED_TYPES
from tests.worlds.limited import RESERVED
from tests.worlds.rest import EPOCH, RestWorld
from tests.worlds.sets import DATABASE, PEER
from tests.worlds.sets import POLICIES as SET_TYPES
from tests.worlds.sets import WEB as WEB_TYPE

VM, OTHER = Vm(7), Vm(8)
DPID_1, DPID_2 = "0000000000000001", "0000000000000002"
PORT_1, PORT_3 = f"{DPID_1}:1", f"{DPID_2}:1"

WEB = """
version: 1
vsi_type: {type_id: 9, version: 3, name: web}
addresses: [10.0.0.0/8]
to_vm:
  default: deny
  rules:
    - rule: {tcp_dst: [80, 443], actions: {allow: 1}}
    - rule: {ipv4_src: 10.9.0.0/16, actions: {allow: 0}}
    - rule: {vlan_vid: 100, actions: {allow: 1}}
"""


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld()
    world.connect()
    return world


# --- status ---------------------------------------------------------------------------------------
def test_status_counts_vsis_by_phase(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV2, OTHER, VdpMode.PREASSOCIATE)
    vsis = world.get("/evb/status")["vsis"]
    assert vsis["total"] == 2
    assert {phase: count for phase, count in vsis["phases"].items() if count} == {
        "active": 1,
        "staged": 1,
        "preassociated": 1,
    }


def test_status_tells_how_long_the_bridge_runs(world: RestWorld) -> None:
    world.advance(12.5)
    assert world.get("/evb/status")["uptime"] == 12.5


def test_status_shows_a_switch_as_it_comes_up() -> None:
    world = RestWorld(hold={S1})
    assert [switch["readiness"] for switch in world.get("/evb/status")["switches"]] == ["disconnected"] * 2
    world.connect()
    assert [switch["readiness"] for switch in world.get("/evb/status")["switches"]] == ["installing", "ready"]


def test_status_counts_the_rules_a_switch_should_hold(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    for switch in world.get("/evb/status")["switches"]:
        assert switch["rules"] == len(world.tables[int(switch["dpid"], 16)].rules)


def test_status_knows_links_names_and_roles_of_ports(world: RestWorld) -> None:
    switch = world.get("/evb/status")["switches"][0]
    assert (switch["dpid"], switch["name"]) == (DPID_1, "s1")
    assert switch["ports"][0] == {"port_no": 1, "name": "hv1", "role": "station", "up": True, "bond": None}


def test_status_counts_dropped_frames_and_stations(world: RestWorld) -> None:
    world.agree(HV1)
    world.feed(FrameReceived(HV1, b"too short"))
    found = world.get("/evb/status")
    assert found["dropped"] == {"malformed": 1}
    assert found["stations"] == {"configured": 4, "agreed": 1}


# --- VSIs -----------------------------------------------------------------------------------------
def test_a_vsi_shows_its_attachment(world: RestWorld) -> None:
    began = world.now + 0.01
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(2.0)
    found = world.get(f"/evb/vsis/{VM.text}")
    assert (found["vsi"], found["owner"]) == (VM.text, PORT_1)
    (attachment,) = found["attachments"]
    assert (attachment["port"], attachment["name"], attachment["type"]) == (PORT_1, "hv1", "1/1")
    assert (attachment["phase"], attachment["mode"], attachment["wanted"]) == ("active", "associate", None)
    assert attachment["bindings"] == [
        {"vid": 100, "mac": "52:54:00:00:00:07", "local_vid": 100, "group": None, "pcp": None}
    ]
    assert attachment["addresses"] == ["10.0.100.7"]
    assert attachment["since"] == pytest.approx(EPOCH + began)
    assert attachment["age"] == pytest.approx(2.01)


def test_a_vsi_shows_its_vids_group_and_priority() -> None:
    fabric = two_switches()
    switches = {**fabric.switches, 1: replace(fabric.switches[1], translation=VidTranslation({300: 100}))}
    world = RestWorld(replace(fabric, switches=switches, groups={1000: 300}))
    world.connect()
    asked = replace(VM.tlv(VdpMode.ASSOCIATE), filter_info=FilterInfo.of(GroupMacVid(0, VM.mac, 1000, pcp=4, ps=True)))
    world.send(HV1, asked)
    (attachment,) = world.get(f"/evb/vsis/{VM.text}")["attachments"]
    shown = {"vid": 300, "mac": "52:54:00:00:00:07", "local_vid": 100, "group": 1000, "pcp": 4}
    assert attachment["bindings"] == [shown]


def test_the_deadline_of_a_held_vsi_is_its_keep_alive(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE)
    timeout = world.engine.stations[HV1].evb.operational.keep_alive_timeout
    world.advance(1.0)
    (attachment,) = world.get(f"/evb/vsis/{VM.text}")["attachments"]
    assert attachment["deadline_for"] == "keep_alive"
    assert attachment["expires_in"] == pytest.approx(timeout - 1.0)
    assert attachment["deadline"] == pytest.approx(EPOCH + world.now + timeout - 1.0)


def test_a_vsi_that_is_being_decided_shows_what_it_waits_for(world: RestWorld) -> None:
    world.hold.add(S1)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    (attachment,) = world.get(f"/evb/vsis/{VM.text}")["attachments"]
    assert (attachment["phase"], attachment["wanted"]) == ("staging", "preassociate_rr")
    assert attachment["deadline_for"] == "resource_wait"
    assert attachment["program"]["waiting"] == 2


def test_a_vsi_that_moves_has_two_attachments_and_one_owner(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    (found,) = world.get("/evb/vsis")
    assert found["owner"] == PORT_1
    assert {shown["port"]: shown["phase"] for shown in found["attachments"]} == {PORT_1: "active", PORT_3: "staged"}


def test_the_overview_has_of_each_vsi_what_lists_and_searches_show(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV2, OTHER, VdpMode.PREASSOCIATE)
    expected = [
        {
            "vsi": vsi["vsi"],
            "name": vsi["name"],
            "attachments": [
                {
                    **{member: at[member] for member in ("port", "phase", "type", "addresses")},
                    "macs": [binding["mac"] for binding in at["bindings"]],
                }
                for at in vsi["attachments"]
            ],
        }
        for vsi in world.get("/evb/vsis")
    ]
    assert world.get("/evb/overview") == expected
    assert [at["phase"] for vsi in expected for at in vsi["attachments"]] == ["active", "staged", "preassociated"]
    assert all(at["macs"] for vsi in expected for at in vsi["attachments"])


def test_a_vsi_is_found_however_its_id_is_written(world: RestWorld) -> None:
    world.ask(HV1, Vm(0xAB), VdpMode.PREASSOCIATE)
    assert world.get(f"/evb/vsis/{Vm(0xAB).text.upper()}")["vsi"] == Vm(0xAB).text


def test_a_new_type_is_shown_beside_the_one_it_replaces(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.hold.add(S1)
    world.ask(HV1, Vm(7, OPEN_2), VdpMode.ASSOCIATE)
    (attachment,) = world.get(f"/evb/vsis/{VM.text}")["attachments"]
    assert (attachment["program"]["type"], attachment["program"]["phase"]) == ("1/2", "staging")
    assert [(replaced["type"], replaced["phase"]) for replaced in attachment["replaced"]] == [("1/1", "active")]


# --- de-association by the operator ---------------------------------------------------------------
def test_delete_recalls_a_vsi_everywhere(world: RestWorld) -> None:
    empty = world.snapshot()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    response = world.request(f"/evb/vsis/{VM.text}", "DELETE")
    assert (response.status_code, response.json) == (
        200,
        {"vsi": VM.text, "recalled": [PORT_1, PORT_3], "gone": True},
    )
    assert world.snapshot() == empty
    assert world.sent[HV1][-1].MODE is VdpMode.DEASSOCIATE


def test_delete_is_only_accepted_while_a_switch_has_not_confirmed(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.hold.add(S1)
    response = world.request(f"/evb/vsis/{VM.text}", "DELETE")
    assert (response.status_code, response.json["gone"]) == (202, False)
    again = world.request(f"/evb/vsis/{VM.text}", "DELETE")
    assert (again.status_code, again.json["recalled"]) == (202, [])
    world.release()
    assert world.refusal(f"/evb/vsis/{VM.text}", "DELETE") == (404, f"no VSI {VM.text}")


def test_delete_is_only_accepted_while_a_switch_is_away_and_is_not_undone(world: RestWorld) -> None:
    world.advance(60.0)  # until then a bridge without a past leaves rules that nobody claims
    empty = world.snapshot()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    for dpid in (S1, S2):
        world.disconnect(dpid)
    for _ in range(2):
        response = world.request(f"/evb/vsis/{VM.text}", "DELETE")
        assert (response.status_code, response.json["gone"], response.json["away"]) == (202, False, ["s1", "s2"])
    world.connect(S1)
    response = world.request(f"/evb/vsis/{VM.text}", "DELETE")
    assert (response.status_code, response.json["away"]) == (202, ["s2"])
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.sent[HV1][-1].MODE is VdpMode.DEASSOCIATE
    world.connect(S2)
    assert world.snapshot() == empty
    assert world.refusal(f"/evb/vsis/{VM.text}", "DELETE") == (404, f"no VSI {VM.text}")


@pytest.mark.parametrize("restarted", [False, True])
def test_deleted_vsi_whose_station_was_not_told_stays_off(world: RestWorld, restarted: bool) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.feed(PortChanged(HV1, False))
    world.request(f"/evb/vsis/{VM.text}", "DELETE")
    if restarted:
        world.restart_controller()
    else:
        world.feed(PortChanged(HV1, True))
    for _ in range(2):
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
        assert world.sent[HV1][-1].MODE is VdpMode.DEASSOCIATE
        assert world.engine.registry.named(VM.text) is None
    world.ask(HV1, VM, VdpMode.PREASSOCIATE)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success


def test_deleted_vsi_is_not_revived_by_the_record_of_another_manager(world: RestWorld) -> None:
    first, second = world.manager_id, ManagerId(b"mgr2" + bytes(12))
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.manager_id = second
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    before = len(world.sent[HV1])
    world.request(f"/evb/vsis/{VM.text}", "DELETE")
    world.advance(0.05)
    assert [tlv.MODE for tlv in world.sent[HV1][before:]] == [VdpMode.DEASSOCIATE] * 2
    for world.manager_id in (first, second):
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
        assert world.sent[HV1][-1].MODE is VdpMode.DEASSOCIATE
    assert world.engine.registry.named(VM.text) is None


# --- VSI types ------------------------------------------------------------------------------------
def test_types_tell_who_uses_them(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV2, OTHER, VdpMode.PREASSOCIATE)
    found = {listed["type"]: listed for listed in world.get("/evb/vsitypes")}
    assert found["1/1"]["used_by"] == [VM.text, OTHER.text]
    assert found["1/2"]["used_by"] == []
    (body,) = found["1/1"]["bodies"]
    assert (body["dpid"], body["users"], body["confirmed"]) == (DPID_1, 1, True)


def test_a_type_shows_its_access_lists_as_they_were_written() -> None:
    policies, diagnostics = load_policies([("web.yaml", WEB)])
    assert policies is not None, diagnostics
    found = RestWorld(policies=policies).get("/evb/vsitypes/9/3")
    assert (found["name"], found["file"], found["rules"]) == ("web", "web.yaml", {"from_vm": 0, "to_vm": 3})
    assert found["digest"] == policies.types[VsiTypeKey(9, 3)].digest
    assert found["addresses"] == ["10.0.0.0/8"]
    assert found["to_vm"]["default"] == "deny"
    web, subnet, vlan = found["to_vm"]["rules"]
    assert (web["action"], web["match"]["tcp_dst"], web["line"]) == ("allow", [80, 443], 8)
    assert (subnet["action"], subnet["match"]["ipv4_src"]) == ("deny", "10.9.0.0/255.255.0.0")
    assert vlan["match"]["vlan_vid"] == 100


def test_a_type_shows_the_sets_that_its_rules_name() -> None:
    found = RestWorld(policies=SET_TYPES).get(f"/evb/vsitypes/{PEER.type_id}/{PEER.version}")
    assert found["sets"]["web"] == {"types": [], "labels": ["web"]} and found["labels"] == []
    (rule,) = found["to_vm"]["rules"]
    assert rule["match"]["ipv4_src"] == ["$web", "$peers", "192.0.2.0/255.255.255.0"]
    assert rule["match"]["ipv4_dst"] == "$peers"


# --- sets -----------------------------------------------------------------------------------------
def test_sets_show_their_members_and_the_switches_that_have_them() -> None:
    world = RestWorld(policies=SET_TYPES)
    world.connect()
    member, staged, user = Vm(7, type=WEB_TYPE), Vm(8, type=WEB_TYPE), Vm(9, type=DATABASE)
    world.ask(HV1, member, VdpMode.ASSOCIATE)
    world.ask(HV2, staged, VdpMode.PREASSOCIATE_RR)
    world.ask(HV3, user, VdpMode.ASSOCIATE)
    (found,) = [listed for listed in world.get("/evb/sets") if listed["switches"]]
    assert world.get(f"/evb/sets?vsi={staged.text}&switch={DPID_2}&type=64/1") == [found]
    assert world.get(f"/evb/sets?vsi={user.text}") == world.get(f"/evb/sets?switch={DPID_1}") == []
    assert (found["labels"], found["types"], found["switches"]) == (["web"], ["61"], [DPID_2])
    names = [(definition["type"], definition["name"]) for definition in found["defined"]]
    assert ("64/1", "web") in names and ("68/1", "visitors") in names
    first, second = found["members"]
    assert (first["vsi"], first["port"], first["active"]) == (member.text, PORT_1, True)
    assert first["bindings"] == [{"vid": 100, "mac": "52:54:00:00:00:07"}] and first["addresses"] == ["10.0.100.7"]
    assert (second["vsi"], second["active"]) == (staged.text, False)
    promises = world.get("/evb/reservations")[1]["promises"]
    assert [promise["tables"] for promise in promises if promise["for"] == "member"] == [{"MEMBERS": 1}] * 2


# --- reservations ---------------------------------------------------------------------------------
def test_reservations_name_who_was_promised_what() -> None:
    world = RestWorld(fabric=two_switches(max_rules=500))
    world.connect()
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.advance(1.5)
    first, second = world.get("/evb/reservations")
    assert (first["dpid"], first["budget"], second["used"]) == (DPID_1, 500, 1)
    assert first["used"] == sum(promise["rules"] for promise in first["promises"]) > 0
    timeout = world.engine.stations[HV1].evb.operational.keep_alive_timeout
    for promise in first["promises"]:
        (holder,) = promise["holders"]
        assert (holder["vsi"], holder["port"], holder["phase"]) == (VM.text, PORT_1, "staged")
        assert holder["age"] == pytest.approx(1.5)
        assert holder["expires_in"] == pytest.approx(timeout - 1.5)


def test_the_rules_of_a_type_are_promised_once_to_all_its_vsis(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV2, OTHER, VdpMode.PREASSOCIATE_RR)
    promises = world.get("/evb/reservations")[0]["promises"]
    (shared,) = [promise for promise in promises if promise["for"] == "type"]
    assert [holder["vsi"] for holder in shared["holders"]] == [VM.text, OTHER.text]


def test_reservations_show_meters_tables_and_bandwidth() -> None:
    capacity = SwitchCapacity(tables={30: 900}, meters=500, groups=600, speeds={1: 10_000, 11: 20_000})
    world = RestWorld(policies=LIMITED_TYPES, capacity=capacity)
    world.connect()
    world.ask(HV1, Vm(7, type=RESERVED), VdpMode.PREASSOCIATE_RR)
    first, second = world.get("/evb/reservations")
    meters = len(world.tables[S1].meters)
    assert first["meters"] == {"budget": 500, "base": meters - 1, "used": 1}
    assert first["groups"] == {"budget": 600, "base": len(world.tables[S1].groups), "used": 0}
    assert first["tables"]["ACL_FROM"]["budget"] == 900
    assert sum(table["used"] for table in first["tables"].values()) == first["used"]
    ports = {port["port"]: port for port in first["bandwidth"]}
    assert ports[1] == {"port": 1, "speed": 10_000, "sent": 600, "received": 400}
    assert ports[11] == {"port": 11, "speed": 20_000, "sent": 400, "received": 0}
    (promise,) = [promise for promise in first["promises"] if promise["for"] == "vsi"]
    assert ports[12]["speed"] is None
    assert promise["meters"] == 1 and promise["tables"]["METERED_TO"] == 1
    assert promise["bandwidth"] == [
        {"port": 1, "sent": 600, "received": 400},
        {"port": 11, "sent": 400, "received": 0},
    ]
    assert second["promises"][0]["bandwidth"] == [{"port": 11, "sent": 600, "received": 0}]


def test_reservations_show_groups() -> None:
    world = RestWorld(fabric=without_extensions(two_switches(), S1))
    world.connect()
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    first = world.get("/evb/reservations")[0]
    groups = {promise["for"]: promise["groups"] for promise in first["promises"]}
    assert groups["vsi"] == 0 and groups["flood"] > 0
    assert first["groups"]["used"] == sum(groups.values())


# --- stations -------------------------------------------------------------------------------------
def test_a_station_shows_what_was_agreed(world: RestWorld) -> None:
    world.agree(HV1, rte=12, rrreq=True)
    found = world.get("/evb/stations")
    assert [station["name"] for station in found] == ["hv1", "hv2", "hv3", "hv4"]
    station = found[0]
    assert (station["port"], station["link"], station["evb"]) == (PORT_1, "up", "agreed")
    assert (station["station"], station["reflective_relay"]) == ("02:00:00:00:01:01", True)
    assert station["timers"]["rte"] == 12
    assert station["timers"]["ack_timer"] == pytest.approx(0.04096)
    assert found[1]["station"] is None


def test_a_station_tells_a_link_that_is_down_from_a_switch_that_is_away(world: RestWorld) -> None:
    world.agree(HV1)
    world.agree(HV3)
    world.feed(PortChanged(HV1, False))
    world.disconnect(S2)
    told = {station["name"]: (station["link"], station["evb"]) for station in world.get("/evb/stations")}
    assert told["hv1"] == ("down", "link down")
    assert told["hv3"] == (None, "switch disconnected")
    lost = {
        event["port"]: event["detail"]["reason"] for event in world.get("/evb/events") if event["kind"] == "evb.lost"
    }
    assert lost == {PORT_1: "link down", PORT_3: "switch disconnected"}
    world.hold.add(S2)
    world.connect(S2)
    assert [station["evb"] for station in world.get("/evb/stations") if station["name"] == "hv3"] == [
        "switch not ready"
    ]


def test_a_station_shows_what_went_wrong(world: RestWorld) -> None:
    world.feed(FrameReceived(HV1, b"too short"))
    station = world.get("/evb/stations")[0]
    assert station["dropped"] == {"malformed": 1}
    assert station["ecp"]["retransmissions"] == 0


# --- migrations and events ------------------------------------------------------------------------
def test_a_migration_shows_its_steps(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    found = world.get(f"/evb/migrations?vsi={VM.text}")[-1]
    assert (found["vsi"], found["source"], found["destination"]) == (VM.text, PORT_1, PORT_3)
    assert (found["state"], found["finished"]) == ("completed", True)
    kinds = [event["kind"] for event in found["events"]]
    assert kinds.index("flow.staged") < kinds.index("flow.activated") < kinds.index("vsi.gone")
    step = found["events"][0]
    assert step["wall"] == EPOCH + step["t"]
    assert (step["dpid"], step["port"], step["detail"]["mode"]) == (DPID_2, PORT_3, "PREASSOCIATE_RR")
    assert world.get(f"/evb/migrations/{found['id']}") == found


def test_migrations_can_be_asked_for_one_vsi(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV2, OTHER, VdpMode.ASSOCIATE)
    assert len(world.get("/evb/migrations")) == 2
    assert [listed["vsi"] for listed in world.get(f"/evb/migrations?vsi={OTHER.text}")] == [OTHER.text]


def test_a_migration_from_nowhere_has_no_source(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    assert world.get("/evb/migrations")[0]["source"] is None


def test_events_go_on_where_the_reader_stopped(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    seen = world.get("/evb/events")
    world.advance(1.0)
    assert world.get(f"/evb/events?since={seen[-1]['t']!r}") == []
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    news = world.get(f"/evb/events?since={seen[-1]['t']!r}")
    assert news[0]["kind"] == "vdp.request"
    assert {event["vsi"] for event in news} == {VM.text}
    assert world.get("/evb/events") == [*seen, *news]


def test_an_event_at_a_port_names_its_switch(world: RestWorld) -> None:
    world.agree(HV1)
    (agreed,) = [event for event in world.get("/evb/events") if event["kind"] == "evb.agreed"]
    assert (agreed["dpid"], agreed["port"], agreed["vsi"]) == (DPID_1, PORT_1, None)


def test_a_refused_migration_says_so(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.refuse[S2, Mode.STAGE] = "table full"
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    assert world.get("/evb/migrations")[-1]["state"] == "refused"
