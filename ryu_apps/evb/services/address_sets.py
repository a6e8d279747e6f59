"""Sets of addresses: the look-up of frames for the rules that name sets, and the members of a set.

The look-up stands above the rules of the ACL and leads back to them, with a bit of a register for each set; a rule that
names a set tests its bit.  So the rules of a type do not depend on the members, and the members not on the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ryu_apps.evb.flow.match import MatchFields, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.address_sets import FIELDS, FOUND_SETS, LOOKED_UP, look_up, member_rules
from ryu_apps.evb.pipeline.tables import CookieKind, Direction, Table, cookie, type_metadata
from ryu_apps.evb.policy.address_set import AddressSet, referenced
from ryu_apps.evb.policy.model import Acl, MatchBox, VsiType, openflow_fields
from ryu_apps.evb.services.base import DIRECT, Route, Service

#: In the tables of the ACL: above its rules, below the fragments that meet none of them.
_LOOK_UP = 61_000
_TABLES = {Direction.FROM_VM: Table.ACL_FROM, Direction.TO_VM: Table.ACL_TO}

#: Field and name of a set -> its bit in ``FOUND_SETS``.
SetBits = Mapping[tuple[str, str], int]


class SetTest(NamedTuple):
    """A test of some rule: an address field, and the set that is to have its value."""

    field: str
    address_set: AddressSet

    @property
    def number(self) -> int:
        """Number of the set and the field in the switches, 64 bits."""
        return self.address_set.number(self.field)


def set_bits(vsi_type: VsiType, direction: Direction) -> SetBits:
    """Return the bits of the sets that the rules of a direction name."""
    # Versions of IP have the same bits: no frame is of both.
    return {
        reference: bit
        for version in (4, 6)
        for bit, reference in enumerate(_of_version(_references(vsi_type, direction), version))
    }


def fields_of(box: MatchBox, bits: SetBits) -> MatchFields:
    """Return the fields of a box as arguments of :func:`ryu_apps.evb.flow.match.match`, sets as their bits."""
    named = [(field, name) for field, masked in box if (name := referenced(masked)) is not None]
    plain = openflow_fields(tuple(test for test in box if referenced(test[1]) is None))
    wanted = sum(1 << bits[reference] for reference in named)
    return {**plain, FOUND_SETS: (wanted, wanted)} if named else plain


def set_tests(vsi_type: VsiType) -> frozenset[SetTest]:
    """Return all tests of the rules of a type, as members are staged for them."""
    defined = dict(vsi_type.sets)
    references = (reference for direction in _TABLES for reference in _references(vsi_type, direction))
    return frozenset(SetTest(field, defined[name]) for field, name in references)


def members(tests: Iterable[SetTest], vsi_type: VsiType, binding: VsiBinding) -> tuple[Rule, ...]:
    """Return the rules by which a VSI is a member of the sets of some tests that select its type."""
    wanted = sorted((test for test in tests if is_member(test.address_set, vsi_type)), key=_order)
    return tuple(rule for test in wanted for rule in member_rules(test.number, test.field, binding))


def is_member(address_set: AddressSet, vsi_type: VsiType) -> bool:
    """True for a type whose VSIs are members: a set selects it, and its VSIs send from no other addresses."""
    return vsi_type.anti_spoofing.ip and address_set.selects(vsi_type.key, vsi_type.labels)


def _order(test: SetTest) -> tuple[str, int]:
    return test.field, test.number


def _references(vsi_type: VsiType, direction: Direction) -> set[tuple[str, str]]:
    if not vsi_type.sets:
        return set()
    return {reference for acl in _acls(vsi_type, direction) for rule in acl.rules for reference in rule.references}


def _acls(vsi_type: VsiType, direction: Direction) -> Iterator[Acl]:
    for judge in (vsi_type, vsi_type.service("firewall")):
        if judge is not None:
            yield judge.from_vm if direction is Direction.FROM_VM else judge.to_vm


def _of_version(references: Iterable[tuple[str, str]], version: int) -> list[tuple[str, str]]:
    return sorted(reference for reference in references if FIELDS[reference[0]].version == version)


class AddressSetService(Service):
    """Look-up of the addresses of a frame in the sets that the rules of its type name."""

    name = "address_sets"

    def per_type(self, vsi_type: VsiType, epoch: int, route: Route = DIRECT) -> Iterator[Rule]:
        defined = dict(vsi_type.sets)
        owner = cookie(CookieKind.TYPE_BODY, epoch)
        for direction, table in _TABLES.items():
            references, seen = _references(vsi_type, direction), LOOKED_UP[direction]
            for eth_type, version in ((0x0800, 4), (0x86DD, 6)):
                numbers = [defined[name].number(field) for field, name in _of_version(references, version)]
                scope = type_metadata(epoch, direction)
                fresh = match(metadata=scope, eth_type=eth_type, **{seen.name: (0, 1 << seen.offset)})
                if numbers:
                    yield Rule(table, _LOOK_UP, fresh, owner, tuple(look_up(direction, numbers, table)))

    def needed_by(self, vsi_type: VsiType) -> bool:
        return bool(set_tests(vsi_type))


ADDRESS_SETS = AddressSetService()
