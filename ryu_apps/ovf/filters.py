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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ryu_apps.evb.policy.diagnostic import Diagnostic
from ryu_apps.ovf.cim_filters import ENTRY, ETHERNET, IP, CimDirection
from ryu_apps.ovf.concise import concise
from ryu_apps.ovf.filter_entries import SYSTEM, FilterEntries
from ryu_apps.ovf.markup import Element
from ryu_apps.ovf.names import FILTER_LIST
from ryu_apps.ovf.properties import NAMING, Properties

_LIST_KNOWN = NAMING | SYSTEM | {"Direction"}
#: What becomes of a field when a rule is read in the other direction.
_MIRROR = {
    field: other
    for first, second in (
        *((f"{prefix}_src", f"{prefix}_dst") for prefix in ("eth", "ipv4", "ipv6", "tcp", "udp")),
        *(("arp_spa", "arp_tpa"), ("arp_sha", "arp_tha")),
    )
    for field, other in ((first, second), (second, first))
}


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
    reading = FilterEntries(element)
    for entry in element.all(ENTRY, IP, ETHERNET):
        reading.entry(entry)
    reading.finish()
    number = said.number("Direction", 0, 4)
    if not number:
        said.complain(said.one("Direction") or element, "a filter list needs a Direction: 1 to 4")
    found = said.found + reading.found
    if not number or reading.allow is None or reading.broken:
        return [], found
    return list(_drafts(reading, CimDirection(number), said.text("Description", "ElementName"))), found


def _without_entries(element: Element) -> Element:
    """The list as an instance of its own class: its entries are instances of theirs."""
    kept = [child for child in element.children if child.name not in (ENTRY, IP, ETHERNET)]
    return Element(element.file, element.place, element.name, element.attributes, kept, element.text, element.end)


def _drafts(reading: FilterEntries, direction: CimDirection, description: str) -> Iterator[Draft]:
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
