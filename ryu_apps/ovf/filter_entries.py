"""The entries of one CIM filter list, by their classes."""

from __future__ import annotations

from ryu_apps.evb.policy.fields import KINDS, MAX_ALTERNATIVES, Masked, full_mask, range_blocks
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
    SIDES,
    VERSIONS,
    Condition,
    exactly,
)
from ryu_apps.ovf.filter_match import FilterMatch
from ryu_apps.ovf.markup import Element
from ryu_apps.ovf.properties import NAMING, Properties

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


class FilterEntries(FilterMatch):
    """Reads the entries of one list."""

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
            self.set_field("eth_type", exactly("eth_type", *_TRAFFIC_TYPES[number]), element)

    def _condition(self, condition: Condition, value: Element, said: Properties) -> None:
        match condition:
            case Condition.OTHER:
                self._other(value, said)
            case Condition.SOURCE_ADDRESS:
                self.set_written_address("src", value)
            case Condition.DESTINATION_ADDRESS:
                self.set_written_address("dst", value)
            case Condition.SOURCE_PORT | Condition.SOURCE_PORTS:
                self.set_written_ports("src", value)
            case Condition.DESTINATION_PORT | Condition.DESTINATION_PORTS:
                self.set_written_ports("dst", value)
            case Condition.PROTOCOL:
                self.parse("ip_proto", value.words.lower(), value)
            case Condition.DSCP:
                self.parse("ip_dscp", value.words, value)
            case Condition.PRIORITY:
                self.parse("vlan_pcp", value.words, value)

    def _other(self, value: Element, said: Properties) -> None:
        kind = said.text("OtherMatchConditionType")
        name = kind.removeprefix(OTHER_PREFIX)
        if value.words.count(",") >= MAX_ALTERNATIVES:
            said.complain(value, f"more than {MAX_ALTERNATIVES} alternatives")
        elif kind.startswith(OTHER_PREFIX) and name in KINDS:
            self.parse(name, [word.strip() for word in value.words.split(",")], value)
        else:
            element = said.one("OtherMatchConditionType") or said.element
            said.complain(element, f"match condition {kind!r} has no counterpart among the match fields")

    # --- CIM_IPHeadersFilter
    def _ip_headers(self, said: Properties) -> None:
        version = said.number("HdrIPVersion", 0, 15)
        if version is not None and version not in VERSIONS:
            said.complain(said.one("HdrIPVersion") or said.element, f"there is no IP version {version} here: 4 or 6")
            return
        types = ANY_IP if version is None else exactly("eth_type", VERSIONS[version])
        self.set_field("eth_type", types, said.one("HdrIPVersion") or said.element)
        for name, ours in (("HdrProtocolID", "ip_proto"), ("HdrDSCP", "ip_dscp")):
            if elements := said.all(name):
                self.parse(ours, [entry.words for entry in elements], elements[0])
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
        first = self.octets_of(address, size)
        bits = (1 << 8 * size) - 1 if mask is None else self.octets_of(mask, size)
        last = first if end is None else self.octets_of(end, size)
        if first is None or bits is None or last is None:
            return
        if end is None:
            self.set_address(side, version, (Masked(first & bits, bits),), address)
        elif first > last:
            said.complain(end, "the range runs backwards")
        else:
            self.set_address(side, version, tuple(range_blocks(first, last, 8 * size)), address)

    def _ip_ports(self, said: Properties, side: str, theirs: str) -> None:
        start, end = (said.one(f"Hdr{theirs}Port{suffix}") for suffix in ("Start", "End"))
        low = said.number(f"Hdr{theirs}PortStart", 0, 0xFFFF)
        high = said.number(f"Hdr{theirs}PortEnd", 0, 0xFFFF)
        element = start or end
        if element is not None:
            self.set_ports(side, 0 if low is None else low, 0xFFFF if high is None else high, element)

    # --- CIM_Hdr8021Filter
    def _ethernet(self, said: Properties) -> None:
        for ours, name in NUMBERS_8021.items():
            if (element := said.one(name)) is not None:
                self.parse(ours, element.words, element)
        for side, theirs in SIDES.items():
            address, mask = (said.one(f"Hdr{theirs}MAC{suffix}8021") for suffix in ("Addr", "Mask"))
            if address is None:
                if mask is not None:
                    said.complain(mask, f"Hdr{theirs}MACAddr8021 is missing")
                continue
            value = self.octets_of(address, 6)
            bits = self.octets_of(mask, 6) if mask is not None else full_mask("eth_src")
            if value is not None and bits:
                self.set_field(f"eth_{side}", (Masked(value & bits, bits),), address)
