"""CIM filters as rules of an ACL, and everything that they say and a rule cannot."""

from __future__ import annotations

import pytest

from ryu_apps.ovf.filters import read_filter_list
from ryu_apps.ovf.markup import read_markup
from ryu_apps.ovf.names import PREFIXES

ANY = "<fe:MatchConditionType>13</fe:MatchConditionType>"
PERMIT = f"<fe:CIM_FilterEntry><fe:Action>1</fe:Action>{ANY}</fe:CIM_FilterEntry>"

OTHER = "<fe:OtherMatchConditionType>evbridge:{}</fe:OtherMatchConditionType>"


def entry(kind: int, value: str, more: str = "") -> str:
    said = {"Type": kind, "Value": value}
    inside = "".join(f"<fe:MatchCondition{name}>{value}</fe:MatchCondition{name}>" for name, value in said.items())
    return f"<fe:CIM_FilterEntry>{inside}{more}</fe:CIM_FilterEntry>"


def ip(**properties: object) -> str:
    said = "".join(f"<ip:{name}>{value}</ip:{name}>" for name, value in properties.items())
    return f"<ip:CIM_IPHeadersFilter>{said}</ip:CIM_IPHeadersFilter>"


def ethernet(**properties: object) -> str:
    said = "".join(f"<eth:{name}>{value}</eth:{name}>" for name, value in properties.items())
    return f"<eth:CIM_Hdr8021Filter>{said}</eth:CIM_Hdr8021Filter>"


def filter_list(inside: str, direction: int = 2) -> str:
    """The inside is on line 3."""
    namespaces = "".join(f" xmlns:{prefix}='{namespace}'" for prefix, namespace in PREFIXES.items())
    return f"<fl:CIM_FilterList{namespaces}>\n<fl:Direction>{direction}</fl:Direction>\n{inside}\n</fl:CIM_FilterList>"


def read(inside: str, direction: int = 2) -> tuple[list[tuple[str, object]], list[str]]:
    root, found = read_markup("x.ovf", filter_list(inside, direction))
    assert root is not None, found
    drafts, mistakes = read_filter_list(root)
    return [(draft.direction, draft.data) for draft in drafts], [str(mistake) for mistake in mistakes]


def rule(inside: str) -> dict[str, object]:
    """Match of a list, without its action."""
    ((_, data),), found = read(inside)
    assert found == []
    assert isinstance(data, dict)
    return {name: value for name, value in data.items() if name != "actions"}


@pytest.mark.parametrize(
    ("inside", "meant"),
    [
        (PERMIT, {}),
        (PERMIT + entry(8, "6") + entry(6, "80"), {"tcp_dst": "http"}),
        (PERMIT + entry(7, "8000-8010") + entry(8, "udp"), {"udp_dst": "8000-8010"}),
        (PERMIT + entry(8, "TCP") + entry(5, "1024 - 65535"), {"tcp_src": "1024-65535"}),
        (PERMIT + entry(2, "10.1.2.3/255.0.0.0"), {"ipv4_src": "10.0.0.0/8"}),
        (PERMIT + entry(3, "10.1.2.3 255.255.0.255"), {"ipv4_dst": "10.1.0.3/255.255.0.255"}),
        (PERMIT + entry(2, "2001:db8::1"), {"ipv6_src": "2001:db8::1"}),
        (PERMIT + entry(2, "2001:db8::1/32"), {"ipv6_src": "2001:db8::/32"}),
        (PERMIT + entry(2, "10.0.0.1/0"), {"eth_type": "ipv4"}),
        (PERMIT + entry(10, "46"), {"ip_dscp": 46}),
        (PERMIT + entry(12, "5"), {"vlan_pcp": 5}),
        (PERMIT + entry(13, "", "<fe:TrafficType>3</fe:TrafficType>"), {"eth_type": "ipv6"}),
        (PERMIT + entry(1, "1, echo_request", OTHER.format("icmpv4_type")), {"icmpv4_type": [1, "echo_request"]}),
        (PERMIT + ip(), {"eth_type": ["ipv4", "ipv6"]}),
        (PERMIT + ip(HdrProtocolID=17, HdrDestPortEnd=1023), {"udp_dst": "0-1023"}),
        (PERMIT + ip(HdrProtocolID=89), {"ip_proto": "ospf"}),
        (PERMIT + ip(HdrIPVersion=4, HdrSrcAddress="CgAAAQ=="), {"ipv4_src": "10.0.0.1"}),
        (PERMIT + ip(HdrIPVersion=4, HdrSrcAddress="AAAABAoAAAE="), {"ipv4_src": "10.0.0.1"}),
        (
            PERMIT + ip(HdrIPVersion=4, HdrDestAddress="10.0.0.9", HdrDestMask="255.255.255.0"),
            {"ipv4_dst": "10.0.0.0/24"},
        ),
        (
            PERMIT + ip(HdrIPVersion=4, HdrSrcAddress="10.0.0.5", HdrSrcAddressEndOfRange="10.0.0.8"),
            {"ipv4_src": ["10.0.0.5", "10.0.0.6/31", "10.0.0.8"]},
        ),
        (PERMIT + ethernet(HdrProtocolID8021=0x0806), {"eth_type": "arp"}),
        (PERMIT + ethernet(HdrProtocolID8021=0x0800) + ip(HdrProtocolID=1), {"ip_proto": "icmp"}),
        (PERMIT + ethernet(HdrVLANID8021=7, HdrPriorityValue8021=0), {"vlan_vid": 7, "vlan_pcp": 0}),
        (PERMIT + ethernet(HdrSrcMACAddr8021="52-54-00-00-00-01"), {"eth_src": "52:54:00:00:00:01"}),
        (
            PERMIT + ethernet(HdrDestMACAddr8021="01005E000001", HdrDestMACMask8021="////AAAA"),
            {"eth_dst": "01:00:5e:00:00:00/ff:ff:ff:00:00:00"},
        ),
    ],
)
def test_entries_are_anded_into_one_rule(inside: str, meant: dict[str, object]) -> None:
    assert rule(inside) == meant


def test_the_direction_is_seen_from_the_adapter() -> None:
    assert [name for name, _ in read(PERMIT, 1)[0]] == ["to_vm"]
    assert [name for name, _ in read(PERMIT, 2)[0]] == ["from_vm"]
    assert [name for name, _ in read(PERMIT, 3)[0]] == ["from_vm", "to_vm"]


def test_a_mirrored_list_changes_source_and_destination_for_what_comes_in() -> None:
    inside = PERMIT + ip(
        HdrIPVersion=4, HdrProtocolID=6, HdrSrcPortStart=443, HdrSrcPortEnd=443, HdrDestAddress="10.0.0.1"
    )
    (out, coming), found = read(inside, 4)
    assert found == []
    allow = {"actions": {"allow": 1}}
    assert out == ("from_vm", {"tcp_src": "https", "ipv4_dst": "10.0.0.1"} | allow)
    assert coming == ("to_vm", {"tcp_dst": "https", "ipv4_src": "10.0.0.1"} | allow)


def test_a_default_filter_is_the_default_of_its_direction() -> None:
    default = PERMIT.replace("</fe:Action>", "</fe:Action><fe:DefaultFilter>true</fe:DefaultFilter>")
    assert read(default, 3) == ([("from_vm", True), ("to_vm", True)], [])


@pytest.mark.parametrize(
    ("inside", "complaint"),
    [
        ("", "1:1: a filter list needs a CIM_FilterEntry with an Action: 1 or 2"),
        (ip(HdrProtocolID=6), "1:1: a filter list needs a CIM_FilterEntry with an Action: 1 or 2"),
        (PERMIT.replace(">1<", ">3<"), "3:21: fe:Action: '3' is not a number from 1 to 2"),
        (PERMIT + PERMIT.replace(">1<", ">2<"), "the entries of one filter list have one Action"),
        (PERMIT + entry(6, "80"), "a port needs its protocol, 6 (TCP) or 17 (UDP), in the same filter list"),
        (PERMIT + entry(6, "80") + entry(8, "icmp"), "a port needs its protocol"),
        (PERMIT + entry(6, "80-70") + entry(8, "tcp"), "range 80-70 runs backwards"),
        (PERMIT + entry(6, "80") + entry(6, "81") + entry(8, "tcp"), "line 3 says another port"),
        (PERMIT + entry(6, "70000") + entry(8, "tcp"), "70000 is out of range 0..65535"),
        (PERMIT + entry(9, "icmp 8"), "match condition Protocol Type and Option has no counterpart"),
        (PERMIT + entry(11, "16"), "match condition ToS Value has no counterpart"),
        (PERMIT + entry(14, "1"), "match condition 14 has no counterpart"),
        (PERMIT + entry(1, "1"), "match condition '' has no counterpart among the match fields"),
        (
            PERMIT + entry(1, "1", OTHER.format("tcp_flags")),
            "match condition 'evbridge:tcp_flags' has no counterpart among the match fields",
        ),
        (
            PERMIT + entry(1, "1," * 5000, OTHER.format("tcp_dst")),
            "more than 4096 alternatives",
        ),
        (PERMIT + "<fe:CIM_FilterEntry/>", "MatchConditionType is missing"),
        (PERMIT + entry(8, ""), "MatchConditionValue is missing"),
        (PERMIT + entry(8, "6") + entry(8, "17"), "line 3 says another ip_proto"),
        (PERMIT + entry(8, "6", "<fe:TrafficType>2</fe:TrafficType>"), "traffic IPX has no counterpart"),
        (PERMIT + entry(8, "6", "<fe:IsNegated>true</fe:IsNegated>"), "a negated filter has no counterpart"),
        (PERMIT + entry(8, "6", "<fe:Acton>1</fe:Acton>"), "fe:Acton is not known here"),
        (PERMIT + entry(2, "10.0.0.1/255.0.0.0/8"), "'10.0.0.1/255.0.0.0/8' is not an address and a mask"),
        (PERMIT + entry(2, "10.0.0.1/33"), "prefix length 33 is out of range 0..32"),
        (PERMIT + entry(2, "somewhere"), "'somewhere' is neither an address nor 4 octets in base64"),
        (PERMIT + entry(2, "10.0.0.1") + ip(HdrIPVersion=6), "never matches: line 3 says another Ethernet type"),
        (PERMIT + ip(HdrIPVersion=5), "there is no IP version 5 here: 4 or 6"),
        (PERMIT + ip(HdrSrcAddress="10.0.0.1"), "an address needs HdrIPVersion"),
        (PERMIT + ip(HdrIPVersion=4, HdrSrcMask="10.0.0.1"), "HdrSrcAddress is missing"),
        (PERMIT + ip(HdrIPVersion=4, HdrSrcAddress="::1"), "'::1' is neither an address nor 4 octets in base64"),
        (
            PERMIT + ip(HdrIPVersion=4, HdrSrcAddress="10.0.0.2", HdrSrcAddressEndOfRange="10.0.0.1"),
            "the range runs backwards",
        ),
        (
            PERMIT
            + ip(HdrIPVersion=4, HdrSrcAddress="10.0.0.2", HdrSrcAddressEndOfRange="10.0.0.3", HdrSrcMask="10.0.0.1"),
            "either HdrSrcAddressEndOfRange or HdrSrcMask",
        ),
        (PERMIT + ip(HdrFlowLabel="AAAB"), "HdrFlowLabel has no counterpart among the match fields"),
        (PERMIT + ip(HdrDSCP=64), "64 is out of range 0..63"),
        (PERMIT + ethernet(HdrVLANID8021=5000), "5000 is out of range 0..4095"),
        (PERMIT + ethernet(HdrSrcMACMask8021="////////"), "HdrSrcMACAddr8021 is missing"),
        (
            PERMIT.replace("</fe:Action>", "</fe:Action><fe:DefaultFilter>true</fe:DefaultFilter>") + entry(8, "6"),
            "a default matches everything that no other filter list matches",
        ),
        (PERMIT + "<other/>", "other is not known here, and is not said to be dispensable (ovf:required)"),
    ],
)
def test_what_cannot_be_mapped_is_told_where(inside: str, complaint: str) -> None:
    drafts, found = read(inside)
    assert len(found) == 1, found
    assert complaint in found[0]
    assert found[0].startswith("x.ovf:3:" if complaint[0] != "1" else "x.ovf:1:1:")
    assert drafts == [] or "other is not" in complaint


@pytest.mark.parametrize("direction", [0, 5])
def test_a_list_without_a_direction_is_a_mistake(direction: int) -> None:
    drafts, found = read(PERMIT, direction)
    assert drafts == []
    assert "x.ovf:2:1: a filter list needs a Direction: 1 to 4" in found


def test_an_extension_that_is_said_to_be_dispensable_is_dispensed_with() -> None:
    _, found = read(PERMIT + "<other ovf:required='false'/>")
    assert found == []
