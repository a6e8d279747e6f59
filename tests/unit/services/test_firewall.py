"""The stateful firewall on a simulated switch: who may begin, what belongs to it, and when it is enough."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import NamedTuple

import pytest

from ryu_apps.evb.flow.actions import FinTimeout, Output
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import CookieKind, Table, parse_cookie
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.simulation.switch import forward
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, HV2, HV3, NMS, NMS_MAC, S1, S2, Vm, World

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
TCP, UDP = 6, 17
ECHO, REPLY, UNREACHABLE, TIMESTAMP = "echo request", "echo reply", "unreachable", "timestamp"
ICMP_TYPES = {4: {ECHO: 8, REPLY: 0, UNREACHABLE: 3, TIMESTAMP: 13}, 6: {ECHO: 128, REPLY: 129, UNREACHABLE: 1}}
BROADCAST = 0xFFFFFFFFFFFF
#: A port that nobody has, below those of trunks.
COUNTER = 9
BOTH_VERSIONS = pytest.mark.parametrize("version", [4, 6])

#: Anyone may come in by 80 and 5000 and with a ping; the VM may go out by 443 and 53, with a ping, and to 10.0.100.99.
WALLED, SMALL, WIDE, LATER = VsiTypeKey(10, 1), VsiTypeKey(11, 1), VsiTypeKey(12, 1), VsiTypeKey(10, 2)
LIMIT = 3
POLICY = """\
version: 1
vsi_type: {{type_id: {key[0]}, version: {key[1]}, name: walled}}
anti_spoofing: {{ip: false}}
firewall:
  max_connections: {limit}
  from_vm:
    default: {default}
    rules:
      - rule: {{tcp_dst: 443, actions: {{allow: 1}}}}
      - rule: {{udp_dst: 53, actions: {{allow: 1}}}}
      - rule: {{icmpv4_type: echo_request, actions: {{allow: 1}}}}
      - rule: {{icmpv6_type: echo_request, actions: {{allow: 1}}}}
  to_vm:
    default: {default}
    rules:
      - rule: {{tcp_dst: 80, actions: {{allow: 1}}}}
      - rule: {{udp_dst: 5000, actions: {{allow: 1}}}}
      - rule: {{icmpv4_type: echo_request, actions: {{allow: 1}}}}
      - rule: {{icmpv6_type: echo_request, actions: {{allow: 1}}}}
"""


def policies() -> PolicySet:
    texts = {
        WALLED: POLICY.format(key=WALLED, limit=100, default="deny"),
        LATER: POLICY.format(key=LATER, limit=101, default="deny"),
        SMALL: POLICY.format(key=SMALL, limit=LIMIT, default="deny"),
        WIDE: POLICY.format(key=WIDE, limit=100, default="allow"),
    }
    found, mistakes = load_policies([(str(key), text) for key, text in texts.items()], SECTIONS)
    assert found is not None, mistakes
    return found


POLICIES = policies()


class End(NamedTuple):
    """One end of a conversation: which station, and its port (nothing with ICMP)."""

    mac: int
    number: int
    port: int = 0


def peer(port: int = 0, number: int = 240) -> End:
    """The end system at NMS; with another number, another address of it."""
    return End(NMS_MAC, number, port)


def of(vm: Vm, port: int = 0) -> End:
    return End(vm.mac, vm.number, port)


def packet(source: End, target: End, version: int = 4) -> dict[str, int]:
    """IP without anything in it."""
    if version == 4:
        net, eth_type = int(ip_address("10.0.100.0")), 0x0800
    else:
        net, eth_type = int(ip_address("fd00::")), 0x86DD
    name = f"ipv{version}"
    ends = {f"{name}_src": net + source.number, f"{name}_dst": net + target.number}
    ethernet = {"eth_src": source.mac, "eth_dst": target.mac, "eth_type": eth_type, "vlan_vid": 0}
    return {**ethernet, **ends, "ip_proto": 0, "ip_dscp": 0}


def tcp(source: End, target: End, flags: int, version: int = 4) -> dict[str, int]:
    inside = {"ip_proto": TCP, "tcp_src": source.port, "tcp_dst": target.port, "tcp_flags": flags}
    return packet(source, target, version) | inside


def udp(source: End, target: End, version: int = 4) -> dict[str, int]:
    return packet(source, target, version) | {"ip_proto": UDP, "udp_src": source.port, "udp_dst": target.port}


def icmp(source: End, target: End, kind: str, version: int = 4) -> dict[str, int]:
    name, proto = ("icmpv4", 1) if version == 4 else ("icmpv6", 58)
    inside = {"ip_proto": proto, f"{name}_type": ICMP_TYPES[version][kind], f"{name}_code": 0}
    return packet(source, target, version) | inside


def turned(frame: dict[str, int], **changed: int) -> dict[str, int]:
    """The same frame the other way round."""
    names = {name: name.replace("_src", "_").replace("_dst", "_src").replace("__", "_") for name in frame}
    names |= {name: name.replace("_src", "_dst") for name in frame if name.endswith("_src")}
    return {names[name].removesuffix("_"): value for name, value in frame.items()} | changed


@dataclass
class Site:
    """VMs at ports, and whether what is sent arrives."""

    world: World = field(default_factory=lambda: World(policies=POLICIES))

    def __post_init__(self) -> None:
        self.world.connect()

    def admit(self, vm: Vm, port: PortId = HV1, mode: VdpMode = VdpMode.ASSOCIATE) -> Vm:
        self.world.ask(port, vm, mode, migrating=True)
        assert self.world.answer(port).success
        return vm

    def send(self, port: PortId, frame: dict[str, int]) -> list[int]:
        """The edge ports of its switch that a frame comes out of."""
        return ports_of(self.world.tables[port.dpid], port, frame)

    def passes(self, frame: dict[str, int]) -> bool:
        """True if a frame between a VM at HV1 and an end system at NMS is delivered."""
        port, target = (NMS, HV1) if frame["eth_src"] == NMS_MAC else (HV1, NMS)
        arrived = self.send(port, frame)
        assert arrived in ([], [target.port_no])
        return bool(arrived)

    def state(self, dpid: int = S1) -> list[Rule]:
        return list(self.world.rules(dpid, CookieKind.STATE).values())


def ports_of(table: FlowTable, port: PortId, frame: dict[str, int]) -> list[int]:
    return [arrival.port for arrival in forward(table, {**frame, "in_port": port.port_no}) if arrival.port < 11]


@pytest.fixture
def site() -> Site:
    return Site()


VM, OTHER = Vm(7, WALLED), Vm(8, WALLED)
SERVER, CLIENT = of(VM, 80), of(VM, 1024)


def handshake(client: End, server: End, version: int = 4) -> list[dict[str, int]]:
    return [
        tcp(client, server, SYN, version),
        tcp(server, client, SYN | ACK, version),
        tcp(client, server, ACK, version),
    ]


def showing_refusals(site: Site, vm: Vm, port_no: int) -> None:
    """From now on, what the counter of refused connections of a VSI sees comes out of a port."""
    vsi = site.world.engine.registry.vsi(vm.vsi_id)
    assert vsi is not None and vsi.gate_program is not None
    index = vsi.gate_program.binding.vsi_index
    for key, rule in site.world.rules(S1, CookieKind.VSI_BODY).items():
        owner = parse_cookie(rule.cookie)
        if key.table in (Table.LIMIT_FROM, Table.LIMIT_TO) and owner is not None and owner.owner == index:
            site.world.tables[S1].rules[key] = replace(rule, apply=(Output(port_no),))


# --- who may begin --------------------------------------------------------------------------------
@BOTH_VERSIONS
@pytest.mark.parametrize(
    ("ours", "theirs", "inward", "outward"),
    [(80, 4000, True, False), (1024, 443, False, True), (1024, 81, False, False), (5000, 53, False, False)],
)
def test_tcp_begins_only_where_its_direction_allows(
    site: Site, version: int, ours: int, theirs: int, inward: bool, outward: bool
) -> None:
    site.admit(VM)
    there, back = of(VM, ours), peer(theirs)
    assert site.passes(tcp(back, there, SYN, version)) is inward
    site.world.tables[S1].rules = {
        key: rule for key, rule in site.world.tables[S1].rules.items() if key.table != Table.CONNECTIONS
    }
    assert site.passes(tcp(there, back, SYN, version)) is outward


@BOTH_VERSIONS
def test_udp_begins_only_where_its_direction_allows(site: Site, version: int) -> None:
    site.admit(VM)
    assert site.passes(udp(peer(4000), of(VM, 5000), version))
    assert not site.passes(udp(peer(4000), of(VM, 53), version))
    assert site.passes(udp(of(VM, 4000), peer(53), version))
    assert not site.passes(udp(of(VM, 4000), peer(5000), version))


@BOTH_VERSIONS
def test_ping_needs_a_rule_and_nobody_sends_replies_unasked(site: Site, version: int) -> None:
    site.admit(VM)
    for sender, other in ((of(VM), peer()), (peer(), of(VM))):
        assert not site.passes(icmp(other, sender, REPLY, version))
        assert site.passes(icmp(sender, other, ECHO, version))
        assert site.passes(icmp(other, sender, REPLY, version))


def test_ping_one_way_is_none_the_other_way(site: Site) -> None:
    text = POLICY.format(key=WALLED, limit=100, default="deny").replace("icmpv4_type: echo_request", "tcp_dst: 99", 1)
    found, _ = load_policies([("p", text)], SECTIONS)
    assert found is not None
    site = Site(World(policies=found))
    site.admit(VM)
    assert site.passes(icmp(peer(), of(VM), ECHO)) and site.passes(icmp(of(VM), peer(), REPLY))
    assert not site.passes(icmp(of(VM), peer(), ECHO))
    assert not site.passes(icmp(peer(), of(VM), REPLY))


# --- what belongs to it ---------------------------------------------------------------------------
@BOTH_VERSIONS
@pytest.mark.parametrize(("client", "server"), [(peer(4000), SERVER), (CLIENT, peer(443))])
def test_a_tcp_connection_from_its_first_segment_to_its_last(
    site: Site, version: int, client: End, server: End
) -> None:
    site.admit(VM)
    rest = [tcp(client, server, flags, version) for flags in (ACK, ACK | FIN, ACK)]
    answers = [tcp(server, client, flags, version) for flags in (ACK, ACK | FIN, ACK, RST)]
    assert not any(map(site.passes, [*rest, *answers]))
    assert all(map(site.passes, [*handshake(client, server, version), *rest, *answers]))


@BOTH_VERSIONS
@pytest.mark.parametrize(("asks", "answers"), [(peer(4000), of(VM, 5000)), (of(VM, 4000), peer(53))])
def test_udp_is_answered_from_the_port_that_was_asked(site: Site, version: int, asks: End, answers: End) -> None:
    site.admit(VM)
    reply = udp(answers, asks, version)
    assert not site.passes(reply)
    assert site.passes(udp(asks, answers, version)) and site.passes(reply)


@pytest.mark.parametrize(("client", "server"), [(peer(4000), SERVER), (CLIENT, peer(443))])
def test_the_tuple_next_to_a_connection_is_none(site: Site, client: End, server: End) -> None:
    site.admit(VM)
    assert all(map(site.passes, handshake(client, server)))
    for sender, other in ((client, server), (server, client)):
        frame = tcp(sender, other, ACK)
        assert site.passes(frame)
        for changed in ("tcp_src", "tcp_dst", "ipv4_src", "ipv4_dst"):
            assert not site.passes(frame | {changed: frame[changed] ^ 1})
        assert not site.passes(udp(sender, other)) and not site.passes(tcp(sender, other, ACK, 6))


@BOTH_VERSIONS
@pytest.mark.parametrize("flags", [0, ACK, SYN | ACK, FIN, FIN | ACK, RST, RST | ACK, SYN | FIN, SYN | RST])
def test_tcp_that_begins_nothing_is_dropped_even_where_all_is_allowed(site: Site, version: int, flags: int) -> None:
    vm = site.admit(Vm(7, WIDE))
    for sender, other in ((of(vm, 80), peer(4000)), (peer(4000), of(vm, 80))):
        assert not site.passes(tcp(sender, other, flags, version))
    assert site.state() == []
    assert site.passes(tcp(peer(4000), of(vm, 80), SYN | 0xC0, version)), "a SYN that offers ECN is one"


def test_what_is_allowed_by_default_is_a_connection_too(site: Site) -> None:
    vm = site.admit(Vm(7, WIDE))
    assert site.passes(udp(of(vm, 9), peer(9))) and len(site.state()) == 1
    assert site.passes(tcp(peer(9), of(vm, 9), SYN)) and len(site.state()) == 2


@pytest.mark.parametrize(("client", "server"), [(peer(4000), SERVER), (CLIENT, peer(443))])
def test_segments_nobody_acknowledges_last_no_longer_than_opening(site: Site, client: End, server: End) -> None:
    site.admit(VM)
    opening, answer, acknowledgement = handshake(client, server)
    assert site.passes(opening) and site.passes(answer) and site.passes(opening)
    assert [rule.idle_timeout for rule in site.state()] == [10]
    assert site.passes(acknowledgement)
    assert sorted(rule.idle_timeout for rule in site.state()) == [10, 3600]
    assert all(FinTimeout(120) in rule.apply for rule in site.state())
    assert site.passes(tcp(server, client, ACK)) and len(site.state()) == 2


def test_a_reset_does_not_establish(site: Site) -> None:
    site.admit(VM)
    assert site.passes(tcp(peer(4000), SERVER, SYN)) and site.passes(tcp(SERVER, peer(4000), RST | ACK))
    assert [rule.idle_timeout for rule in site.state()] == [10]


@pytest.mark.parametrize(
    ("frame", "seconds"), [(udp(of(VM, 9), peer(53)), 60), (icmp(of(VM), peer(), ECHO), 30)], ids=["udp", "icmp"]
)
def test_other_connections_are_one_rule_with_its_timeout(site: Site, frame: dict[str, int], seconds: int) -> None:
    site.admit(VM)
    assert site.passes(frame) and site.passes(frame)
    (rule,) = site.state()
    assert rule.idle_timeout == seconds and not any(isinstance(action, FinTimeout) for action in rule.apply)


# --- what is none of its business ---------------------------------------------------------------------
@BOTH_VERSIONS
def test_errors_pass_both_ways(site: Site, version: int) -> None:
    site.admit(VM)
    assert site.passes(icmp(of(VM), peer(), UNREACHABLE, version))
    assert site.passes(icmp(peer(), of(VM), UNREACHABLE, version))
    assert site.state() == []


def test_other_icmp_passes_by_the_rules_alone(site: Site) -> None:
    site.admit(VM)
    wide = site.admit(Vm(9, WIDE), HV2)
    assert not site.passes(icmp(of(VM), peer(), TIMESTAMP))
    assert site.send(HV2, icmp(of(wide), peer(), TIMESTAMP)) == [NMS.port_no]
    assert site.state() == []


@pytest.mark.parametrize("kind", [133, 134, 135, 136])
def test_neighbour_discovery_passes(site: Site, kind: int) -> None:
    site.admit(VM)
    frame = packet(of(VM), peer(), 6) | {"ip_proto": 58, "icmpv6_type": kind, "icmpv6_code": 0, "ipv6_nd_target": 1}
    inward = packet(peer(), of(VM), 6) | {"ip_proto": 58, "icmpv6_type": kind, "icmpv6_code": 0, "ipv6_nd_target": 1}
    # Anti-spoofing looks at what a VM says of addresses; this one has told of an IPv4 address only, and is no router.
    assert site.passes(inward) and (kind in (134, 136) or site.passes(frame))


def test_arp_passes(site: Site) -> None:
    site.admit(VM)
    arp = {"eth_type": 0x0806, "vlan_vid": 0, "arp_op": 1, "arp_tpa": 1, "arp_tha": 0}
    out = {**arp, "eth_src": VM.mac, "eth_dst": NMS_MAC, "arp_sha": VM.mac, "arp_spa": int(VM.address)}
    assert site.passes(out)
    assert site.passes({**arp, "eth_src": NMS_MAC, "eth_dst": VM.mac, "arp_sha": NMS_MAC, "arp_spa": 2})


# --- enough is enough ---------------------------------------------------------------------------------
def test_one_connection_too_many_is_dropped_and_counted_and_hurts_nobody_else(site: Site) -> None:
    greedy = site.admit(Vm(7, SMALL))
    modest = site.admit(Vm(8, SMALL), HV2)
    assert all(site.passes(tcp(peer(4000 + number), of(greedy, 80), SYN)) for number in range(LIMIT))
    inward = [tcp(peer(5000), of(greedy, 80), SYN), icmp(peer(), of(greedy), ECHO)]
    outward = [udp(of(greedy, 9), peer(53)), tcp(of(greedy, 9), peer(443), SYN)]
    for frame in (*inward, *outward):
        assert not site.passes(frame) and not site.passes(turned(frame))
    assert len(site.state()) == LIMIT
    assert site.send(NMS, tcp(peer(4000), of(modest, 80), SYN)) == [HV2.port_no]
    # Those that it has go on.
    assert site.passes(tcp(of(greedy, 80), peer(4000), SYN | ACK)) and site.passes(tcp(peer(4000), of(greedy, 80), ACK))
    showing_refusals(site, greedy, COUNTER)
    assert {tuple(site.send(NMS, frame)) for frame in inward} == {(COUNTER,)}
    assert {tuple(site.send(HV1, frame)) for frame in outward} == {(COUNTER,)}
    for frame in (tcp(peer(4000), of(greedy, 81), SYN), tcp(peer(4000), of(greedy, 80), ACK)):
        assert COUNTER not in site.send(NMS, frame), "refused by a rule, or known"


def test_a_full_table_still_establishes_what_it_has_begun(site: Site) -> None:
    vm = site.admit(Vm(7, SMALL))
    clients = [peer(4000 + number) for number in range(LIMIT)]
    for step in range(3):
        assert all(site.passes(handshake(client, of(vm, 80))[step]) for client in clients)
    established = [rule for rule in site.state() if rule.idle_timeout == 3600]
    assert len(established) == LIMIT and len(site.state()) == 2 * LIMIT


# --- whose connection it is -------------------------------------------------------------------------
def test_two_vsis_never_share_a_connection(site: Site) -> None:
    site.admit(VM)
    other = site.admit(OTHER, HV2)
    assert all(map(site.passes, handshake(CLIENT, peer(443))))
    answer = tcp(peer(443), CLIENT, ACK)
    assert site.send(NMS, answer) == [HV1.port_no]
    assert site.send(NMS, answer | {"eth_dst": other.mac}) == []
    assert site.send(HV2, turned(answer, eth_src=other.mac)) == []


def test_two_vms_talk_when_both_firewalls_let_them(site: Site) -> None:
    client, server = of(site.admit(VM), 1024), of(site.admit(Vm(8, WIDE), HV2), 443)
    for frame, port, target in zip(handshake(client, server), (HV1, HV2, HV1), (HV2, HV1, HV2), strict=True):
        assert site.send(port, frame) == [target.port_no]
    assert len(site.state()) == 4, "each VSI has its own"
    assert site.send(HV2, tcp(of(Vm(8), 9), of(VM, 9), SYN)) == []


@pytest.mark.parametrize("first", [HV1, HV2])
def test_a_copy_for_one_vsi_is_not_known_because_that_for_another_was(site: Site, first: PortId) -> None:
    """A frame that is flooded goes through one firewall after the other."""
    second = HV2 if first is HV1 else HV1
    site.admit(VM, first)
    site.admit(OTHER, second)
    group = End(BROADCAST, 99, 4000)
    for vm, port in ((VM, first), (OTHER, second)):
        site.world.tables[S1].rules = {
            key: rule for key, rule in site.world.tables[S1].rules.items() if key.table != Table.CONNECTIONS
        }
        site.send(port, udp(of(vm, 4000), peer(53, 99)))
        flooded = udp(peer(53, 99), End(BROADCAST, vm.number, 4000))
        assert group.mac == flooded["eth_dst"]
        assert [arrival for arrival in site.send(NMS, flooded) if arrival != NMS.port_no] == [port.port_no]


# --- staged is disabled -------------------------------------------------------------------------------
def test_staged_passes_nothing_and_learns_nothing(site: Site) -> None:
    site.admit(VM, HV3, VdpMode.PREASSOCIATE_RR)
    before = dict(site.world.tables[S2].rules)
    for frame in (tcp(CLIENT, peer(443), SYN), udp(of(VM, 9), peer(53)), icmp(of(VM), peer(), ECHO)):
        assert site.send(HV3, frame) == []
        assert site.send(PortId(S2, 3), turned(frame)) == []
    assert site.world.tables[S2].rules == before


def test_a_connection_is_carried_with_all_it_is(site: Site) -> None:
    site.admit(VM)
    frames = handshake(peer(4000), SERVER)
    assert all(map(site.passes, frames)) and site.passes(icmp(of(VM), peer(), ECHO))
    site.admit(VM, HV2, VdpMode.PREASSOCIATE_RR)
    site.admit(VM, HV2)
    assert site.send(NMS, frames[2]) == [HV2.port_no] and site.send(HV2, frames[1]) == [NMS.port_no]
    assert site.send(NMS, icmp(peer(), of(VM), REPLY)) == [HV2.port_no]
    for changed in ("tcp_src", "tcp_dst", "ipv4_src", "ipv4_dst"):
        assert site.send(NMS, frames[2] | {changed: frames[2][changed] ^ 1}) == []
    assert site.send(NMS, tcp(peer(4000), of(VM, 80), SYN | ACK, 6)) == []


def test_connections_outlive_a_new_policy_at_the_same_port(site: Site) -> None:
    site.admit(VM)
    assert all(map(site.passes, handshake(peer(4000), SERVER)))
    before = {rule.cookie for rule in site.state()}
    site.admit(Vm(7, LATER))
    assert site.passes(tcp(peer(4000), SERVER, ACK)) and site.passes(tcp(SERVER, peer(4000), ACK))
    assert len(site.state()) == 2 and not before & {rule.cookie for rule in site.state()}
