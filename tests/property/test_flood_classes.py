"""A class of broadcasts is permitted only if the compiled list of a type permits every frame of it."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ryu_apps.evb.flow.actions import Output
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.match import VLAN_PRESENT, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.flood_classes import FloodClass, classification
from ryu_apps.evb.pipeline.tables import ALL_METADATA, PORT_MASK, Direction, Table, metadata
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.body import SECTIONS, body_of_type
from ryu_apps.evb.services.flood_classes import permitted_classes
from ryu_apps.evb.simulation.packet import matches
from ryu_apps.evb.simulation.switch import forward
from ryu_apps.evb.topology.switch import Profile

EPOCH, VLAN, OUT = 3, 100, 2
GROUPS = st.sampled_from([(1 << 48) - 1, 0x01005E0000FB, 0x333300000001])
ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.0.0/8", "224.0.0.251", "224.0.0.0/4"])
PORTS = st.sampled_from([67, 68, 547, 5353, "1024-65535"])
TESTS: list[st.SearchStrategy[dict[str, Any]]] = [
    st.just({}),
    st.fixed_dictionaries({"eth_type": st.sampled_from(["arp", "ipv4", "ipv6", 0x88B5])}),
    st.fixed_dictionaries({"eth_type": st.just("ipv4"), "ipv4_dst": ADDRESSES}),
    st.fixed_dictionaries({"udp_dst": PORTS}),
    st.fixed_dictionaries({"udp_src": PORTS}),
    st.fixed_dictionaries({"eth_type": st.just("ipv4"), "ip_proto": st.sampled_from(["udp", "tcp", "igmp"])}),
    st.fixed_dictionaries({"icmpv6_type": st.sampled_from([133, 134, 135, 136, 143])}),
    st.fixed_dictionaries({"eth_dst": st.sampled_from(["broadcast", "01:00:5e:00:00:fb"])}),
    st.fixed_dictionaries({"vlan_vid": st.sampled_from([VLAN, 200])}),
    st.fixed_dictionaries({"arp_op": st.sampled_from(["request", "reply"])}),
]
RULES = st.lists(st.tuples(st.one_of(TESTS), st.booleans()), max_size=5)


def loaded(rules: list[tuple[dict[str, Any], bool]], allow: bool) -> VsiType | None:
    lines = [
        f"    - rule: {{{', '.join(f'{key}: {value!r}' for key, value in tests.items())}{', ' if tests else ''}"
        f"actions: {{allow: {int(permitted)}}}}}"
        for tests, permitted in rules
    ]
    head = "version: 1\nvsi_type: {type_id: 1, version: 1, name: drawn}\n"
    text = f"{head}to_vm:\n  default: {['deny', 'allow'][allow]}\n"
    policies, _ = load_policies([("p", text + ("  rules:\n" + "\n".join(lines) + "\n" if lines else ""))], SECTIONS)
    return policies.types[VsiTypeKey(1, 1)] if policies is not None else None


@st.composite
def frames(draw: st.DrawFn) -> dict[str, int]:
    """A frame to a group address."""
    frame = {"eth_src": 1, "eth_dst": draw(GROUPS), "vlan_vid": VLAN_PRESENT | VLAN, "vlan_pcp": 0, "in_port": 1}
    number = st.integers(0, 65535)
    port = st.sampled_from([67, 68, 547, 5353, 9])
    udp = {"ip_proto": 17, "udp_src": draw(port), "udp_dst": draw(port | number)}
    behind = draw(st.sampled_from([udp, {"ip_proto": 6, "tcp_src": 1, "tcp_dst": 80}, {"ip_proto": 2}]))
    icmp = {"ip_proto": 58, "icmpv6_type": draw(st.integers(128, 145)), "icmpv6_code": 0}
    ipv4 = {"eth_type": 0x0800, "ipv4_src": 1, "ipv4_dst": draw(st.sampled_from([0xE00000FB, 0xFFFFFFFF, 0x0A000001]))}
    return frame | draw(
        st.sampled_from(
            [
                {"eth_type": 0x0806, "arp_op": draw(st.integers(1, 3)), "arp_spa": 1, "arp_tpa": 2, "arp_sha": 1},
                ipv4 | behind,
                {"eth_type": 0x86DD, "ipv6_src": 1, "ipv6_dst": 2, **draw(st.sampled_from([icmp, behind]))},
                {"eth_type": 0x88B5},
            ]
        )
    )


def class_of(frame: dict[str, int]) -> int:
    """The class that the rules of a switch write."""
    found = max((rule for rule in classification() if matches(rule.match, frame)), key=lambda rule: rule.priority)
    assert found.metadata is not None
    return found.metadata[0] & PORT_MASK


def passes(vsi_type: VsiType, frame: dict[str, int]) -> bool:
    """The verdict of the compiled list on a frame for a VM."""
    gate = metadata(port=OUT, vsi=1, epoch=EPOCH, direction=Direction.TO_VM), ALL_METADATA
    rules = [
        *body_of_type(vsi_type, EPOCH, Profile.OPENFLOW13),
        Rule(0, 1, (), 0, metadata=gate, goto=Table.ACL_TO),
        Rule(Table.OUTPUT, 1, match(), 0, (Output(OUT),)),
    ]
    return bool(forward(FlowTable({rule.key: rule for rule in rules}), frame))


@settings(max_examples=300, deadline=None)
@given(RULES, st.booleans(), st.lists(frames(), min_size=1, max_size=8))
def test_what_a_class_lets_through_the_list_lets_through(
    rules: list[tuple[dict[str, Any], bool]], allow: bool, drawn: list[dict[str, int]]
) -> None:
    vsi_type = loaded(rules, allow)
    assume(vsi_type is not None)
    assert vsi_type is not None
    permitted = permitted_classes(vsi_type, VLAN)
    for frame in drawn:
        assert class_of(frame) not in permitted or passes(vsi_type, frame)


@settings(max_examples=50, deadline=None)
@given(frames())
def test_a_type_without_rules_permits_each_class_or_none(frame: dict[str, int]) -> None:
    everything, nothing = loaded([({}, True)], allow=False), loaded([({}, False)], allow=True)
    assert everything is not None and nothing is not None
    # A frame of another Ethernet type passes only where a rule names the type.
    assert permitted_classes(everything, VLAN) == {found.number for found in FloodClass} - {FloodClass.OTHER.number}
    assert permitted_classes(nothing, VLAN) == frozenset()
    assert (class_of(frame) in permitted_classes(everything, VLAN)) == passes(everything, frame)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(list(FloodClass)))
def test_an_allowed_class_alone_is_permitted(found: FloodClass) -> None:
    assume(found is not FloodClass.OTHER)
    vsi_type = loaded([(dict(found.fields), True)], allow=False)
    assert vsi_type is not None
    assert found.number in permitted_classes(vsi_type, VLAN)
    denied = loaded([(dict(found.fields), False)], allow=True)
    assert denied is not None
    assert found.number not in permitted_classes(denied, VLAN)
