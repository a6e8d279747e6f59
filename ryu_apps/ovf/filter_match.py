"""Match and action of the rule of one CIM filter list: what its entries say together."""

from __future__ import annotations

import re

from ryu_apps.evb.policy.address_set import parse_value
from ryu_apps.evb.policy.diagnostic import Diagnostic
from ryu_apps.evb.policy.fields import Alternatives, Masked, parse_field, range_blocks
from ryu_apps.ovf.cim_filters import PORTS, VERSIONS, exactly
from ryu_apps.ovf.markup import Element
from ryu_apps.ovf.values import octets


class FilterMatch:
    """Gathers fields, ports and action, and notes contradictions."""

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
                self.set_field(f"{prefix}_{side}", tuple(range_blocks(low, high, 16)), element)
        if self.default and self.fields:
            place = next(iter(self.places.values()))
            self.found.append(place.error("a default matches everything that no other filter list matches"))

    def set_field(self, name: str, value: Alternatives, element: Element) -> None:
        """Require a value of a field; with another value that was required before, the filter never matches."""
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

    def parse(self, name: str, text: object, element: Element) -> None:
        """Require a written value of a field."""
        try:
            self.set_field(name, parse_value(name, text), element)
        except ValueError as problem:
            self.found.append(element.error(str(problem)))

    def set_written_address(self, side: str, element: Element) -> None:
        """Require an address, perhaps with a mask or a prefix length behind it."""
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
        self.set_address(side, version, (Masked(address & mask, mask),), element)

    def set_address(self, side: str, version: int, value: Alternatives, element: Element) -> None:
        """Require an address of one IP version."""
        self.set_field("eth_type", exactly("eth_type", VERSIONS[version]), element)
        if value[0].mask:
            self.set_field(f"ipv{version}_{side}", value, element)

    def set_written_ports(self, side: str, element: Element) -> None:
        """Require a port or a range of ports."""
        low, dash, high = element.words.partition("-")
        try:
            first, last = (_port(word.strip()) for word in (low, high if dash else low))
        except ValueError as problem:
            self.found.append(element.error(str(problem)))
            return
        self.set_ports(side, first, last, element)

    def set_ports(self, side: str, low: int, high: int, element: Element) -> None:
        """Require a range of ports; its protocol may follow."""
        if low > high:
            self.found.append(element.error(f"range {low}-{high} runs backwards"))
        elif self._ports.setdefault(side, ((low, high), element))[0] != (low, high):
            self.found.append(element.error(f"line {self._ports[side][1].place.line} says another port"))

    def octets_of(self, element: Element, size: int) -> int | None:
        """Return an address as an integer, None if it is none."""
        try:
            return octets(element.words, size)
        except ValueError as problem:
            self.found.append(element.error(str(problem)))
            return None


def _mask(text: str, bits: int) -> int:
    if text.isascii() and text.isdigit():
        length = int(text)
        if length > bits:
            raise ValueError(f"prefix length {length} is out of range 0..{bits}")
        return ((1 << length) - 1) << (bits - length)
    return octets(text, bits // 8)


def _port(text: str) -> int:
    return parse_field("tcp_dst", text)[0].value
