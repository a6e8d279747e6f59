"""Round trips of export and import: values, policy text, rules, whole packages."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.document import read_document
from ryu_apps.evb.policy.fields import KINDS, parse_field
from ryu_apps.evb.policy.loader import load_documents, load_policies
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.evb.wire.vsi_id import VsiId, VsiIdFormat
from ryu_apps.ovf.envelope import read_package
from ryu_apps.ovf.instances import instances_text, load_instances
from ryu_apps.ovf.model import Package, PortNetwork, PortProfile, VsiAdapter, clashes, settled
from ryu_apps.ovf.policy_file import policy_text
from ryu_apps.ovf.policy_text import policy_lines
from ryu_apps.ovf.profile import profile_of
from ryu_apps.ovf.values import ports_of, written
from ryu_apps.ovf.writer import write_envelope
from tests.worlds.draws import drawn


def numbers(bits: int, maskable: bool) -> st.SearchStrategy[Any]:
    top = (1 << bits) - 1
    one = st.integers(0, top) | st.integers(0, min(top, 20))
    ranges = st.tuples(one, one).map(sorted).filter(lambda ends: maskable or ends[1] - ends[0] < 256)
    masked = st.tuples(st.integers(0, top), st.integers(1, top)).map(lambda pair: f"{pair[0] & pair[1]}/{pair[1]:#x}")
    return st.one_of(one, ranges.map(lambda ends: f"{ends[0]}-{ends[1]}"), *([masked] if maskable else []))


def addresses(bits: int) -> st.SearchStrategy[str]:
    value = st.integers(0, (1 << bits) - 1)
    if bits == 48:
        mask = st.integers(1, (1 << 48) - 1)
        return st.one_of(
            value.map(mac_to_text),
            st.tuples(value, mask).map(lambda pair: f"{mac_to_text(pair[0] & pair[1])}/{mac_to_text(pair[1])}"),
        )

    def text(number: int) -> str:
        return str(ip_address(number.to_bytes(bits // 8)))

    def prefix(pair: tuple[int, int]) -> str:
        return f"{text(pair[0] >> bits - pair[1] << bits - pair[1])}/{pair[1]}"

    masked = st.tuples(value, st.integers(1, (1 << bits) - 1)).map(
        lambda pair: f"{text(pair[0] & pair[1])}/{text(pair[1])}"
    )
    return st.one_of(value.map(text), st.tuples(value, st.integers(1, bits)).map(prefix), masked)


def items(field: str) -> st.SearchStrategy[Any]:
    kind = KINDS[field]
    return addresses(kind.bits) if kind.address else numbers(kind.bits, kind.maskable)


def values(field: str) -> st.SearchStrategy[Any]:
    return st.one_of(items(field), st.lists(items(field), min_size=1, max_size=4))


@drawn(250)
@given(st.sampled_from(sorted(KINDS)).flatmap(lambda field: st.tuples(st.just(field), values(field))))
def test_a_value_that_was_written_is_the_value_that_was_read(case: tuple[str, Any]) -> None:
    field, value = case
    alternatives = parse_field(field, value)
    assert parse_field(field, written(field, alternatives)) == alternatives


@drawn(75)
@given(values("tcp_dst"))
def test_the_ends_of_a_range_are_given_for_nothing_but_that_range(value: Any) -> None:
    alternatives = parse_field("tcp_dst", value)
    ends = ports_of(alternatives)
    assert ends is None or parse_field("tcp_dst", f"{ends[0]}-{ends[1]}") == alternatives


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
plain = st.sampled_from(
    ["yes", "no", "null", "~", "1e3", ".inf", "0x10", "1.5", "10.0.0.0/8", "80-90", "a: b", "- a", "#", "x #y"]
)
data = st.recursive(
    scalars | plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc") | plain, inner, max_size=3),
    max_leaves=12,
)


@drawn(100)
@given(st.dictionaries(st.sampled_from(["rules", "rule", "a", "b", "yes"]), data, min_size=1, max_size=4))
def test_data_that_was_written_is_the_data_that_was_read(data: dict[str, Any]) -> None:
    document = read_document("x", "".join(f"{line}\n" for line in policy_lines(data)))
    assert document.diagnostics == []
    assert document.data == data


KIND_FIELDS = {
    "ethernet": (),
    "arp": ("arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha"),
    "ip": ("ip_dscp",),
    "tcp": ("ip_dscp", "tcp_src", "tcp_dst"),
    "udp": ("udp_src", "udp_dst"),
    "ipv4": ("ipv4_src", "ipv4_dst", "ip_dscp"),
    "ipv4 tcp": ("ipv4_src", "ipv4_dst", "tcp_src", "tcp_dst"),
    "icmp": ("ipv4_dst", "icmpv4_type", "icmpv4_code"),
    "ipv6 udp": ("ipv6_src", "ipv6_dst", "udp_src", "udp_dst"),
    "icmpv6": ("ipv6_src", "icmpv6_type", "icmpv6_code"),
}
ETHERNET = ("eth_src", "eth_dst", "vlan_vid", "vlan_pcp")
PREREQUISITES: dict[str, list[dict[str, Any]]] = {
    "ethernet": [{}, {"eth_type": "arp"}, {"eth_type": 0x88CC}, {"eth_type": ["ipv6", "ipv4"]}, {"eth_type": "1-7"}],
    "ip": [{"ip_proto": "ospf"}, {"ip_proto": [6, 17, 132]}, {"eth_type": ["ipv4", "ipv6"]}],
    "tcp": [{}, {"eth_type": "ipv4"}, {"eth_type": ["ipv6", "ipv4"], "ip_proto": 6}],
    "udp": [{"eth_type": "ipv6"}, {"ip_proto": "udp"}],
    "ipv4": [{"eth_type": "ipv4"}, {"ip_proto": "gre"}],
}
words = st.lists(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8), max_size=3).map(
    " ".join
)
names = words.filter(bool)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(KIND_FIELDS)))
    fields = draw(st.lists(st.sampled_from(KIND_FIELDS[kind] + ETHERNET), max_size=4, unique=True))
    rule: dict[str, Any] = {field: draw(values(field)) for field in fields}
    rule |= draw(st.sampled_from(PREREQUISITES.get(kind, [{}])))
    if "ipv4_src" in rule:
        rule["ipv4_src"] = draw(st.sampled_from([rule["ipv4_src"], "$web", ["$web", "192.0.2.0/24"]]))
    if description := draw(words):
        rule["description"] = description
    return {"rule": rule | {"actions": {"allow": draw(st.sampled_from([0, 1]))}}}


acls = st.fixed_dictionaries(
    {"rules": st.lists(rules(), min_size=1, max_size=4)}, optional={"default": st.sampled_from(["allow", "deny"])}
) | st.sampled_from([{}, {"default": "allow"}, {"rules": []}])
rest = st.fixed_dictionaries(
    {},
    optional={
        "stage_on": st.sampled_from(["preassociate", "preassociate_rr"]),
        "trigger": st.sampled_from(["single", "dual"]),
        "anti_spoofing": st.fixed_dictionaries({}, optional={"mac": st.booleans(), "arp": st.booleans()}),
        "neighbour_discovery": st.booleans(),
        "addresses": st.lists(st.sampled_from(["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]), max_size=2),
        "firewall": st.fixed_dictionaries({"to_vm": acls}),
        "multicast": st.fixed_dictionaries({}, optional={"groups": st.just(["239.1.0.1", "ff3e::8000:1"])}),
        "statistics": st.just({}) | st.just({"per_rule": True}),
    },
)
keys = st.builds(VsiTypeKey, st.integers(0, 0xFFFFFF) | st.integers(0, 3), st.integers(0, 255) | st.integers(0, 1))


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    key = draw(keys)
    data: dict[str, Any] = {
        "version": 1,
        "vsi_type": {"type_id": key.type_id, "version": key.version, "name": draw(names)[:64].strip()},
    }
    data |= {"sets": {"web": {"labels": ["web"], "types": ["7/1"]}}} | draw(rest)
    return data | {name: draw(acls) for name in draw(st.sampled_from([[], ["from_vm"], ["to_vm", "from_vm"]]))}


def text_of(data: dict[str, Any]) -> str:
    return "".join(f"{line}\n" for line in policy_lines(data))


def profile_and_digest(text: str) -> tuple[PortProfile, str] | None:
    """None for a policy that contradicts itself."""
    document = read_document("p.yaml", text)
    loaded, _ = load_documents([document], SECTIONS)
    if loaded is None:
        return None
    (vsi_type,) = loaded.types.values()
    return profile_of(document, vsi_type), vsi_type.digest


def imported(package: Package) -> Package:
    found, diagnostics = read_package((("x.ovf", write_envelope(package)),), lambda uri: "nothing is fetched", SECTIONS)
    assert found is not None, [str(diagnostic) for diagnostic in diagnostics]
    return found


@drawn(75)
@given(policies())
def test_a_policy_that_was_exported_and_imported_means_what_it_meant(data: dict[str, Any]) -> None:
    known = profile_and_digest(text_of(data))
    if known is None:
        return
    profile, digest = known
    (again,) = imported(Package(profiles=(profile,))).profiles
    assert again == profile
    loaded, diagnostics = load_policies([("p.yaml", policy_text(again, "x.ovf"))], SECTIONS)
    assert loaded is not None, diagnostics
    assert [vsi_type.digest for vsi_type in loaded.types.values()] == [digest]


PROFILES = [PortProfile(VsiTypeKey(type_id, 1), f"type {type_id}") for type_id in range(4)]
vlans = st.none() | st.integers(1, 4094)
uint32s = st.none() | st.integers(0, (1 << 32) - 1)
vsi_ids = st.builds(VsiId, st.sampled_from(VsiIdFormat), st.binary(min_size=16, max_size=16))


@st.composite
def packages(draw: st.DrawFn) -> Package:
    types = st.lists(st.sampled_from([profile.key for profile in PROFILES]), unique=True, max_size=3).map(tuple)
    labels = draw(st.lists(names, unique=True, max_size=3))
    networks = {label: PortNetwork(label, draw(vlans), draw(types), draw(words)) for label in labels}
    vsis = st.builds(
        VsiAdapter,
        vm=names,
        adapter=names,
        network=st.sampled_from([None, *labels]),
        vsi_type=st.none() | st.sampled_from([profile.key for profile in PROFILES]),
        mac=st.none() | st.integers(0, (1 << 48) - 1),
        vlan=vlans,
        vsi_id=st.none() | vsi_ids,
        manager_id=uint32s,
        group_id=uint32s,
    )
    some = sorted(draw(st.lists(vsis, max_size=4)), key=lambda interface: interface.vm)
    found = tuple(settled(interface, networks) for interface in some)
    return Package(tuple(networks.values()), tuple(PROFILES), () if list(clashes(found)) else found)


@drawn(75)
@given(packages())
def test_a_package_that_was_exported_and_imported_is_the_same_package(package: Package) -> None:
    assert imported(package) == package


@drawn(75)
@given(packages())
def test_instances_that_were_written_are_the_instances_that_were_read(package: Package) -> None:
    found, diagnostics = load_instances("i.yaml", instances_text(package))
    assert found is not None, diagnostics
    assert (found.networks, found.vsis) == (package.networks, package.vsis)
