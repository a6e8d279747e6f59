"""Rules of an ACL to CIM filters; :mod:`ryu_apps.ovf.filters` says how they look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ryu_apps.evb.policy.address_set import referenced
from ryu_apps.evb.policy.fields import KINDS, Alternatives, Masked, full_mask
from ryu_apps.ovf.cim_filters import (
    ANY_IP,
    ANY_TRAFFIC,
    DENY,
    NUMBERS_8021,
    OTHER_PREFIX,
    PERMIT,
    PORTS,
    SIDES,
    VERSIONS,
    CimDirection,
    Condition,
    exactly,
)
from ryu_apps.ovf.markup import MarkupNode
from ryu_apps.ovf.model import FilterAcl, FilterRule
from ryu_apps.ovf.port import property_nodes
from ryu_apps.ovf.values import octets_text, ports_of, written


def acl_nodes(acl: FilterAcl, direction: CimDirection) -> Iterator[MarkupNode]:
    """The filter lists of one direction: the rules, and the default behind them."""
    for number, rule in enumerate(acl.rules, start=1):
        yield _list_node(direction, f"{number}", rule.description, (_action_node(rule.allow), *_entry_nodes(rule)))
    yield _list_node(direction, "default", "", (_action_node(acl.default, default=True),))


def _list_node(direction: CimDirection, name: str, description: str, entries: tuple[MarkupNode, ...]) -> MarkupNode:
    named = f"{direction.name.lower()} {name}"
    properties = {"Description": description or None, "Direction": int(direction), "Name": named}
    return MarkupNode("fl:CIM_FilterList", (*property_nodes("fl", properties), *entries))


def _action_node(allow: bool, default: bool = False) -> MarkupNode:
    properties = {
        "Action": PERMIT if allow else DENY,
        "DefaultFilter": "true" if default else None,
        "MatchConditionType": int(Condition.ANY),
        "TrafficType": ANY_TRAFFIC,
    }
    return MarkupNode("fe:CIM_FilterEntry", property_nodes("fe", properties))


def _entry_nodes(rule: FilterRule) -> Iterator[MarkupNode]:
    left = dict(rule.tests)
    for name, properties in (("ip:CIM_IPHeadersFilter", _ip_headers), ("eth:CIM_Hdr8021Filter", _ethernet)):
        said, taken = properties(left)
        if taken:
            yield MarkupNode(name, property_nodes(name.partition(":")[0], dict(sorted(said.items()))))
        left = {name: value for name, value in left.items() if name not in taken}
    for field_name, alternatives in left.items():
        yield _other_node(field_name, alternatives)


def _ip_headers(tests: Mapping[str, Alternatives]) -> tuple[dict[str, object], set[str]]:
    """Return the part of a match that CIM_IPHeadersFilter can express: properties, and the fields they cover."""
    types = tests.get("eth_type", ())
    version = next((candidate for candidate, number in VERSIONS.items() if types == exactly("eth_type", number)), None)
    if version is None and types != ANY_IP:
        return {}, set()
    said: dict[str, object] = {"HdrIPVersion": version}
    taken = {"eth_type"}
    protocol = _single("ip_proto", tests)
    if protocol is not None:
        said["HdrProtocolID"] = protocol.value
        taken.add("ip_proto")
    if "ip_dscp" in tests:
        said["HdrDSCP"] = tuple(dscp.value for dscp in tests["ip_dscp"])
        taken.add("ip_dscp")
    for side, theirs in SIDES.items():
        name = f"ipv{version}_{side}"
        address = _single(name, tests)
        if address is not None:
            said |= _address_properties(f"Hdr{theirs}{{}}", name, address)
            taken.add(name)
        name = f"{PORTS.get(protocol.value if protocol else 0)}_{side}"
        ports = ports_of(tests[name]) if name in tests else None
        if ports is not None:
            said |= {f"Hdr{theirs}PortStart": ports[0], f"Hdr{theirs}PortEnd": ports[1]}
            taken.add(name)
    return said, taken


def _ethernet(tests: Mapping[str, Alternatives]) -> tuple[dict[str, object], set[str]]:
    """Return the part of a match that CIM_Hdr8021Filter can express: properties, and the fields they cover."""
    said: dict[str, object] = {}
    taken = set()
    for name, theirs in NUMBERS_8021.items():
        number = _single(name, tests)
        if number is not None and number.mask == full_mask(name):
            said[theirs] = number.value
            taken.add(name)
    for side, theirs in SIDES.items():
        name = f"eth_{side}"
        address = _single(name, tests)
        if address is not None:
            said |= _address_properties(f"Hdr{theirs}MAC{{}}8021", name, address)
            taken.add(name)
    return said, taken


def _address_properties(pattern: str, name: str, address: Masked) -> dict[str, object]:
    size = KINDS[name].bits // 8
    found: dict[str, object] = {pattern.format("Addr" if size == 6 else "Address"): octets_text(address.value, size)}
    if address.mask != full_mask(name):
        found[pattern.format("Mask")] = octets_text(address.mask, size)
    return found


def _single(name: str, tests: Mapping[str, Alternatives]) -> Masked | None:
    alternatives = tests.get(name, ())
    single = len(alternatives) == 1 and referenced(alternatives[0]) is None
    return alternatives[0] if single else None


def _other_node(name: str, alternatives: Alternatives) -> MarkupNode:
    value = written(name, alternatives)
    items = value if isinstance(value, list) else [value]
    properties = {
        "MatchConditionType": int(Condition.OTHER),
        "MatchConditionValue": ", ".join(str(item) for item in items),
        "OtherMatchConditionType": f"{OTHER_PREFIX}{name}",
        "TrafficType": ANY_TRAFFIC,
    }
    return MarkupNode("fe:CIM_FilterEntry", property_nodes("fe", properties))
