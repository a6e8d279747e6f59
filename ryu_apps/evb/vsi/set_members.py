"""Members of address sets at each switch: the addresses of active VSIs, for the sets that programs there name.

A member is part of the gate of its VSI, so it comes and goes with the gate, in the same atomic change of each switch.
A switch has the members of a set from the first program that names the set to the last.  Rules of a set at a switch
are as many as its members, and do not depend on the number of rules and VSIs that name it.

Room for a member is reserved when its program is staged, at every switch that has users of the set; and when the first
program at a switch names a set, room for all its members is reserved there with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.plan import RuleSet, difference, rule_set
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.policy.address_set import AddressSet
from ryu_apps.evb.services.address_sets import SetTest, members, set_tests
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.registry import Vsi
from ryu_apps.evb.vsi.reservation import Demand, Owner, Reservations, in_tables

#: Rules by which one VSI may be a member at a switch: each MAC address and VID with each IP address, for each set.
MAX_MEMBER_RULES = 1024


class SetMembers:
    """Programs that name sets, and programs whose VSIs are members, by switch.

    Attributes:
        version: grows when a switch gets or loses members of a set.
    """

    def __init__(self, ledger: Reservations, switches: Iterable[int]) -> None:
        self.version = 0
        self._ledger = ledger
        self._users: dict[int, Counter[SetTest]] = {dpid: Counter() for dpid in switches}
        self._at: dict[Installation, int] = {}
        self._active: dict[Vsi, None] = {}
        self._reserved: dict[Installation, frozenset[int]] = {}
        # One object for all VSIs at the same switch: in a fabric of 18 each would take 0.7 KB.
        self._everywhere: dict[frozenset[int], frozenset[int]] = {}

    @property
    def any(self) -> bool:
        """True if a switch has users of a set."""
        return any(self._users.values())

    def moved(self, vsi: Vsi, active: bool) -> None:
        """Note that a VSI has a gate, anywhere, or has none any more."""
        if active:
            self._active[vsi] = None
        else:
            self._active.pop(vsi, None)

    def rules(self, dpid: int, program: Installation) -> RuleSet:
        """Return the rules that make a VSI a member at a switch; they are part of its gate."""
        return rule_set(_rules(self._tests(dpid), program)) if self._users[dpid] else {}

    def switches(self, address_set: AddressSet) -> tuple[int, ...]:
        """Return the switches that have the members of a set."""
        return tuple(
            dpid for dpid, users in self._users.items() if any(test.address_set == address_set for test in users)
        )

    # --- users ---
    def join(self, dpid: int, program: Installation) -> RuleChange:
        """Note a program that names sets; returns the members that its switch did not have."""
        new = self._missing(dpid, program)
        self.version += bool(new)
        self._at[program] = dpid
        self._users[dpid].update(set_tests(program.vsi_type))
        added: RuleSet = {}
        for vsi, rules in self._members(dpid, new):
            vsi.gates[dpid] = {**vsi.gates[dpid], **rules}
            added.update(rules)
        return difference({}, added)

    def part(self, program: Installation) -> RuleChange:
        """Forget a program that names sets; returns the members that its switch does not need any more."""
        dpid = self._at.pop(program, None)
        if dpid is None:
            return RuleChange()
        tests = set_tests(program.vsi_type)
        self._users[dpid].subtract(tests)
        self._users[dpid] += Counter()
        if not (unnamed := tests - self._tests(dpid)):
            # The reservations of all members are as before; to look at each would cost as many calls as there are VSIs.
            return RuleChange()
        self.version += 1
        removed: RuleSet = {}
        for vsi, rules in self._members(dpid, unnamed):
            vsi.gates[dpid] = {key: rule for key, rule in vsi.gates[dpid].items() if key not in rules}
            removed.update(rules)
        self._adjust(dpid)
        return difference(removed, {})

    def _members(self, dpid: int, tests: frozenset[SetTest]) -> Iterator[tuple[Vsi, RuleSet]]:
        """Yield the active VSIs that are members for some tests, with their rules at a switch."""
        for vsi in self._active if tests else ():
            if dpid in vsi.gates and vsi.gate_program is not None:
                rules = rule_set(_rules(tests, vsi.gate_program))
                if rules:
                    yield vsi, rules

    def _tests(self, dpid: int) -> frozenset[SetTest]:
        return frozenset(self._users[dpid])

    def _missing(self, dpid: int, program: Installation) -> frozenset[SetTest]:
        """Return the tests of a program whose members a switch does not have yet."""
        return set_tests(program.vsi_type) - self._tests(dpid)

    # --- reservations ---
    def excess(self, program: Installation) -> str | None:
        """Return the reason why a VSI has too many addresses for a member; None: it does not."""
        most = max((len(self.rules(dpid, program)) for dpid in self._users), default=0)
        excessive = most > MAX_MEMBER_RULES
        return f"{most} rules for its addresses in sets, at most {MAX_MEMBER_RULES}" if excessive else None

    def demands(self, dpid: int, others: Iterable[int], program: Installation) -> Iterator[Demand]:
        """Yield the demands for a program at a switch: for itself as a member, and for all members that it names."""
        new = self._missing(dpid, program)
        # Without sets nothing is reserved for members, and of earlier ones nothing is left.
        for there in (dpid, *others) if new or self.any else ():
            yield _demand(there, program, self._tests(there) | (new if there == dpid else frozenset()))
        if new:
            for member, dpids in self._reserved.items():
                if dpid in dpids and member is not program:
                    yield _demand(dpid, member, self._tests(dpid) | new)

    def reserved(self, dpids: Iterable[int], program: Installation) -> None:
        """Note that the demands of a program are reserved at some switches."""
        there = frozenset(dpids)
        self._reserved[program] = self._everywhere.setdefault(there, there)

    def release(self, program: Installation) -> None:
        """Release what is reserved for a program as a member."""
        for dpid in self._reserved.pop(program, ()):
            self._ledger.release(dpid, _owner(program))

    def _adjust(self, dpid: int) -> None:
        """Release at a switch what was reserved for members of sets that no program there names any more."""
        tests = self._tests(dpid)
        self._ledger.force(_demand(dpid, member, tests) for member, dpids in self._reserved.items() if dpid in dpids)


def _rules(tests: Iterable[SetTest], program: Installation) -> tuple[Rule, ...]:
    return members(tests, program.vsi_type, program.binding)


def _owner(program: Installation) -> Owner:
    return "member", program.binding.vsi_index


def _demand(dpid: int, program: Installation, tests: frozenset[SetTest]) -> Demand:
    rules = len(_rules(tests, program)) if tests else 0
    return Demand(dpid, _owner(program), in_tables({Table.MEMBERS: rules}) if rules else {})
