"""GET /evb/appliances: the instances in use, and where they are."""

from __future__ import annotations

from ryu_apps.evb.events.switch import PortChanged
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.vsi.test_hardware_appliances import BOTH, GATEWAY, INNER, OUTER, hardware
from tests.worlds.rest import RestWorld
from tests.worlds.steered import POLICIES, ROUTER_MACS, Bump, router, three_switches

AT, ELSEWHERE = PortId(2, 1), PortId(3, 1)


def test_instances_are_shown_with_their_places() -> None:
    world = RestWorld(three_switches(), POLICIES)
    world.connect()
    bump, gateway = Bump(40, instance="one"), router("r2")
    world.ask(AT, bump, VdpMode.ASSOCIATE)
    world.ask(ELSEWHERE, gateway, VdpMode.ASSOCIATE)
    world.feed(PortChanged(ELSEWHERE, False))
    of_bump = {"vsi": bump.text, "at": str(AT)}
    away = {"vsi": None, "at": None}
    assert world.get("/evb/appliances") == [
        {
            "name": "fw",
            "vlan": 100,
            "passed": 4000,
            "instances": [
                {
                    "name": "one",
                    "mac": None,
                    "in_use": True,
                    "silent": False,
                    "parts": [{"vlan": 4001, **of_bump}, {"vlan": 4002, **of_bump}],
                },
                {
                    "name": "two",
                    "mac": None,
                    "in_use": False,
                    "silent": False,
                    "parts": [{"vlan": 4003, **away}, {"vlan": 4004, **away}],
                },
            ],
        },
        {
            "name": "routers",
            "vlan": 100,
            "passed": None,
            "instances": [
                {
                    "name": "r1",
                    "mac": "52:54:00:00:00:51",
                    "in_use": False,
                    "silent": False,
                    "parts": [{"vlan": 100, **away}],
                },
                {
                    "name": "r2",
                    "mac": f"52:54:00:00:00:{ROUTER_MACS['r2'] & 0xFF:02x}",
                    "in_use": False,
                    "silent": False,
                    "parts": [{"vlan": 100, "vsi": gateway.text, "at": str(ELSEWHERE)}],
                },
            ],
        },
    ]
    lines = world.request("/metrics").text.splitlines()
    assert 'evb_appliance_instances{appliance="fw"} 1.0' in lines
    assert 'evb_appliance_instances{appliance="routers"} 0.0' in lines
    assert world.get("/evb/appliances?vlan=7") == []
    assert [found["name"] for found in world.get("/evb/appliances?after=fw")] == ["routers"]


def test_hardware_is_shown_at_its_host_ports() -> None:
    world = RestWorld(hardware(), POLICIES)
    world.connect()
    bumps, routers = world.get("/evb/appliances")
    one, two = bumps["instances"]
    assert one["in_use"] and {(part["vsi"], part["at"]) for part in one["parts"]} == {(None, str(BOTH))}
    assert [part["at"] for part in two["parts"]] == [str(INNER), str(OUTER)]
    assert [(each["in_use"], each["parts"][0]["at"]) for each in routers["instances"]] == [
        (True, str(GATEWAY)),
        (False, None),
    ]
