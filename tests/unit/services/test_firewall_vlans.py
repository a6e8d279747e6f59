"""A VSI in several VLANs: what is known in one of them is unknown in the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ryu_apps.evb.flow.actions import Learn, LearnSpec, whole
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.model import Binding, VsiBinding
from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.body import SECTIONS, body_of_type, body_of_vsi
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.vdp import ASSOCIATIONS, RequestStatus, VdpMode
from ryu_apps.sources import read_sources
from tests.unit.services.test_firewall import (
    ACK,
    CLIENT,
    ECHO,
    POLICIES,
    REPLY,
    SYN,
    VM,
    Site,
    handshake,
    icmp,
    of,
    peer,
    tcp,
    udp,
)
from tests.worlds.bridge import HV1, HV3, NMS, S1, VLAN, World, two_switches

OTHER_VLAN = 200
TAG = {"vlan_vid": VLAN_PRESENT | OTHER_VLAN, "vlan_pcp": 0}
BOTH_VERSIONS = pytest.mark.parametrize("version", [4, 6])


def two_vlans() -> Fabric:
    """All end systems are in two VLANs, one of them tagged."""
    fabric = two_switches()
    switches = {
        dpid: replace(
            switch,
            interfaces={
                number: interface if interface.peer else replace(interface, tagged_vlans=(OTHER_VLAN,))
                for number, interface in switch.interfaces.items()
            },
        )
        for dpid, switch in fabric.switches.items()
    }
    return replace(fabric, switches=switches)


def admit(site: Site, port: PortId, *modes: VdpMode) -> None:
    """VM is in both VLANs, with one address."""
    info = FilterInfo.of(MacVid(VLAN, VM.mac), MacVid(OTHER_VLAN, VM.mac))
    for mode in modes:
        site.world.send(port, ASSOCIATIONS[mode](RequestStatus(), *VM.type, VM.vsi_id, info))
        assert site.world.answer(port).success


@pytest.fixture
def site() -> Site:
    site = Site(World(two_vlans(), POLICIES))
    admit(site, HV1, VdpMode.ASSOCIATE)
    return site


@BOTH_VERSIONS
@pytest.mark.parametrize("learnt_in", [VLAN, OTHER_VLAN])
def test_what_was_asked_for_in_one_vlan_lets_nothing_in_from_another(site: Site, version: int, learnt_in: int) -> None:
    here, there = ({}, TAG) if learnt_in == VLAN else (TAG, {})
    asked = [
        (tcp(CLIENT, peer(443), SYN, version), tcp(peer(443), CLIENT, SYN | ACK, version)),
        (udp(CLIENT, peer(53), version), udp(peer(53), CLIENT, version)),
        (icmp(of(VM), peer(), ECHO, version), icmp(peer(), of(VM), REPLY, version)),
    ]
    for question, answer in asked:
        assert site.passes(question | here)
        assert not site.passes(answer | there), "the same addresses and ports, in the other VLAN"
        assert site.passes(answer | here)
    assert not site.passes(tcp(CLIENT, peer(443), ACK, version) | there), "and nothing of it gets out there"


def test_the_same_addresses_are_two_connections_in_two_vlans(site: Site) -> None:
    for frame in handshake(CLIENT, peer(443)):
        assert site.passes(frame) and site.passes(frame | TAG)
    assert len(site.state()) == 4


def test_carried_connections_stay_in_their_vlan(site: Site) -> None:
    assert all(site.passes(frame | TAG) for frame in handshake(CLIENT, peer(443)))
    admit(site, HV3, VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE)
    assert len(site.state(HV3.dpid)) == 2 and site.world.rules(S1, CookieKind.STATE) == {}
    answer = tcp(peer(443), CLIENT, ACK)
    assert [arrival.port for arrival in site.world.carry(NMS, answer)] == []
    assert [arrival.port for arrival in site.world.carry(NMS, answer | TAG)] == [HV3]


def test_whatever_a_service_learns_is_about_one_vlan() -> None:
    """Connections and pins of every service; so one that is added later is looked at too."""
    texts, unreadable = read_sources([Path(__file__).parents[3] / "policies"])
    found, _ = load_policies(texts, SECTIONS)
    assert found is not None and not unreadable
    binding = VsiBinding(7, 1, (Binding(VLAN, VM.mac),))
    rules = [
        rule
        for vsi_type in found.types.values()
        for rule in (*body_of_type(vsi_type, 1), *body_of_vsi(vsi_type, binding))
    ]
    learning = [action for rule in rules for action in rule.apply if isinstance(action, Learn)]
    assert {action.table for action in learning} >= {Table.CONNECTIONS, Table.PROXY_PINS, Table.BALANCER_PINS}
    vlan = LearnSpec(whole("vlan_vid"), whole("vlan_vid"))
    assert all(vlan in action.match for action in learning)
