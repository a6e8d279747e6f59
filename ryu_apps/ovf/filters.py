"""Rules of an ACL as CIM filters, and back.

One ``CIM_FilterList`` is one rule: its entries are ANDed, as CIM has it, and stand inside it for want of associations
in a document.  Its ``CimDirection`` is seen from the VM's adapter: Input (1) is what the VM receives.  One entry of the
class ``CIM_FilterEntry`` gives the action; a list whose entry is the ``DefaultFilter`` is the default of its direction.

=======================  ==============================================================================================
``CIM_Hdr8021Filter``    Ethernet addresses and masks, Ethernet type, priority, VLAN
``CIM_IPHeadersFilter``  IP version, addresses with masks or ranges, protocol, ports, DSCP
``CIM_FilterEntry``      one condition each; of the type Other, what CIM has no words for: ``evbridge:`` and one of our
                         match fields, with values as in a policy file, separated by commas
=======================  ==============================================================================================
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ryu_apps.evb.policy.address_set import parse_value, referenced
from ryu_apps.evb.policy.diagnostic import Diagnostic
from ryu_apps.evb.policy.fields import (
    KINDS,
    MAX_ALTERNATIVES,
    Alternatives,
    Masked,
    full_mask,
    parse_field,
    range_blocks,
)
from ryu_apps.evb.policy.schema import AnyRule, tests_of
from ryu_apps.ovf.markup import Element, MarkupNode
from ryu_apps.ovf.model import FilterAcl, FilterRule
from ryu_apps.ovf.names import FILTER_ENTRY, FILTER_LIST, HDR_8021, IP_HEADERS
from ryu_apps.ovf.port import property_nodes
from ryu_apps.ovf.properties import NAMING, Properties
from ryu_apps.ovf.values import Written, octets, octets_text, ports_of, written

LIST = (FILTER_LIST, "CIM_FilterList")
_ENTRY = (FILTER_ENTRY, "CIM_FilterEntry")
_IP = (IP_HEADERS, "CIM_IPHeadersFilter")
_ETHERNET = (HDR_8021, "CIM_Hdr8021Filter")

#: ``OtherMatchConditionType`` of our own match fields.
OTHER_PREFIX = "evbridge:"

_IPV4, _IPV6 = 0x0800, 0x86DD
_ANY_IP = (Masked(_IPV4, 0xFFFF), Masked(_IPV6, 0xFFFF))
_VERSIONS = {4: _IPV4, 6: _IPV6}
_PORTS = {6: "tcp", 17: "udp"}
_PERMIT, _DENY = 1, 2
_TRAFFIC_TYPES = {1: (_IPV4,), 3: (_IPV6,), 4: (), 0: ()}
_ANY_TRAFFIC = 4
_UNKNOWN_TRAFFIC = {2: "IPX", 5: "of another type"}

_SYSTEM = {"CreationClassName", "Name", "SystemCreationClassName", "SystemName"}
_BASE = NAMING | _SYSTEM | {"IsNegated"}
_LIST_KNOWN = NAMING | _SYSTEM | {"Direction"}
_ENTRY_KNOWN = _BASE | {
    *("Action", "DefaultFilter", "MatchConditionType", "MatchConditionValue", "OtherMatchConditionType"),
    *("OtherTrafficType", "TrafficClass", "TrafficType"),
}
_ETHERNET_KNOWN = _BASE | {
    *("HdrDestMACAddr8021", "HdrDestMACMask8021", "HdrPriorityValue8021", "HdrProtocolID8021"),
    *("HdrSrcMACAddr8021", "HdrSrcMACMask8021", "HdrVLANID8021"),
}
_IP_KNOWN = _BASE | {
    *("HdrDSCP", "HdrDestAddress", "HdrDestAddressEndOfRange", "HdrDestMask", "HdrDestPortEnd", "HdrDestPortStart"),
    *("HdrFlowLabel", "HdrIPVersion", "HdrProtocolID", "HdrSrcAddress", "HdrSrcAddressEndOfRange", "HdrSrcMask"),
    *("HdrSrcPortEnd", "HdrSrcPortStart"),
}
_SIDES = {"src": "Src", "dst": "Dest"}
_NUMBERS_8021 = {"eth_type": "HdrProtocolID8021", "vlan_pcp": "HdrPriorityValue8021", "vlan_vid": "HdrVLANID8021"}

#: What becomes of a field when a rule is read in the other direction.
_MIRROR = {
    field: other
    for first, second in (
        *((f"{prefix}_src", f"{prefix}_dst") for prefix in ("eth", "ipv4", "ipv6", "tcp", "udp")),
        *(("arp_spa", "arp_tpa"), ("arp_sha", "arp_tha")),
    )
    for field, other in ((first, second), (second, first))
}


class CimDirection(IntEnum):
    """``CIM_FilterList.Direction``, seen from the adapter."""

    INPUT = 1
    OUTPUT = 2
    BOTH = 3
    MIRRORED = 4
    """Conditions are those of what goes out; for what comes in, source and destination change places."""


class Condition(IntEnum):
    """``CIM_FilterEntry.MatchConditionType``, those that we know."""

    OTHER = 1
    SOURCE_ADDRESS = 2
    DESTINATION_ADDRESS = 3
    SOURCE_PORT = 4
    SOURCE_PORTS = 5
    DESTINATION_PORT = 6
    DESTINATION_PORTS = 7
    PROTOCOL = 8
    DSCP = 10
    PRIORITY = 12
    ANY = 13


_UNKNOWN_CONDITIONS = {9: "Protocol Type and Option", 11: "ToS Value"}


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule as it was found, to be checked as one of a policy file is.

    Attributes:
        direction: ``from_vm`` or ``to_vm``.
        element: where it stands.
        data: what stands behind ``rule:`` in a policy file; for a default, True or False.
        size: how many flow rules it comes to.
        places: match field -> the element that it comes from.
    """

    direction: str
    element: Element
    data: dict[str, Any] | bool
    size: int = 1
    places: Mapping[str, Element] = field(default_factory=dict)


def read_filter_list(element: Element) -> tuple[list[Draft], list[Diagnostic]]:
    """The rule, or the default, that a list stands for: one for each direction that it is for."""
    said = Properties(_without_entries(element), (FILTER_LIST,), _LIST_KNOWN)
    reading = _Reading(element)
    for entry in element.all(_ENTRY, _IP, _ETHERNET):
        reading.entry(entry)
    reading.finish()
    number = said.number("Direction", 0, 4)
    if not number:
        said.complain(said.one("Direction") or element, "a filter list needs a Direction: 1 to 4")
    found = said.found + reading.found
    if not number or reading.allow is None or reading.broken:
        return [], found
    return list(_drafts(reading, CimDirection(number), said.text("Description", "ElementName"))), found


def acl_nodes(acl: FilterAcl, direction: CimDirection) -> Iterator[MarkupNode]:
    """The filter lists of one direction: the rules, and the default behind them."""
    for number, rule in enumerate(acl.rules, start=1):
        yield _list_node(direction, f"{number}", rule.description, (_action_node(rule.allow), *_entry_nodes(rule)))
    yield _list_node(direction, "default", "", (_action_node(acl.default, default=True),))


def concise(fields: Mapping[str, Alternatives]) -> dict[str, Written]:
    """Return a match as an operator would write it, without fields that are filled in anyway."""
    data = {name: written(name, fields[name]) for name in KINDS if name in fields}
    meant = _meaning(data)
    for name in ("eth_type", "ip_proto"):
        shorter = {key: value for key, value in data.items() if key != name}
        if meant is not None and _meaning(shorter) == meant:
            data = shorter
    return data


_RULE: TypeAdapter[Any] = TypeAdapter(AnyRule)


def _meaning(data: Mapping[str, Written]) -> object:
    try:
        return tests_of(_RULE.validate_python({**data, "actions": {"allow": 1}}))
    except ValidationError:
        return None


# --- from XML ------------------------------------------------------------------------------------
def _without_entries(element: Element) -> Element:
    """The list as an instance of its own class: its entries are instances of theirs."""
    kept = [child for child in element.children if child.name not in (_ENTRY, _IP, _ETHERNET)]
    return Element(element.file, element.place, element.name, element.attributes, kept, element.text, element.end)


def _drafts(reading: _Reading, direction: CimDirection, description: str) -> Iterator[Draft]:
    for name, own in (("from_vm", CimDirection.OUTPUT), ("to_vm", CimDirection.INPUT)):
        if direction in (CimDirection.INPUT, CimDirection.OUTPUT) and direction is not own:
            continue
        if reading.default:
            yield Draft(name, reading.element, bool(reading.allow))
            continue
        mirror = _MIRROR if direction is CimDirection.MIRRORED and own is CimDirection.INPUT else {}
        fields = {mirror.get(name, name): value for name, value in reading.fields.items()}
        places = {mirror.get(name, name): value for name, value in reading.places.items()}
        data: dict[str, Any] = {"description": description} if description else {}
        data |= concise(fields) | {"actions": {"allow": int(bool(reading.allow))}}
        yield Draft(name, reading.element, data, math.prod(map(len, fields.values())), places)


class _Reading:
    """Gathers what the entries of one list say together."""

    def __init__(self, element: Element) -> None:
        self.element = element
        self.found: list[Diagnostic] = []
        self.fields: dict[str, Alternatives] = {}
        self.places: dict[str, Element] = {}
        self.allow: bool | None = None
        self.default = False
        self._ports: dict[str, tuple[tuple[int, int], Element]] = {}

    @property
    def broken(self) -> bool:
        """True if an error was found, so that the filter is incomplete."""
        return bool(self.found)

    def entry(self, element: Element) -> None:
        """Add what one entry says."""
        known, read = {
            _ENTRY: (_ENTRY_KNOWN, self._filter_entry),
            _IP: (_IP_KNOWN, self._ip_headers),
            _ETHERNET: (_ETHERNET_KNOWN, self._ethernet),
        }[element.name]
        said = Properties(element, (element.name[0],), known, ("HdrDSCP",))
        if said.flag("IsNegated"):
            said.complain(said.one("IsNegated") or element, "a negated filter has no counterpart")
        read(said)
        self.found += said.found

    def finish(self) -> None:
        """Check the conditions on all entries together."""
        if self.allow is None and not self.found:
            self.found.append(self.element.error("a filter list needs a CIM_FilterEntry with an Action: 1 or 2"))
        protocols = [protocol.value for protocol in self.fields.get("ip_proto", ())]
        for side, ((low, high), element) in self._ports.items():
            prefix = _PORTS.get(protocols[0]) if len(protocols) == 1 else None
            if prefix is None:
                self.found.append(
                    element.error("a port needs its protocol, 6 (TCP) or 17 (UDP), in the same filter list")
                )
            else:
                self._set(f"{prefix}_{side}", tuple(range_blocks(low, high, 16)), element)
        if self.default and self.fields:
            place = next(iter(self.places.values()))
            self.found.append(place.error("a default matches everything that no other filter list matches"))

    def _set(self, name: str, value: Alternatives, element: Element) -> None:
        other = self.fields.setdefault(name, value)
        if name == "eth_type":
            value = tuple(alternative for alternative in other if alternative in value)
            if not value:
                reason = f"never matches: line {self.places[name].place.line} says another Ethernet type"
                self.found.append(element.error(reason))
                return
            self.fields[name] = value
        elif other != value:
            self.found.append(element.error(f"line {self.places[name].place.line} says another {name}"))
        self.places.setdefault(name, element)

    def _parse(self, name: str, text: object, element: Element) -> None:
        try:
            self._set(name, parse_value(name, text), element)
        except ValueError as problem:
            self.found.append(element.error(str(problem)))

    # --- CIM_FilterEntry
    def _filter_entry(self, said: Properties) -> None:
        self._action(said)
        self._traffic_type(said)
        number = said.number("MatchConditionType", 0, 0xFFFF)
        if number is None or number in _UNKNOWN_CONDITIONS or number not in set(Condition):
            what = _UNKNOWN_CONDITIONS.get(number or 0, f"{number}")
            where = said.one("MatchConditionType") or said.element
            reason = f"match condition {what} has no counterpart" if number else "MatchConditionType is missing"
            said.complain(where, reason)
            return
        value = said.one("MatchConditionValue")
        condition = Condition(number)
        if condition is Condition.ANY:
            return
        if value is None:
            said.complain(said.element, "MatchConditionValue is missing")
        else:
            self._condition(condition, value, said)

    def _action(self, said: Properties) -> None:
        number = said.number("Action", _PERMIT, _DENY)
        if said.flag("DefaultFilter"):
            self.default = True
        if number is None:
            return
        if self.allow not in (None, number == _PERMIT):
            said.complain(said.one("Action") or said.element, "the entries of one filter list have one Action")
        self.allow = number == _PERMIT

    def _traffic_type(self, said: Properties) -> None:
        number = said.number("TrafficType", 0, 5)
        element = said.one("TrafficType") or said.element
        if number in _UNKNOWN_TRAFFIC:
            said.complain(element, f"traffic {_UNKNOWN_TRAFFIC[number]} has no counterpart")
        elif number is not None and _TRAFFIC_TYPES[number]:
            self._set("eth_type", _exactly("eth_type", *_TRAFFIC_TYPES[number]), element)

    def _condition(self, condition: Condition, value: Element, said: Properties) -> None:
        match condition:
            case Condition.OTHER:
                self._other(value, said)
            case Condition.SOURCE_ADDRESS:
                self._address_and_mask("src", value)
            case Condition.DESTINATION_ADDRESS:
                self._address_and_mask("dst", value)
            case Condition.SOURCE_PORT | Condition.SOURCE_PORTS:
                self._port_text("src", value)
            case Condition.DESTINATION_PORT | Condition.DESTINATION_PORTS:
                self._port_text("dst", value)
            case Condition.PROTOCOL:
                self._parse("ip_proto", value.words.lower(), value)
            case Condition.DSCP:
                self._parse("ip_dscp", value.words, value)
            case Condition.PRIORITY:
                self._parse("vlan_pcp", value.words, value)

    def _other(self, value: Element, said: Properties) -> None:
        kind = said.text("OtherMatchConditionType")
        name = kind.removeprefix(OTHER_PREFIX)
        if value.words.count(",") >= MAX_ALTERNATIVES:
            said.complain(value, f"more than {MAX_ALTERNATIVES} alternatives")
        elif kind.startswith(OTHER_PREFIX) and name in KINDS:
            self._parse(name, [word.strip() for word in value.words.split(",")], value)
        else:
            element = said.one("OtherMatchConditionType") or said.element
            said.complain(element, f"match condition {kind!r} has no counterpart among the match fields")

    def _address_and_mask(self, side: str, element: Element) -> None:
        parts = re.split(r"[/,\s]+", element.words)
        version = 6 if ":" in parts[0] else 4
        bits = 128 if version == 6 else 32
        try:
            address = octets(parts[0], bits // 8)
            mask = _mask(parts[1], bits) if len(parts) > 1 else (1 << bits) - 1
            if len(parts) > 2:
                raise ValueError(f"{element.words!r} is not an address and a mask")
        except ValueError as problem:
            self.found.append(element.error(str(problem)))
            return
        self._set_address(side, version, (Masked(address & mask, mask),), element)

    def _set_address(self, side: str, version: int, value: Alternatives, element: Element) -> None:
        self._set("eth_type", _exactly("eth_type", _VERSIONS[version]), element)
        if value[0].mask:
            self._set(f"ipv{version}_{side}", value, element)

    def _port_text(self, side: str, element: Element) -> None:
        low, dash, high = element.words.partition("-")
        try:
            first, last = (_port(word.strip()) for word in (low, high if dash else low))
        except ValueError as problem:
            self.found.append(element.error(str(problem)))
            return
        self._set_ports(side, first, last, element)

    def _set_ports(self, side: str, low: int, high: int, element: Element) -> None:
        if low > high:
            self.found.append(element.error(f"range {low}-{high} runs backwards"))
        elif self._ports.setdefault(side, ((low, high), element))[0] != (low, high):
            self.found.append(element.error(f"line {self._ports[side][1].place.line} says another port"))

    # --- CIM_IPHeadersFilter
    def _ip_headers(self, said: Properties) -> None:
        version = said.number("HdrIPVersion", 0, 15)
        if version is not None and version not in _VERSIONS:
            said.complain(said.one("HdrIPVersion") or said.element, f"there is no IP version {version} here: 4 or 6")
            return
        types = _ANY_IP if version is None else _exactly("eth_type", _VERSIONS[version])
        self._set("eth_type", types, said.one("HdrIPVersion") or said.element)
        for name, ours in (("HdrProtocolID", "ip_proto"), ("HdrDSCP", "ip_dscp")):
            if elements := said.all(name):
                self._parse(ours, [entry.words for entry in elements], elements[0])
        for element in said.all("HdrFlowLabel"):
            said.complain(element, "HdrFlowLabel has no counterpart among the match fields")
        for side, theirs in _SIDES.items():
            self._ip_address(said, side, theirs, version)
            self._ip_ports(said, side, theirs)

    def _ip_address(self, said: Properties, side: str, theirs: str, version: int | None) -> None:
        names = (f"Hdr{theirs}Address", f"Hdr{theirs}AddressEndOfRange", f"Hdr{theirs}Mask")
        address, end, mask = (said.one(name) for name in names)
        if address is None:
            for element in (end, mask):
                if element is not None:
                    said.complain(element, f"{names[0]} is missing")
            return
        if version is None:
            said.complain(address, "an address needs HdrIPVersion")
            return
        if end is not None and mask is not None:
            said.complain(end, f"either {names[1]} or {names[2]}")
            return
        size = 4 if version == 4 else 16
        first = self._octets(address, size)
        bits = (1 << 8 * size) - 1 if mask is None else self._octets(mask, size)
        last = first if end is None else self._octets(end, size)
        if first is None or bits is None or last is None:
            return
        if end is None:
            self._set_address(side, version, (Masked(first & bits, bits),), address)
        elif first > last:
            said.complain(end, "the range runs backwards")
        else:
            self._set_address(side, version, tuple(range_blocks(first, last, 8 * size)), address)

    def _ip_ports(self, said: Properties, side: str, theirs: str) -> None:
        start, end = (said.one(f"Hdr{theirs}Port{suffix}") for suffix in ("Start", "End"))
        low = said.number(f"Hdr{theirs}PortStart", 0, 0xFFFF)
        high = said.number(f"Hdr{theirs}PortEnd", 0, 0xFFFF)
        element = start or end
        if element is not None:
            self._set_ports(side, 0 if low is None else low, 0xFFFF if high is None else high, element)

    def _octets(self, element: Element, size: int) -> int | None:
        try:
            return octets(element.words, size)
        except ValueError as problem:
            self.found.append(element.error(str(problem)))
            return None

    # --- CIM_Hdr8021Filter
    def _ethernet(self, said: Properties) -> None:
        for ours, name in _NUMBERS_8021.items():
            if (element := said.one(name)) is not None:
                self._parse(ours, element.words, element)
        for side, theirs in _SIDES.items():
            address, mask = (said.one(f"Hdr{theirs}MAC{suffix}8021") for suffix in ("Addr", "Mask"))
            if address is None:
                if mask is not None:
                    said.complain(mask, f"Hdr{theirs}MACAddr8021 is missing")
                continue
            value = self._octets(address, 6)
            bits = self._octets(mask, 6) if mask is not None else full_mask("eth_src")
            if value is not None and bits:
                self._set(f"eth_{side}", (Masked(value & bits, bits),), address)


def _exactly(name: str, *values: int) -> Alternatives:
    return tuple(Masked(number, full_mask(name)) for number in values)


def _mask(text: str, bits: int) -> int:
    if text.isascii() and text.isdigit():
        length = int(text)
        if length > bits:
            raise ValueError(f"prefix length {length} is out of range 0..{bits}")
        return ((1 << length) - 1) << (bits - length)
    return octets(text, bits // 8)


def _port(text: str) -> int:
    return parse_field("tcp_dst", text)[0].value


# --- to XML --------------------------------------------------------------------------------------
def _list_node(direction: CimDirection, name: str, description: str, entries: tuple[MarkupNode, ...]) -> MarkupNode:
    named = f"{direction.name.lower()} {name}"
    properties = {"Description": description or None, "Direction": int(direction), "Name": named}
    return MarkupNode("fl:CIM_FilterList", (*property_nodes("fl", properties), *entries))


def _action_node(allow: bool, default: bool = False) -> MarkupNode:
    properties = {
        "Action": _PERMIT if allow else _DENY,
        "DefaultFilter": "true" if default else None,
        "MatchConditionType": int(Condition.ANY),
        "TrafficType": _ANY_TRAFFIC,
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
    version = next(
        (candidate for candidate, number in _VERSIONS.items() if types == _exactly("eth_type", number)), None
    )
    if version is None and types != _ANY_IP:
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
    for side, theirs in _SIDES.items():
        name = f"ipv{version}_{side}"
        address = _single(name, tests)
        if address is not None:
            said |= _address_properties(f"Hdr{theirs}{{}}", name, address)
            taken.add(name)
        name = f"{_PORTS.get(protocol.value if protocol else 0)}_{side}"
        ports = ports_of(tests[name]) if name in tests else None
        if ports is not None:
            said |= {f"Hdr{theirs}PortStart": ports[0], f"Hdr{theirs}PortEnd": ports[1]}
            taken.add(name)
    return said, taken


def _ethernet(tests: Mapping[str, Alternatives]) -> tuple[dict[str, object], set[str]]:
    """Return the part of a match that CIM_Hdr8021Filter can express: properties, and the fields they cover."""
    said: dict[str, object] = {}
    taken = set()
    for name, theirs in _NUMBERS_8021.items():
        number = _single(name, tests)
        if number is not None and number.mask == full_mask(name):
            said[theirs] = number.value
            taken.add(name)
    for side, theirs in _SIDES.items():
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
        "TrafficType": _ANY_TRAFFIC,
    }
    return MarkupNode("fe:CIM_FilterEntry", property_nodes("fe", properties))
