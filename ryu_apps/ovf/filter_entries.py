"""The entries of one CIM filter list: the match and the action of its rule."""

from __future__ import annotations

import re

from ryu_apps.evb.policy.address_set import parse_value
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
from ryu_apps.ovf.cim_filters import (
    ANY_IP,
    DENY,
    ENTRY,
    ETHERNET,
    IP,
    IPV4,
    IPV6,
    NUMBERS_8021,
    OTHER_PREFIX,
    PERMIT,
    PORTS,
    SIDES,
    VERSIONS,
    Condition,
    exactly,
)
from ryu_apps.ovf.markup import Element
from ryu_apps.ovf.properties import NAMING, Properties
from ryu_apps.ovf.values import octets

_TRAFFIC_TYPES = {1: (IPV4,), 3: (IPV6,), 4: (), 0: ()}
_UNKNOWN_TRAFFIC = {2: "IPX", 5: "of another type"}

SYSTEM = {"CreationClassName", "Name", "SystemCreationClassName", "SystemName"}
_BASE = NAMING | SYSTEM | {"IsNegated"}
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

_UNKNOWN_CONDITIONS = {9: "Protocol Type and Option", 11: "ToS Value"}


class FilterEntries:
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
            ENTRY: (_ENTRY_KNOWN, self._filter_entry),
            IP: (_IP_KNOWN, self._ip_headers),
            ETHERNET: (_ETHERNET_KNOWN, self._ethernet),
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
            prefix = PORTS.get(protocols[0]) if len(protocols) == 1 else None
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
        number = said.number("Action", PERMIT, DENY)
        if said.flag("DefaultFilter"):
            self.default = True
        if number is None:
            return
        if self.allow not in (None, number == PERMIT):
            said.complain(said.one("Action") or said.element, "the entries of one filter list have one Action")
        self.allow = number == PERMIT

    def _traffic_type(self, said: Properties) -> None:
        number = said.number("TrafficType", 0, 5)
        element = said.one("TrafficType") or said.element
        if number in _UNKNOWN_TRAFFIC:
            said.complain(element, f"traffic {_UNKNOWN_TRAFFIC[number]} has no counterpart")
        elif number is not None and _TRAFFIC_TYPES[number]:
            self._set("eth_type", exactly("eth_type", *_TRAFFIC_TYPES[number]), element)

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
        self._set("eth_type", exactly("eth_type", VERSIONS[version]), element)
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
        if version is not None and version not in VERSIONS:
            said.complain(said.one("HdrIPVersion") or said.element, f"there is no IP version {version} here: 4 or 6")
            return
        types = ANY_IP if version is None else exactly("eth_type", VERSIONS[version])
        self._set("eth_type", types, said.one("HdrIPVersion") or said.element)
        for name, ours in (("HdrProtocolID", "ip_proto"), ("HdrDSCP", "ip_dscp")):
            if elements := said.all(name):
                self._parse(ours, [entry.words for entry in elements], elements[0])
        for element in said.all("HdrFlowLabel"):
            said.complain(element, "HdrFlowLabel has no counterpart among the match fields")
        for side, theirs in SIDES.items():
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
        for ours, name in NUMBERS_8021.items():
            if (element := said.one(name)) is not None:
                self._parse(ours, element.words, element)
        for side, theirs in SIDES.items():
            address, mask = (said.one(f"Hdr{theirs}MAC{suffix}8021") for suffix in ("Addr", "Mask"))
            if address is None:
                if mask is not None:
                    said.complain(mask, f"Hdr{theirs}MACAddr8021 is missing")
                continue
            value = self._octets(address, 6)
            bits = self._octets(mask, 6) if mask is not None else full_mask("eth_src")
            if value is not None and bits:
                self._set(f"eth_{side}", (Masked(value & bits, bits),), address)


def _mask(text: str, bits: int) -> int:
    if text.isascii() and text.isdigit():
        length = int(text)
        if length > bits:
            raise ValueError(f"prefix length {length} is out of range 0..{bits}")
        return ((1 << length) - 1) << (bits - length)
    return octets(text, bits // 8)


def _port(text: str) -> int:
    return parse_field("tcp_dst", text)[0].value
