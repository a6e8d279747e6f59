"""Fragments as octets through Open vSwitch, which reads in them what the simulated switch is given; both decide alike.

What Open vSwitch has dropped of a peer's fragments it may drop once more after it has learnt better (docs/switch.rst):
fragments that are to pass are those of a peer that has sent none before.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.switch import Confirmed, FragmentsHandled
from ryu_apps.evb.flow.actions import Output, PopVlan, PushVlan, SetField
from ryu_apps.evb.flow.change import FlowTable, RuleChange
from ryu_apps.evb.flow.match import VLAN_PRESENT, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import Binding, VsiBinding
from ryu_apps.evb.pipeline.tables import OURS, Direction, Table, metadata
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.body import SECTIONS, body_of_type, body_of_vsi
from ryu_apps.evb.simulation.switch import forward
from tests.interop.controller import Controller
from tests.interop.octets import (
    DESTINATION_OPTIONS,
    ICMP,
    ICMPV6,
    SOURCE_MAC,
    TARGET_MAC,
    TCP,
    UDP,
    Ends,
    echo,
    ethernet,
    ipv6,
    part,
    tcp,
    udp,
)
from tests.interop.private_ovs import PrivateOvs

ETH_P_ALL = 3
EPOCH, VLAN = 3, 100
BINDING = VsiBinding(7, 1, (Binding(VLAN, TARGET_MAC),))
#: Frames for the VM come in by the first port and go out by the second; what follows all of them by the third.
IN, OUT = 1, 2
FIRST, LATER = 1, 3
#: An Ethernet type that every rule of the test lets through: whatever came before it has been dealt with.
MARKER = 0x88B5
FOUR, SIX = Ends.of("10.0.0.1", "10.0.0.2"), Ends.of("fd00::1", "fd00::2")
BOTH = pytest.mark.parametrize("ends", [FOUR, SIX], ids=["ipv4", "ipv6"])
#: Six octets of padding behind next header and length: one of eight octets, as an extension header.
PADDED = bytes((0, 1, 4, 0, 0, 0, 0))

DENIES = "to_vm: {default: allow, rules: [{rule: {tcp_dst: 22, actions: {allow: 0}}}]}\n"
ALLOWS = """
to_vm:
  rules:
    - rule: {udp_dst: 53, actions: {allow: 1}}
    - rule: {icmpv4_type: echo_request, actions: {allow: 1}}
    - rule: {icmpv6_type: echo_request, actions: {allow: 1}}
"""
STATEFUL = "firewall: {to_vm: {default: deny, rules: [{rule: {udp_dst: 53, actions: {allow: 1}}}]}}\n"


class Sent(NamedTuple):
    """A packet, and what is to be read in it."""

    packet: bytes
    fields: dict[str, int]


def sent(ends: Ends, ip_proto: int, kind: int, packet: bytes, **behind: int) -> Sent:
    return Sent(packet, {**ends.fields, "ip_proto": ip_proto, "ip_frag": kind, **behind})


def loaded(text: str) -> VsiType:
    head = "version: 1\nvsi_type: {type_id: 7, version: 1, name: fragments}\n"
    policies, mistakes = load_policies([("p", head + text)], SECTIONS)
    assert policies is not None, mistakes
    return next(iter(policies.types.values()))


class Rig:
    """The body of one VSI in Open vSwitch and on paper."""

    def __init__(self, controller: Controller, ends: dict[int, socket.socket], text: str) -> None:
        vsi_type = loaded(text)
        gate = metadata(port=OUT, vsi=BINDING.vsi_index, epoch=EPOCH, direction=Direction.TO_VM), (1 << 64) - 1
        tag = PushVlan(), SetField("vlan_vid", VLAN_PRESENT | VLAN)
        rules = (
            Rule(0, 20, match(eth_type=MARKER), 0, (Output(OUT),)),
            Rule(0, 10, match(in_port=IN, vlan_vid=0), 0, tag, gate, Table.ACL_TO),
            Rule(Table.OUTPUT, 1, match(vlan_vid=(VLAN_PRESENT, VLAN_PRESENT)), 0, (PopVlan(), Output(OUT))),
            *body_of_type(vsi_type, EPOCH),
            *body_of_vsi(vsi_type, BINDING),
        )
        assert isinstance(controller.apply(RuleChange(add=rules), Mode.STAGE), Confirmed)
        self._near, self._far = ends[IN], ends[OUT]
        self._far.bind((self._far.getsockname()[0], ETH_P_ALL))
        self._far.settimeout(10)
        self._table = FlowTable({rule.key: rule for rule in rules})

    def passes(self, *packets: Sent) -> list[bool]:
        """The packets that arrive, of those sent one behind the other."""
        return [self._passes(*packet) for packet in packets]

    def _passes(self, packet: bytes, fields: dict[str, int]) -> bool:
        self._near.send(ethernet(fields["eth_type"], packet))
        self._near.send(ethernet(MARKER, bytes(46)))
        arrived = [frame for frame in self._until_the_marker() if packet in frame]
        addresses = {"eth_src": SOURCE_MAC, "eth_dst": TARGET_MAC, "in_port": IN}
        assert len(forward(self._table, {**fields, **addresses})) == len(arrived), (fields, packet.hex())
        return bool(arrived)

    def _until_the_marker(self) -> Iterator[bytes]:
        while (frame := self._far.recv(4096))[12:14] != MARKER.to_bytes(2):
            yield frame


@pytest.fixture
def shown(controller: Controller) -> Controller:
    controller.rules(OURS)
    assert controller.until(FragmentsHandled) == FragmentsHandled(controller.dpid, before=False, shown=True)
    return controller


def datagram(ends: Ends, port: int, source: int = 999) -> tuple[Sent, Sent]:
    """A datagram in two fragments."""
    whole = udp(source, port, 120)
    first = sent(ends, UDP, FIRST, part(ends, UDP, whole[:64], more=True), udp_src=source, udp_dst=port)
    return first, sent(ends, UDP, LATER, part(ends, UDP, whole[64:], 64))


def stranger(ends: Ends) -> Ends:
    """Somebody else with the same target."""
    return ends._replace(source=ends.source + 100)


def segment(ends: Ends, port: int, options: int, cut: int) -> tuple[Sent, Sent]:
    """A SYN in two fragments; Open vSwitch reads its ports if all of its header is in the first."""
    whole = tcp(999, port, options)
    seen = cut >= len(whole) - len(whole) % 8 and cut >= 20 + options
    behind = {"tcp_src": 999 * seen, "tcp_dst": port * seen, "tcp_flags": 2 * seen}
    first = sent(ends, TCP, FIRST, part(ends, TCP, whole[:cut], more=True), **behind)
    return first, sent(ends, TCP, LATER, part(ends, TCP, whole[cut:] + bytes(8), cut))


@BOTH
def test_a_denied_port_is_denied_in_fragments(
    shown: Controller, far_ends: dict[int, socket.socket], ends: Ends
) -> None:
    rig = Rig(shown, far_ends, DENIES)
    assert rig.passes(*segment(ends, 22, 0, 24)) == [False, False]
    # The kernel's SYN: 20 octets and as many of options, in fragments of 24 and 16.
    assert rig.passes(*segment(ends, 22, 20, 24)) == [False, False]
    assert rig.passes(*segment(ends, 22, 20, 8)) == [False, False]
    assert rig.passes(*segment(stranger(ends), 80, 20, 40)) == [True, True]


@BOTH
@pytest.mark.parametrize("text", [ALLOWS, STATEFUL], ids=["acl", "firewall"])
def test_what_is_allowed_arrives_whole(
    shown: Controller, far_ends: dict[int, socket.socket], ends: Ends, text: str
) -> None:
    rig = Rig(shown, far_ends, text)
    other, later = datagram(ends, 54)
    assert rig.passes(later, other, later) == [False] * 3
    assert rig.passes(*datagram(stranger(ends), 53)) == [True, True]
    assert rig.passes(later) == [False]


@BOTH
def test_a_large_ping(shown: Controller, far_ends: dict[int, socket.socket], ends: Ends) -> None:
    rig = Rig(shown, far_ends, ALLOWS)
    whole, proto = echo(ends, 120), ICMP if ends is FOUR else ICMPV6
    name = "icmpv4" if ends is FOUR else "icmpv6"
    behind = {f"{name}_type": whole[0], f"{name}_code": 0}
    first = sent(ends, proto, FIRST, part(ends, proto, whole[:64], more=True), **behind)
    assert rig.passes(first, sent(ends, proto, LATER, part(ends, proto, whole[64:], 64))) == [True, True]


def test_extension_headers_hide_nothing(shown: Controller, far_ends: dict[int, socket.socket]) -> None:
    """RFC 7112: a first fragment has all headers or it is dropped, and with it what follows."""
    rig = Rig(shown, far_ends, DENIES)
    whole = tcp(999, 22)
    # Behind the fragment header eight octets of options, the end of them, and nothing of TCP.
    ends_there = part(SIX, DESTINATION_OPTIONS, b"", more=True, chain=bytes((TCP,)) + PADDED)
    unseen = {"tcp_src": 0, "tcp_dst": 0, "tcp_flags": 0}
    assert rig.passes(sent(SIX, TCP, FIRST, ends_there, **unseen)) == [False]
    # Options of 16 octets of which eight are there: nothing is read.
    cut_off = part(SIX, DESTINATION_OPTIONS, b"", more=True, chain=bytes((TCP, 1)) + PADDED[1:])
    assert rig.passes(Sent(cut_off, {**SIX.fields, "ip_proto": 0})) == [False]
    assert rig.passes(sent(SIX, TCP, LATER, part(SIX, TCP, whole, 8))) == [False]
    # All there: judged by the ports.
    complete = part(SIX, DESTINATION_OPTIONS, tcp(999, 80), more=True, chain=bytes((TCP,)) + PADDED)
    behind = {"tcp_src": 999, "tcp_dst": 80, "tcp_flags": 2}
    assert rig.passes(sent(SIX, TCP, FIRST, complete[: 40 + 8 + 8 + 20], **behind)) == [True]
    options = bytes((TCP,)) + PADDED + tcp(999, 22)
    assert rig.passes(sent(SIX, TCP, 0, ipv6(SIX, DESTINATION_OPTIONS, options), **behind | {"tcp_dst": 22})) == [False]


def test_a_changed_mode_is_put_right(private_ovs: PrivateOvs, shown: Controller, bridge: str) -> None:
    assert private_ovs.ofctl("get-frags", bridge).strip() == "nx-match"
    private_ovs.ofctl("set-frags", bridge, "normal")
    shown.rules(OURS)
    assert shown.until(FragmentsHandled) == FragmentsHandled(shown.dpid, before=False, shown=True)
    assert private_ovs.ofctl("get-frags", bridge).strip() == "nx-match"
    shown.rules(OURS)
    assert shown.until(FragmentsHandled) == FragmentsHandled(shown.dpid, before=True, shown=True)
