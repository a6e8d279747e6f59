"""Members of address sets: a table of their addresses, and the look-up of the addresses of a frame in it.

A frame is looked up once for each set that the rules of its type name, so the rules of a switch are those of members
plus those of users.  A match leaves a bit; the look-up copies it to the place that the type has for this set, because
the places of two types differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ryu_apps.evb.flow.actions import (
    Action,
    Bits,
    RegLoad,
    Resubmit,
    SetField,
    StackPop,
    StackPush,
)
from ryu_apps.evb.flow.match import VLAN_PRESENT, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.tables import CookieKind, Direction, Priority, Table, cookie

#: Bit of ``reg11`` that a member leaves.
_FOUND = Bits("reg11", 0, 1)
#: Bits of ``reg11``: the frame has been looked up for its sender, or for its receiver.
LOOKED_UP = {Direction.FROM_VM: Bits("reg11", 1, 1), Direction.TO_VM: Bits("reg11", 2, 1)}
#: Register with a bit for each set that a type names, in one direction and version of IP.
FOUND_SETS = "reg12"
#: Registers with the two halves of the number of a set.
_NUMBER = ("reg14", "reg13")
_HALF = 32


class AddressField(NamedTuple):
    """A field whose addresses may be those of a set: its Ethernet type, and the MAC address beside it."""

    eth_type: int
    mac: str
    version: int


FIELDS = {
    "ipv4_src": AddressField(0x0800, "eth_src", 4),
    "ipv4_dst": AddressField(0x0800, "eth_dst", 4),
    "ipv6_src": AddressField(0x86DD, "eth_src", 6),
    "ipv6_dst": AddressField(0x86DD, "eth_dst", 6),
}


def member_rules(number: int, field: str, binding: VsiBinding) -> Iterator[Rule]:
    """Rules that make the addresses of a VSI members of a set.

    Args:
        number: of the set and the field, 64 bits.
        field: a key of :data:`FIELDS`.
        binding: of the VSI.
    """
    eth_type, mac, version = FIELDS[field]
    owner = cookie(CookieKind.GATE, binding.vsi_index, binding.generation)
    for vid_mac in binding.bindings:
        for address in binding.addresses:
            # With the MAC address, which every gate checks: an IP address alone could be that of a neighbour whose
            # type checks none.
            if vid_mac.mac is not None and address.version == version:
                owned = {"vlan_vid": VLAN_PRESENT | vid_mac.vid, mac: vid_mac.mac, field: int(address)}
                matched = match(eth_type=eth_type, **owned, **dict(_halves(number)))
                yield Rule(Table.MEMBERS, Priority.EXACT, matched, owner, apply=(RegLoad(_FOUND, 1),))


def look_up(direction: Direction, numbers: Iterable[int], table: Table) -> Iterator[Action]:
    """Actions that look a frame up in sets, then continue in a table with the bits of those that have it."""
    seen = LOOKED_UP[direction]
    # A copy of the frame may have been looked up for another VSI before.
    yield SetField(FOUND_SETS, 0)
    for bit, number in enumerate(numbers):
        yield RegLoad(_FOUND, 0)
        yield from (SetField(register, half) for register, half in _halves(number))
        yield from (Resubmit(Table.MEMBERS), StackPush(_FOUND), StackPop(Bits(FOUND_SETS, bit, 1)))
    yield from (RegLoad(seen, 1), Resubmit(table), RegLoad(seen, 0))


def _halves(number: int) -> Iterator[tuple[str, int]]:
    for place, register in enumerate(_NUMBER):
        yield register, number >> place * _HALF & (1 << _HALF) - 1
