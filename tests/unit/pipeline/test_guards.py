"""A VM is no router, no DHCP server and no querier, and nobody else, unless its type says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import combinations

import pytest

from ryu_apps.evb.flow.guarded import NetworkRole, derived_link_local, frames_of
from ryu_apps.evb.flow.match import PRIORITY_TAGGED, MatchFields, match
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS, body_of_type
from ryu_apps.evb.simulation.packet import matches
from ryu_apps.evb.topology.balancer import LoadBalancer, TransportProtocol
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, NMS, NMS_MAC, S1, VLAN, Vm, World, two_switches

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
ROLES = tuple(role.value for role in NetworkRole)
GATEWAY = tuple(map(ip_address, ("10.0.100.254", "fd00:100::ff", "fe80::ff:1234:5678:9abc")))
VIRTUAL = ip_address("10.0.100.200")


def text(key: VsiTypeKey, body: str) -> tuple[str, str]:
    head = f"version: 1\nvsi_type: {{type_id: {key[0]}, version: {key[1]}, name: guarded}}\n"
    return str(key), head + "from_vm: {default: allow}\nto_vm: {default: allow}\n" + body


#: One type that says nothing, and one for each role; a firewall that denies; low addresses that are listed.
PLAIN, WALLED, LISTED = VsiTypeKey(40, 1), VsiTypeKey(41, 1), VsiTypeKey(42, 1)
OF_ROLE = {role: VsiTypeKey(50 + number, 1) for number, role in enumerate(ROLES)}


def policies() -> PolicySet:
    files = [
        text(PLAIN, ""),
        text(WALLED, "firewall: {from_vm: {default: deny}, to_vm: {default: deny}}\n"),
        text(LISTED, "addresses: [10.0.0.0/8, 'fe80::5/128']\n"),
        *(text(key, f"roles: [{role}]\n") for role, key in OF_ROLE.items()),
    ]
    found, mistakes = load_policies(files, SECTIONS)
    assert found is not None, mistakes
    return found


POLICIES = policies()


def fabric() -> Fabric:
    made = two_switches()
    switch = made.switches[S1]
    host = replace(switch.interfaces[NMS.port_no], addresses=GATEWAY)
    switch = replace(switch, interfaces={**switch.interfaces, NMS.port_no: host})
    return replace(made, switches={**made.switches, S1: switch})


def ready(key: VsiTypeKey, vm: Vm | None = None) -> World:
    world = World(policies=POLICIES, fabric=fabric())
    world.connect()
    world.ask(HV1, vm or Vm(1, type=key), VdpMode.ASSOCIATE)
    return world


def passes(world: World, **fields: int) -> bool:
    frame = {"eth_src": Vm(1).mac, "eth_dst": NMS_MAC, "vlan_vid": 0} | fields
    return NMS in [delivery.port for delivery in world.carry(HV1, frame)]


def addressed(version: int, source: str | None = None, **fields: int) -> dict[str, int]:
    ours, theirs = ("10.0.100.1", "10.0.100.254") if version == 4 else ("fe80::5054:ff:fe00:1", "ff02::1")
    ends = {f"ipv{version}_src": int(ip_address(source or ours)), f"ipv{version}_dst": int(ip_address(theirs))}
    return {"eth_type": IPV4 if version == 4 else IPV6, **ends, **fields}


def udp(version: int, source: int, target: int, to: str | None = None) -> dict[str, int]:
    sent = addressed(version, ip_proto=17, udp_src=source, udp_dst=target)
    return sent | ({f"ipv{version}_dst": int(ip_address(to))} if to else {})


def icmpv6(kind: int, source: str | None = None, **fields: int) -> dict[str, int]:
    return addressed(6, source, ip_proto=58, icmpv6_type=kind, icmpv6_code=0, **fields)


def igmp(to: str) -> dict[str, int]:
    return addressed(4, ip_proto=2) | {"ipv4_dst": int(ip_address(to))}


_OWN = int(ip_address("fe80::5054:ff:fe00:1"))
#: What the issue names and its like, by the role that may send it.
FRAMES: dict[str, dict[str, dict[str, int]]] = {
    "router": {
        "router advertisement": icmpv6(134),
        "redirect 6": icmpv6(137),
        **{
            f"advertisement of a router, {flags:#x}": icmpv6(136, ipv6_nd_target=_OWN, nd_reserved=flags)
            for flags in (0x80000000, 0xA0000000, 0xC0000000, 0xE0000000, 0x80000001)
        },
        "redirect 4": addressed(4, ip_proto=1, icmpv4_type=5, icmpv4_code=1),
        "router advertisement 4": addressed(4, ip_proto=1, icmpv4_type=9, icmpv4_code=0),
        **{
            f"{name} {version}": addressed(version, ip_proto=number)
            for name, number in (("VRRP", 112), ("OSPF", 89), ("EIGRP", 88), ("PIM", 103))
            for version in (4, 6)
        },
        "RIP": udp(4, 520, 520, "224.0.0.9"),
        "RIPng": udp(6, 521, 521, "ff02::9"),
        "HSRP": udp(4, 1985, 1985, "224.0.0.2"),
        "HSRP 2": udp(4, 1985, 1985, "224.0.0.102"),
        "HSRP 6": udp(6, 2029, 2029, "ff02::66"),
        "GLBP": udp(4, 3222, 3222, "224.0.0.102"),
    },
    "dhcp_server": {
        "offer": udp(4, 67, 68),
        "offer from elsewhere": udp(4, 5000, 68),
        "relayed": udp(4, 67, 67),
        "advertise": udp(6, 547, 546),
        "advertise from elsewhere": udp(6, 5000, 546),
        "relayed 6": udp(6, 547, 547),
    },
    "querier": {
        "IGMP query": igmp("224.0.0.1"),
        "multicast router": igmp("224.0.0.106"),
        **{f"IGMP query to {to}": igmp(to) for to in ("10.0.100.254", "172.16.0.1", "192.0.2.1", "255.255.255.255")},
        "MLD query": icmpv6(130),
        "multicast router 6": icmpv6(151),
    },
}
#: What every VM may send.
HARMLESS = {
    "solicitation of routers": icmpv6(133),
    "ping": icmpv6(128),
    "discover": udp(4, 68, 67),
    "solicit": udp(6, 546, 547),
    "IGMP report": igmp("239.1.1.1"),
    "IGMP 3 report": igmp("224.0.0.22"),
    "IGMP leave": igmp("224.0.0.2"),
    "MLD report": icmpv6(143),
    "answer to a port of HSRP": udp(4, 53, 1985),
    **{
        f"own link-local address, {flags:#x}": icmpv6(136, ipv6_nd_target=_OWN, nd_reserved=flags)
        for flags in (0, 0x20000000, 0x40000000, 0x60000000)
    },
}


def named() -> Iterator[tuple[str, str]]:
    yield from ((role, name) for role, frames in FRAMES.items() for name in frames)


@pytest.mark.parametrize("key", [PLAIN, WALLED], ids=["allows all", "firewall"])
@pytest.mark.parametrize(("role", "name"), list(named()))
def test_what_only_a_role_sends_passes_no_other_type(key: VsiTypeKey, role: str, name: str) -> None:
    world = ready(key)
    assert not passes(world, **FRAMES[role][name])
    assert not passes(world, **FRAMES[role][name] | {"vlan_vid": PRIORITY_TAGGED})


@pytest.mark.parametrize("role", ROLES)
def test_a_type_that_has_the_role_may_send_it_and_nothing_of_other_roles(role: str) -> None:
    world = ready(OF_ROLE[role])
    assert {name: passes(world, **FRAMES[other][name]) for other, name in named()} == {
        name: other == role for other, name in named()
    }


@pytest.mark.parametrize("name", HARMLESS)
def test_a_client_of_all_that_is_not_hindered(name: str) -> None:
    assert passes(ready(PLAIN), **HARMLESS[name])


@pytest.mark.parametrize(("role", "name"), list(named()))
def test_in_fragments_it_is_the_same(role: str, name: str) -> None:
    """RFC 7113: a first fragment shows what it is, or is dropped."""
    world = ready(PLAIN)
    assert not passes(world, **FRAMES[role][name], ip_frag=1)
    assert not passes(world, **addressed(6, ip_proto=58), ip_frag=1, icmpv6_type=0, icmpv6_code=0)
    assert not passes(world, **addressed(6, ip_proto=0))
    assert not passes(world, **icmpv6(135), ip_frag=1) and not passes(world, **icmpv6(136), ip_frag=1)


@pytest.mark.parametrize("key", [PLAIN, *OF_ROLE.values()])
@pytest.mark.parametrize("vlan_vid", [0, PRIORITY_TAGGED])
@pytest.mark.parametrize("eth_dst", [0x0180C2000000, 0x0180C2000008, 0x01000CCCCCCD])
def test_no_type_has_a_vm_take_part_in_a_spanning_tree(key: VsiTypeKey, vlan_vid: int, eth_dst: int) -> None:
    """RSTP of bridges and of provider bridges, and PVST+; a switch shows LLC as type 0x05ff."""
    assert not ready(key).carry(
        HV1, {"eth_src": Vm(1).mac, "eth_dst": eth_dst, "eth_type": 0x05FF, "vlan_vid": vlan_vid}
    )


@pytest.mark.parametrize("eth_dst", [0x0180C2000000, 0x0180C2000003, 0x0180C200000E])
def test_what_no_bridge_forwards_stays_at_its_port_whatever_is_in_it(eth_dst: int) -> None:
    frame = {"eth_src": Vm(1).mac, "eth_dst": eth_dst, "vlan_vid": 0} | udp(4, 5000, 5001)
    world = ready(PLAIN)
    assert world.carry(HV1, frame | {"eth_dst": 0x0180C2000010})
    assert not world.carry(HV1, frame)


def test_roles_share_no_frame() -> None:
    """A role that a type has must not open what another one guards."""
    for role, other in combinations(NetworkRole, 2):
        for mine in frames_of(role):
            assert not any(_overlap(mine, theirs) for theirs in frames_of(other)), (role, other, mine)


def _overlap(one: MatchFields, other: MatchFields) -> bool:
    plain = {name: value[0] if isinstance(value, tuple) else value for name, value in one.items()}
    common = {name: value for name, value in other.items() if name in plain}
    return set(common) == set(other) and matches(match(**common), plain)


# --- addresses of others -----------------------------------------------------------------------------
def claims(address: str) -> list[dict[str, int]]:
    one = ip_address(address)
    if one.version == 4:
        arp = {"eth_type": ARP, "arp_op": 2, "arp_sha": Vm(1).mac, "arp_spa": int(one), "arp_tpa": 1}
        probe = arp | {"arp_op": 1, "arp_spa": 0, "arp_tpa": int(one)}
        return [addressed(4, address, ip_proto=17, udp_src=1, udp_dst=2), arp, probe]
    target = {"ipv6_nd_target": int(one)}
    return [icmpv6(128, address), icmpv6(136, address, **target), icmpv6(135, "::", **target)]


def of_an_unknown_vm(key: VsiTypeKey) -> World:
    """Its station has told no address: it may use any that its type allows."""
    world = World(policies=POLICIES, fabric=fabric())
    world.connect()
    world.send(HV1, Vm(1, type=key).tlv(VdpMode.ASSOCIATE))
    return world


@pytest.mark.parametrize("address", [*map(str, GATEWAY), "fe80::ff:fe00:f01", "fe80::1", "fe80::ffff"])
def test_nobody_has_the_address_of_a_gateway(address: str) -> None:
    """Configured ones, those that follow from a configured MAC, and low link-local ones."""
    world = of_an_unknown_vm(PLAIN)
    assert not any(passes(world, **claim) for claim in claims(address))


def test_a_claim_that_the_switch_does_not_read_passes_from_nowhere() -> None:
    """Kernels read ARP of hardware type 6, and discovery with an option twice; the fields of both are 0."""
    world = of_an_unknown_vm(PLAIN)
    unread: tuple[dict[str, int], ...] = (
        {"eth_type": ARP, "arp_op": 0, "arp_spa": 0, "arp_tpa": 0, "arp_sha": 0, "arp_tha": 0},
        icmpv6(135, ipv6_nd_target=0),
        icmpv6(136, ipv6_nd_target=0),
    )
    for frame in unread:
        assert not passes(world, **frame) and not passes(world, **frame, vlan_vid=PRIORITY_TAGGED)
        assert not world.carry(NMS, {"eth_src": NMS_MAC, "eth_dst": Vm(1).mac, "vlan_vid": 0, **frame})
    known = icmpv6(136, ipv6_nd_target=int(ip_address("fe80::5054:ff:fe00:1")))
    assert world.carry(NMS, {"eth_src": NMS_MAC, "eth_dst": Vm(1).mac, "vlan_vid": 0, **known})


def test_that_follows_from_the_mac_of_the_gateway() -> None:
    assert derived_link_local(NMS_MAC).value == int(ip_address("fe80::ff:fe00:f01"))
    assert derived_link_local(0x525400AA0001).value == int(ip_address("fe80::5054:ff:feaa:1"))


@pytest.mark.parametrize("address", ["10.0.100.9", "fd00:100::9", "fe80::1234:5678:9abc:def0", "fe80::1:0"])
def test_other_addresses_are_free(address: str) -> None:
    world = of_an_unknown_vm(PLAIN)
    assert all(passes(world, **claim) for claim in claims(address))


def test_nobody_has_a_virtual_address() -> None:
    one = LoadBalancer(1, "web", VLAN, 0x0200000064C8, (VIRTUAL,), TransportProtocol.TCP, 80, ())
    world = World(policies=POLICIES, fabric=replace(fabric(), balancers=(one,)))
    world.connect()
    world.send(HV1, Vm(1, type=PLAIN).tlv(VdpMode.ASSOCIATE))
    assert not any(passes(world, **claim) for claim in claims(str(VIRTUAL)))


def test_a_router_may_have_a_low_link_local_address_and_not_that_of_the_gateway() -> None:
    world = of_an_unknown_vm(OF_ROLE["router"])
    assert all(passes(world, **claim) for claim in claims("fe80::1"))
    assert passes(world, **icmpv6(134, "fe80::1"))
    assert not any(passes(world, **claim) for claim in claims(str(GATEWAY[2])))


def test_a_low_address_that_was_told_or_listed_is_the_vm_s_own() -> None:
    world = ready(LISTED)
    assert all(passes(world, **claim) for claim in claims("fe80::5"))
    assert not any(passes(world, **claim) for claim in claims("fe80::1"))
    told = World(policies=POLICIES, fabric=fabric())
    told.connect()
    told.send(HV1, Vm(1, type=PLAIN).tlv(VdpMode.ASSOCIATE), ip_address("fe80::7"))
    assert all(passes(told, **claim) for claim in claims("fe80::7"))
    assert not any(passes(told, **claim) for claim in claims("fe80::8"))
    # It has an address of its own there, and no role with it.
    assert not passes(told, **icmpv6(134, "fe80::7"))


# --- what a file may say -------------------------------------------------------------------------------
def test_guards_cost_a_type_nothing_unless_it_has_a_role() -> None:
    def guarding(key: VsiTypeKey) -> int:
        return sum(rule.table in (Table.GUARD, Table.CLAIM) for rule in body_of_type(POLICIES.types[key], 1))

    assert [guarding(key) for key in (PLAIN, WALLED, *OF_ROLE.values())] == [0, 0, 22, 4, 9]


def test_a_role_is_part_of_the_meaning_and_its_order_is_not() -> None:
    def digest(body: str) -> str:
        found, mistakes = load_policies([text(PLAIN, body)], SECTIONS)
        assert found is not None, mistakes
        return found.types[PLAIN].digest

    assert digest("roles: [router, querier]\n") == digest("roles: [querier, router]\n") != digest("")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("roles: [rooter]\n", "input should be 'router', 'dhcp_server' or 'querier'"),
        ("roles: [querier]\nmulticast: {}\n", "a VM that is snooped cannot be a querier"),
    ],
)
def test_mistakes(body: str, complaint: str) -> None:
    found, mistakes = load_policies([text(PLAIN, body)], SECTIONS)
    assert found is None and any(complaint in str(mistake) for mistake in mistakes)
